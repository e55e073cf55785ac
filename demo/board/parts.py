"""The objects that Klippy configures: pins, triggers, endstops, sensors, buttons. Pure.

Clocks are in ticks of the board, 64 bits wide.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from demo.board.stepper import Stepper


@dataclass
class Output:
    """A pin that is driven, with changes that Klippy asked for ahead of time."""

    pin: int
    cycle: int = 0  # ticks of a software PWM, 0 for a pin that is on or off
    default: float = 0.0  # after a shutdown
    value: float = 0.0  # 0 to 1
    changes: deque[tuple[int, float]] = field(default_factory=deque)

    def advance(self, clock: int) -> None:
        while self.changes and self.changes[0][0] <= clock:
            self.value = self.changes.popleft()[1]

    def average(self, begin: int, end: int) -> float:
        """The mean value from *begin* to *end*; makes the changes on the way."""
        total, at = 0.0, begin
        while self.changes and self.changes[0][0] <= end:
            clock = max(self.changes[0][0], begin)
            total += (clock - at) * self.value
            at = clock
            self.value = self.changes.popleft()[1]
        total += (end - at) * self.value
        return total / (end - begin) if end > begin else self.value


@dataclass
class Trigger:
    """A trsync, which stops several steppers at once."""

    oid: int
    steppers: list[Stepper] = field(default_factory=list)
    is_armed: bool = False
    reason: int = 0
    next_report: int = 0
    interval: int = 0  # ticks between two reports, 0: none


@dataclass
class Endstop:
    """A switch that is read for a trigger while an axis homes."""

    pin: int
    trigger: Trigger | None = None  # None: it is not homing
    reason: int = 0
    wanted: bool = False
    next_clock: int = 0
    interval: int = 1


@dataclass
class Sensor:
    """A converter that reports at an interval."""

    oid: int
    pin: int
    samples: int = 0  # that are summed up
    next_clock: int = 0
    interval: int = 0  # ticks, 0: it is not asked


@dataclass
class Buttons:
    """Up to eight inputs that are told of when they change."""

    oid: int
    pins: dict[int, int] = field(default_factory=dict)  # by position
    invert: int = 0
    next_clock: int = 0
    is_asked: bool = False
    state: int = -1
    reports: int = 0
