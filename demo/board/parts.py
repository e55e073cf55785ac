"""The parts that Klippy configures: pins, sensors, steppers, triggers, endstops. Pure.

A method for a command takes the command's parameters: see `firmware.COMMANDS`.
A clock is in ticks of the board, and has 64 bits.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demo.board.dictionary import ADC_MAX, CLOCK_FREQUENCY, TICKS

if TYPE_CHECKING:
    from demo.board.firmware import Board
    from demo.board.machine import Motor

LATE = 5 * CLOCK_FREQUENCY  # ticks to wait for the late steps of a homing move


def near(clock: int, now: int) -> int:
    """Return the clock nearest to *now* whose low 32 bits are *clock*."""
    half = TICKS // 2
    return now + (clock - now + half) % TICKS - half


@dataclass(eq=False)
class Part:
    """A part that Klippy has configured, and the number that it has given it."""

    board: Board
    oid: int

    def report(self) -> None:
        """Send the part's report if it is due."""

    def stop(self, clock: int) -> None:
        """Go to the part's safe state: the board shuts down."""


@dataclass(eq=False)
class Output(Part):
    """An output pin. Klippy queues its changes ahead of time."""

    pin: int
    value: float  # 0 to 1
    default: float  # the value after a shutdown
    duration: int  # the longest time between two changes; here it never expires
    cycle: int = 1  # ticks of a software PWM; 1: the pin is only on or off
    _changes: deque[tuple[int, float]] = field(default_factory=deque)

    def set(self, value: float) -> None:
        self._changes.clear()
        self.value = value

    def set_cycle(self, ticks: int) -> None:
        self.cycle = ticks or 1

    def queue(self, clock: int, on_ticks: int) -> None:
        self._changes.append((near(clock, self.board.now), on_ticks / self.cycle))

    def advance(self, begin: int, end: int) -> float:
        """Make the changes up to *end*, and return the mean value since *begin*."""
        total, at = 0.0, begin
        while self._changes and self._changes[0][0] <= end:
            clock, value = self._changes.popleft()
            total += (max(clock, begin) - at) * self.value
            at, self.value = max(clock, begin), value
        return (total + (end - at) * self.value) / (end - begin)

    def stop(self, clock: int) -> None:
        self.set(self.default)


@dataclass(eq=False)
class Sensor(Part):
    """A converter that reports its value at an interval."""

    pin: int
    _samples: int = 0  # how many samples one report sums up
    _next: int = 0  # the clock of the next report
    _interval: int = 0  # ticks between two reports; 0: there are none

    def query(self, clock: int, gap: int, samples: int, interval: int, *_: int) -> None:
        self._samples, self._interval = samples, interval
        self._next = near(clock, self.board.now)

    def report(self) -> None:
        now = self.board.now
        if self._interval and self._next <= now:
            # A late report is sent instead of all that were missed.
            missed = (now - self._next) // self._interval
            self._next += (missed + 1) * self._interval
            reading = round(self.board.machine.reading(self.pin) * ADC_MAX)
            total = reading * self._samples
            self.board.say("analog_in_state", self.oid, self._next, total)


@dataclass
class Segment:
    """Steps in one direction. The time between two of them grows by `add` each time."""

    first: int  # the clock of the first step
    interval: int  # ticks from the first to the second step, less `add`
    count: int
    add: int
    direction: int  # 1 or -1
    made: int = 0

    def clock(self, number: int) -> int:
        """Return when step *number* is due. The first step is number 1."""
        gaps = number - 1
        return self.first + gaps * self.interval + self.add * gaps * number // 2

    def due(self, clock: int) -> int:
        """Return how many of the steps are due at *clock*."""
        rest = range(self.made + 1, self.count + 1)
        return self.made + bisect_right(rest, clock, key=self.clock)


