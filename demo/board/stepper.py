"""A stepper's queue of steps, and the steps that were really made. Pure.

Clocks are in ticks of the board, 64 bits wide.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from demo.board.dictionary import TICKS

HALF = TICKS // 2


def near(clock: int, now: int) -> int:
    """The whole clock nearest to *now* of which Klippy sent the low 32 bits."""
    return now + (clock - now + HALF) % TICKS - HALF


@dataclass
class Shaft:
    """A motor's position since the board was made, in steps."""

    position: int = 0
    forward: int = 0
    back: int = 0

    def turn(self, steps: int) -> None:
        self.position += steps
        if steps > 0:
            self.forward += steps
        else:
            self.back -= steps


@dataclass
class Segment:
    """Steps of one direction whose distance in time grows evenly."""

    first: int  # clock of the first step
    interval: int  # ticks from the first to the second, less `add`
    count: int
    add: int
    direction: int  # 1 or -1
    made: int = 0

    def clock(self, number: int) -> int:
        """When step *number* is due, from 1 on."""
        gaps = number - 1
        return self.first + gaps * self.interval + self.add * gaps * number // 2

    def due(self, clock: int) -> int:
        """How many of the steps are due by *clock*."""
        if clock >= self.clock(self.count):
            return self.count
        low, high = self.made, self.count
        while low < high:
            middle = (low + high + 1) // 2
            if self.clock(middle) <= clock:
                low = middle
            else:
                high = middle - 1
        return low


@dataclass(eq=False)
class Stepper:
    """Makes steps when they are due, or at once if they come late."""

    shaft: Shaft
    direction: int = 1
    is_stopped: bool = False  # by an endstop: nothing is taken before the next reset
    last: int = 0  # clock of the last step that is queued
    _segments: deque[Segment] = field(default_factory=deque)

    def reset_clock(self, clock: int, now: int) -> None:
        self.last, self.is_stopped = near(clock, now), False

    def queue(self, interval: int, count: int, add: int, now: int) -> int | None:
        """Add *count* steps, the first of them *interval* after the last.

        Returns the clock of the first, or None if they are not taken.
        """
        if self.is_stopped:
            return None
        segment = Segment(
            near(self.last + interval, now), interval, count, add, self.direction
        )
        self.last = segment.clock(count)
        self._segments.append(segment)
        return segment.first

    def position(self, clock: int) -> int:
        """Where the shaft will be at *clock*, in steps."""
        position = self.shaft.position
        for segment in self._segments:
            if segment.first > clock:
                break
            position += (segment.due(clock) - segment.made) * segment.direction
        return position

    def advance(self, clock: int) -> None:
        """Make the steps that are due by *clock*."""
        while self._segments and self._segments[0].first <= clock:
            segment = self._segments[0]
            due = segment.due(clock)
            self.shaft.turn((due - segment.made) * segment.direction)
            segment.made = due
            if due < segment.count:
                return
            self._segments.popleft()

    def stop(self, clock: int) -> None:
        """Make the steps that are due by *clock*, and drop the rest."""
        self.advance(clock)
        self._segments.clear()
        self.is_stopped = True
