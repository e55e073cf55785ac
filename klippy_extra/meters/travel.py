"""How far axes, carriages and manual steppers moved, in mm."""

from __future__ import annotations

from typing import Any

from .base import Increments
from .carriages import carriages
from .families import each
from .queue import MOVES, Piece

AXES = ("x", "y", "z")


class Travel:
    """``travel_x``, ``travel_y``, ``travel_z``, and carriages where they differ."""

    queues = ("toolhead",)

    def __init__(self, printer) -> None:
        named = each("travel", AXES)
        self._axes = [named[axis][0] for axis in AXES]
        self._carriages = carriages(printer)
        self.moves = self._carriages.moves
        self.meters = dict(named.values(), **self._carriages.meters)

    def read(self, queue: str, pieces: list[Piece], eventtime: float) -> Increments:
        x = y = z = 0.0
        for move, _, _, length in pieces:
            x += abs(length * move.x_r)
            y += abs(length * move.y_r)
            z += abs(length * move.z_r)
        lengths = (x, y, z)
        return dict(zip(self._axes, lengths), **self._carriages.read(pieces, lengths))

    def homed(self, queue: str, move: Any, eventtime: float) -> Increments:
        kinematics = move.toolhead.get_kinematics()
        end = {
            s.get_name(): s.get_commanded_position() for s in kinematics.get_steppers()
        }
        ran = steps_run(move)
        begin = {name: position - ran.get(name, 0.0) for name, position in end.items()}
        lengths = [
            0.0 if a is None or b is None else abs(b - a)
            for a, b in zip(
                kinematics.calc_position(begin), kinematics.calc_position(end)
            )
        ]
        return dict(zip(self._axes, lengths), **self._carriages.homed(ran, lengths))


class ManualSteppers:
    """``travel_<name>`` of each ``[manual_stepper name]``."""

    def __init__(self, printer) -> None:
        self.moves = MOVES
        self.queues = tuple(
            name for name, _ in printer.lookup_objects("manual_stepper")
        )
        named = each("travel", AXES + self.queues)
        self._names = {queue: named[queue][0] for queue in self.queues}
        self.meters = dict(named[queue] for queue in self.queues)

    def read(self, queue: str, pieces: list[Piece], eventtime: float) -> Increments:
        return {self._names[queue]: sum(abs(length) for _, _, _, length in pieces)}

    def homed(self, queue: str, move: Any, eventtime: float) -> Increments:
        ran = steps_run(move)
        return {self._names[queue]: max(map(abs, ran.values()), default=0.0)}


def steps_run(move: Any) -> dict[str, float]:
    """Return how far each stepper of a homing move turned, in mm, signed."""
    return {
        each.stepper_name: (each.halt_pos - each.start_pos)
        * each.stepper.get_step_dist()
        for each in move.stepper_positions
    }
