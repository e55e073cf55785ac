"""Carriages that move differently from an axis: two on one rail, or a delta's."""

from __future__ import annotations

import math
from collections import deque
from typing import List, Mapping, Sequence, Tuple, Union

from .. import klipper
from ..contract import Meter
from ..guard import Handlers
from ..klipper_objects import Carriage, PlannedMove, Printer, Toolhead
from .base import Increments
from .families import each
from .queue import MOVES, Piece, distance

TOWERS = {
    "delta": ("stepper_a", "stepper_b", "stepper_c"),
    "deltesian": ("stepper_left", "stepper_right"),
}
EPSILON = 1e-6  # seconds
Moving = List[Tuple[str, int]]  # meters of moving carriages, each with its axis
CHORD = 5.0  # mm; a tower's carriage goes up and down during a straight move


def carriages(printer: Printer, handlers: Handlers) -> Carriages:
    """Return the reader of this printer's carriages. It may have no meters."""
    rails = klipper.carriages(printer)
    return DualCarriages(printer, rails, handlers) if rails else Towers(printer)


class DualCarriages:
    """Carriages that share an axis. By their modes, one of them moves, or both."""

    def __init__(
        self, printer: Printer, rails: Mapping[str, Carriage], handlers: Handlers
    ) -> None:
        self.moves = MOVES
        named = each("travel_carriage", rails)
        self.meters = dict(named.values())
        self._rails = [(named[name][0], rail) for name, rail in rails.items()]
        self._reactor = printer.get_reactor()
        self._toolhead: Toolhead = printer.lookup_object("toolhead")
        # Former sets of moving carriages, each with the print time of its end.
        self._before: deque[tuple[float, Moving]] = deque()
        self._moving = self._active()
        self._planned = self._print_time()  # until then, `_moving` is right
        # Klipper switches while the last moves of the old mode are not made yet. Newer
        # versions send the first event just before each switch. Older versions and
        # Kalico send the second event after most switches. A switch without an event is
        # noticed at the next poll.
        for event, handle in (
            ("dual_carriage:update_kinematics", self._about_to_switch),
            ("toolhead:set_position", self._has_switched),
        ):
            handlers.add(event, handle)

    def read(self, pieces: Sequence[Piece], lengths: Sequence[float]) -> Increments:
        self._notice()
        self._planned = self._print_time()
        if not self._before:
            return {meter: lengths[axis] for meter, axis in self._moving}
        increments = dict.fromkeys(self.meters, 0.0)
        for move, _, _, length in pieces:
            while self._before and move.print_time >= self._before[0][0] - EPSILON:
                self._before.popleft()
            ratios = (move.x_r, move.y_r, move.z_r)
            for meter, axis in self._before[0][1] if self._before else self._moving:
                increments[meter] += abs(length * ratios[axis])
        return increments

    def homed(self, ran: dict[str, float], lengths: Sequence[float]) -> Increments:
        return {meter: lengths[axis] for meter, axis in self._active()}

    def _active(self) -> Moving:
        """Return the meters of the carriages that move from now on, with their axes."""
        return [(meter, rail.axis) for meter, rail in self._rails if rail.is_active()]

    def _print_time(self) -> float:
        """Return the print time up to which moves are planned."""
        planned: float = self._toolhead.check_busy(self._reactor.monotonic())[0]
        return planned

    def _about_to_switch(self) -> None:
        self._notice()
        self._planned = self._print_time()

    def _has_switched(self) -> None:
        self._planned = self._print_time()
        self._notice()

    def _notice(self) -> None:
        """Note the time since which other carriages move, if they have changed."""
        active = self._active()
        if active == self._moving:
            return
        if not self._before or self._before[-1][0] < self._planned:
            self._before.append((self._planned, self._moving))
        self._moving = active


class Towers:
    """The carriages of a delta. The kinematics give their ways up and down."""

    def __init__(self, printer: Printer) -> None:
        steppers = {
            stepper.get_name(): stepper
            for stepper in printer.lookup_object("toolhead")
            .get_kinematics()
            .get_steppers()
        }
        names = [
            n for n in TOWERS.get(klipper.kinematics(printer), ()) if n in steppers
        ]
        named = each("travel_carriage", [n[len("stepper_") :] for n in names])
        self._meters = dict(zip(names, (name for name, _ in named.values())))
        self._height = [
            (self._meters[n], steppers[n].calc_position_from_coord) for n in names
        ]
        self.meters: dict[str, Meter] = dict(named.values())
        # A call of the kinematics for each tower would take five times as long.
        self.moves = MOVES // 5 if self._height else MOVES

    def read(self, pieces: Sequence[Piece], lengths: Sequence[float]) -> Increments:
        climbed = {meter: 0.0 for meter, _ in self._height}
        for piece in pieces if self._height else ():
            points = _points(*piece)
            for meter, height in self._height:
                heights = [height(point) for point in points]
                climbed[meter] += sum(abs(b - a) for a, b in zip(heights, heights[1:]))
        return climbed

    def homed(self, ran: dict[str, float], lengths: Sequence[float]) -> Increments:
        return {
            meter: abs(ran[name]) for name, meter in self._meters.items() if name in ran
        }


Carriages = Union[DualCarriages, Towers]


def _points(
    move: PlannedMove, begin: float, end: float, length: float
) -> list[list[float]]:
    """Return positions along a piece of a move, at most a chord apart."""
    chords = max(1, math.ceil(abs(length) / CHORD))
    start = distance(move, 0.0, begin)
    along = [start + length * i / chords for i in range(chords + 1)]
    return [
        [
            move.start_x + move.x_r * d,
            move.start_y + move.y_r * d,
            move.start_z + move.z_r * d,
        ]
        for d in along
    ]
