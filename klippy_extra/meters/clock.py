"""Counts the hours for which the printer is on, and the hours of the calendar."""

from __future__ import annotations

from typing import Any, Mapping

from ..klipper_objects import Printer
from .base import Increments, Options
from .families import meters
from .synchronized import synchronized

HOUR = 3600.0
SLACK = 60.0  # seconds that two clocks may differ although no time has passed
YEAR = 366 * 24 * HOUR


class Calendar:
    """Counts the hours that have really passed, although the clock may be wrong.

    A Raspberry Pi has no battery for its clock. The clock starts in the past, and jumps
    by months when a time server answers. So the time while the printer is on comes from
    the monotonic clock. The time while it is off comes only from two readings of the
    wall clock that were both synchronized. If no clock is ever synchronized, the first
    reading after a start is used, since such a clock can only be behind.
    """

    def __init__(self, memory: dict[str, Any]) -> None:
        self._anchor = _number(memory.get("anchor"))  # the last synchronized reading
        self._since = _number(memory.get("since")) or 0.0  # seconds counted since then
        self._last = _number(memory.get("last"))  # the last reading of any kind
        self._first = True
        self._counted = 0.0  # seconds that were counted since the start of Klippy

    def resume(self, memory: Mapping[str, Any]) -> None:
        """Continue from the memory of an earlier Klippy, which was read only now."""
        anchor = _number(memory.get("anchor"))
        if anchor is not None:
            self._anchor = anchor
            self._since = (_number(memory.get("since")) or 0.0) + self._counted
        last = _number(memory.get("last"))
        if last is not None:
            self._last, self._first = last + self._counted, True

    @property
    def memory(self) -> dict[str, Any]:
        return {"anchor": self._anchor, "since": self._since, "last": self._last}

    def advance(self, passed: float, wall: float, *, synchronized: bool) -> float:
        """Return the seconds to count after *passed* seconds, at the reading *wall*."""
        missed = 0.0
        if synchronized:
            missed = self._missed(wall - passed)
        elif self._first and self._last is not None:
            missed = wall - passed - self._last
            if not 0.0 < missed < YEAR:  # a clock that nobody has set may show 2099
                missed = 0.0
        self._since += passed + missed
        self._counted += passed + missed
        self._last, self._first = wall, False
        return passed + missed

    def _missed(self, now: float) -> float:
        """Return the seconds that were not counted between the anchor and *now*."""
        if self._anchor is None:
            self._anchor, self._since = now, 0.0
        missed = now - self._anchor - self._since
        if missed < -SLACK:  # the clock was ahead when the anchor was noted
            self._anchor, self._since = now, 0.0
        return missed if missed > SLACK else 0.0


class Clock:
    """``time`` and ``power_on``."""

    def __init__(self, printer: Printer, options: Options) -> None:
        self.meters = meters("power_on", "time")
        self._wall = options.wall
        self._synchronized = options.synchronized or synchronized()
        self._calendar = Calendar(dict(options.memory.get("calendar", {})))
        self._seen = printer.get_reactor().monotonic()

    @property
    def memory(self) -> dict[str, Any]:
        return {"calendar": self._calendar.memory}

    def resume(self, memory: Mapping[str, Any]) -> None:
        """Continue from the `memory` of an earlier Klippy, which was read only now."""
        self._calendar.resume(dict(memory.get("calendar", {})))

    def poll(self, eventtime: float) -> Increments:
        passed = max(0.0, eventtime - self._seen)
        self._seen = max(self._seen, eventtime)
        counted = self._calendar.advance(
            passed, self._wall(), synchronized=self._synchronized()
        )
        return {"power_on": passed / HOUR, "time": counted / HOUR}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
