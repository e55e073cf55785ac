"""A motion queue of Klipper, read so that every executed move counts once."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Tuple

from ..klipper_objects import MotionQueue, PlannedMove

SLICE = 0.25  # seconds of motion read at once
MOVES = 250  # moves read at once: about 1.5 µs each on a fast machine
SHORTEST = 0.02  # seconds

# Of a move: the seconds from its start between which it was read, and the distance
# along it, in mm, negative for a retraction.
Piece = Tuple[PlannedMove, float, float, float]


class Hole(NamedTuple):
    """A stretch of print time that is counted elsewhere; *end* is unknown at first."""

    begin: float
    end: float | None = None


class Queue:
    """Reads a ``motion_report`` queue from *start*, a print time, onwards.

    Homing leaves moves in the history that were cut short, so that stretch is a hole.
    *most* moves are about as many as one look should take.
    """

    def __init__(self, dumped: MotionQueue, start: float, most: int = MOVES) -> None:
        self._extract = dumped.extract_trapq
        self._read = start
        self._most = most
        self._slice = SLICE
        self._holes: deque[Hole] = deque()

    def behind(self, now: float) -> bool:
        """Whether there may be more to read."""
        return self._read < self._limit(now)

    def take(self, now: float) -> list[Piece]:
        """Return the next pieces of moves, oldest first: at most a slice of them."""
        start = self._read
        end = min(self._limit(now), start + self._slice)
        if end <= start:
            return []
        pieces = [_piece(move, start, end) for move in self._extract(start, end)[0]]
        self._read = end
        self._pass_holes()
        # The next look takes as many moves as it may, if they go on coming like this.
        fitting = (end - start) * self._most / max(1, len(pieces))
        self._slice = min(max(fitting, SHORTEST), 2.0 * self._slice, SLICE)
        return pieces

    def open_hole(self, begin: float) -> None:
        """Skip the moves after *begin*, until `close_hole` gives the end."""
        self.close_hole(begin)  # of a homing that broke off
        self._holes.append(Hole(max(begin, self._read)))

    def close_hole(self, end: float) -> None:
        """Read on from *end*. Without an open hole nothing happens."""
        if self._holes and self._holes[-1].end is None:
            self._holes[-1] = self._holes[-1]._replace(end=end)
            self._pass_holes()

    def _limit(self, now: float) -> float:
        return min(now, self._holes[0].begin) if self._holes else now

    def _pass_holes(self) -> None:
        while self._holes and self._read >= self._holes[0].begin:
            end = self._holes[0].end
            if end is None:
                return
            self._read = max(self._read, end)
            self._holes.popleft()


def distance(move: PlannedMove, begin: float, end: float) -> float:
    """Return the distance of *move* between two moments, in seconds from its start."""
    speed: float = move.start_v + 0.5 * move.accel * (begin + end)
    return speed * (end - begin)


def _piece(move: PlannedMove, start: float, end: float) -> Piece:
    first = max(0.0, start - move.print_time)
    last = max(first, min(move.move_t, end - move.print_time))
    return move, first, last, distance(move, first, last)
