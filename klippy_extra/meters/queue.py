"""Reads a motion queue of Klipper, so that every executed move counts once."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Tuple

from ..klipper_objects import MotionQueue, PlannedMove

SLICE = 0.25  # seconds of motion that are read at once
MOVES = 250  # moves that are read at once; each takes 1.5 µs on a fast machine
SHORTEST = 0.02  # seconds of the shortest slice

# A part of a move: the move, the begin and the end of the part in seconds from the
# move's start, and the distance along it in mm, which is negative for a retraction.
Piece = Tuple[PlannedMove, float, float, float]


class SkippedTime(NamedTuple):
    """Print time whose moves are counted elsewhere. *end* is unknown at first."""

    begin: float
    end: float | None = None


class Queue:
    """Reads a ``motion_report`` queue from *start*, a print time, onwards.

    Homing stops moves early, but the history has the whole moves. So this time is
    skipped. One reading has about *most* moves.
    """

    def __init__(self, dumped: MotionQueue, start: float, most: int = MOVES) -> None:
        self._extract = dumped.extract_trapq
        self._read = start
        self._most = most
        self._slice = SLICE
        self._skipped: deque[SkippedTime] = deque()

    def behind(self, now: float) -> bool:
        """Return whether there may be more to read."""
        return self._read < self._limit(now)

    def take(self, now: float) -> list[Piece]:
        """Return the next pieces of moves, oldest first. They are at most a slice."""
        start = self._read
        end = min(self._limit(now), start + self._slice)
        if end <= start:
            return []
        pieces = [_piece(move, start, end) for move in self._extract(start, end)[0]]
        self._read = end
        self._pass_skipped()
        # The next slice has *most* moves, if the moves are as dense as in this one.
        fitting = (end - start) * self._most / max(1, len(pieces))
        self._slice = min(max(fitting, SHORTEST), 2.0 * self._slice, SLICE)
        return pieces

    def begin_skip(self, begin: float) -> None:
        """Skip the moves after *begin*, until `end_skip` gives the end."""
        self.end_skip(begin)  # the last homing may have been aborted
        self._skipped.append(SkippedTime(max(begin, self._read)))

    def end_skip(self, end: float) -> None:
        """Continue to read from *end*. Without `begin_skip`, nothing happens."""
        if self._skipped and self._skipped[-1].end is None:
            self._skipped[-1] = self._skipped[-1]._replace(end=end)
            self._pass_skipped()

    def _limit(self, now: float) -> float:
        return min(now, self._skipped[0].begin) if self._skipped else now

    def _pass_skipped(self) -> None:
        while self._skipped and self._read >= self._skipped[0].begin:
            end = self._skipped[0].end
            if end is None:
                return
            self._read = max(self._read, end)
            self._skipped.popleft()


def distance(move: PlannedMove, begin: float, end: float) -> float:
    """Return the distance of *move* between two moments, in seconds from its start."""
    speed: float = move.start_v + 0.5 * move.accel * (begin + end)
    return speed * (end - begin)


def _piece(move: PlannedMove, start: float, end: float) -> Piece:
    first = max(0.0, start - move.print_time)
    last = max(first, min(move.move_t, end - move.print_time))
    return move, first, last, distance(move, first, last)