@dataclass(eq=False)
class Stepper(Part):
    """Makes steps when they are due, or at once if Klippy sends them late."""

    motor: Motor
    last: int = 0  # the clock of the last queued step
    _direction: int = 1
    _is_stopped: bool = False  # an endstop stopped it; it needs a new step clock
    _segments: deque[Segment] = field(default_factory=deque)

    def reset_clock(self, clock: int) -> None:
        self.last, self._is_stopped = near(clock, self.board.now), False

    def set_direction(self, direction: int) -> None:
        self._direction = 1 if direction else -1

    def queue(self, interval: int, count: int, add: int) -> None:
        """Add *count* steps. The first is due *interval* after the last queued step."""
        if self._is_stopped:
            return
        first = near(self.last + interval, self.board.now)
        segment = Segment(first, interval, count, add, self._direction)
        self.last = segment.clock(count)
        self._segments.append(segment)
        if first <= self.board.now:
            for endstop in self.board.all(Endstop):
                endstop.look_again(self, first)

    def stop_on(self, trigger: int) -> None:
        self.board.part(Trigger, trigger).steppers.append(self)

    def tell_position(self) -> None:
        self.board.say("stepper_position", self.oid, self.motor.position)

    def position(self, clock: int) -> int:
        """Return the motor's position at *clock*, in steps."""
        position = self.motor.position
        for segment in self._segments:
            if segment.first > clock:
                break
            position += (segment.due(clock) - segment.made) * segment.direction
        return position

    def advance(self, clock: int) -> None:
        """Make the steps that are due at *clock*."""
        while self._segments and self._segments[0].first <= clock:
            segment = self._segments[0]
            due = segment.due(clock)
            self.motor.turn((due - segment.made) * segment.direction)
            segment.made = due
            if due < segment.count:
                return
            self._segments.popleft()

    def stop(self, clock: int) -> None:
        """Make the steps that are due at *clock*, and drop the others."""
        self.advance(clock)
        self._segments.clear()
        self._is_stopped = True


@dataclass(eq=False)
class Trigger(Part):
    """A trsync: it stops several motors at once."""

    steppers: list[Stepper] = field(default_factory=list)
    _is_armed: bool = False
    _reason: int = 0
    _next: int = 0  # the clock of the next report
    _interval: int = 0  # ticks between two reports; 0: there are none

    def start(self, clock: int, interval: int, *_: int) -> None:
        self.steppers.clear()
        self._is_armed, self._interval, self._reason = True, interval, 0
        self._next = near(clock, self.board.now)

    def pull(self, reason: int, clock: int | None = None) -> None:
        """Stop the motors as of *clock*, or now."""
        if self._is_armed:
            clock = self.board.now if clock is None else clock
            self._is_armed, self._reason = False, reason
            for stepper in self.steppers:
                stepper.stop(clock)
            self.steppers.clear()
        self.board.say("trsync_state", self.oid, 0, self._reason, clock or 0)

    def report(self) -> None:
        now = self.board.now
        if self._is_armed and self._interval and self._next <= now:
            self._next = now + self._interval
            # Klippy gives up when the clock passes the move's end. So for a while the
            # clock stops at the last queued step: more steps may arrive late.
            last = max((each.last for each in self.steppers), default=now)
            clock = min(last, now) if now < last + LATE else now
            self.board.say("trsync_state", self.oid, 1, 0, clock)


@dataclass(eq=False)
class Endstop(Part):
    """A switch that fires a trigger while an axis homes."""

    pin: int
    pull_up: int
    _trigger: Trigger | None = None  # None: it is not homing
    _reason: int = 0
    _wanted: bool = False
    _next: int = 0  # the clock of the next reading
    _interval: int = 1

    def home(self, clock: int, *how: int) -> None:
        _, samples, interval, level, trigger, reason = how
        self._trigger = None
        if samples:  # 0 ends homing; `_next` stays, since Klippy then queries it
            self._trigger = self.board.part(Trigger, trigger)
            self._reason, self._wanted = reason, bool(level)
            self._next, self._interval = near(clock, self.board.now), max(interval, 1)

    def query(self) -> None:
        is_homing = self._trigger is not None
        level = self.board.level(self.pin, self.board.now)
        self.board.say("endstop_state", self.oid, is_homing, self._next, level)

    def read(self) -> None:
        """Find out whether the switch changed since the last reading, and when.

        It is read as of the times at which it had to be read.
        """
        if self._trigger is None or self._next > self.board.now:
            return
        clocks = range(self._next, self.board.now + 1, self._interval)
        self._next = clocks[-1] + self._interval
        if self._is_wanted(self.board.now):
            last = len(clocks) - 1
            clock = clocks[bisect_left(clocks, True, hi=last, key=self._is_wanted)]
            self._next, trigger = clock + self._interval, self._trigger
            self._trigger = None
            trigger.pull(self._reason, clock)

    def look_again(self, stepper: Stepper, clock: int) -> None:
        """Read the switch again from *clock* on: steps of *stepper* arrived late."""
        if self._trigger is not None and stepper in self._trigger.steppers:
            late = max(self._next - clock, 0)
            self._next -= late // self._interval * self._interval

    def _is_wanted(self, clock: int) -> bool:
        return self.board.level(self.pin, clock) == self._wanted

    def stop(self, clock: int) -> None:
        self._trigger = None
