"""Counts how far axes, carriages and manual steppers moved, in mm."""

from __future__ import annotations

from typing import Sequence

from .. import klipper
from ..guard import Handlers
from ..klipper_objects import HomingMove, Printer
from .base import Increments
from .carriages import carriages
from .families import each
from .queue import MOVES, Piece


class Travel:
    """``travel_x``, ``travel_y``, ``travel_z``, and carriages if they differ."""

    def __init__(self, printer: Printer, handlers: Handlers) -> None:
        named = each("travel", klipper.AXES)
        self._axes = [named[axis][0] for axis in klipper.AXES]
        self._carriages = carriages(printer, handlers)
        self.moves = self._carriages.moves
        self.meters = dict(named.values(), **self._carriages.meters)

    def read(self, queue: str, pieces: Sequence[Piece], eventtime: float) -> Increments:
        x = y = z = 0.0
        for move, _, _, length in pieces:
            x += abs(length * move.x_r)
            y += abs(length * move.y_r)
            z += abs(length * move.z_r)
        lengths = (x, y, z)
        return dict(zip(self._axes, lengths), **self._carriages.read(pieces, lengths))

    def homed(self, queue: str, move: HomingMove) -> Increments:
        kinematics = move.toolhead.get_kinematics()
        end = {
            s.get_name(): s.get_commanded_position() for s in kinematics.get_steppers()
        }
        ran = klipper.steps_run(move)
        begin = {name: position - ran.get(name, 0.0) for name, position in end.items()}
        lengths = [
            0.0 if a is None or b is None else abs(b - a)
            for a, b in zip(
                kinematics.calc_position(begin), kinematics.calc_position(end)
            )
        ]
        return dict(zip(self._axes, lengths), **self._carriages.homed(ran, lengths))


class ManualSteppers:
    """``travel_<name>`` of each ``[manual_stepper name]``, by its steps."""

    moves = MOVES

    def __init__(self, names: list[str]) -> None:
        named = each("travel", [*klipper.AXES, *names])
        self._names = {name: named[name][0] for name in names}
        self.meters = dict(named[name] for name in names)

    def read(self, queue: str, pieces: Sequence[Piece], eventtime: float) -> Increments:
        return {self._names[queue]: sum(abs(length) for _, _, _, length in pieces)}

    def homed(self, queue: str, move: HomingMove) -> Increments:
        ran = klipper.steps_run(move)
        return {self._names[queue]: max(map(abs, ran.values()), default=0.0)}
