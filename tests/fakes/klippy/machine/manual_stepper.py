"""`manual_stepper NAME`: a motor that a macro moves, beside the toolhead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.klippy.motion import Move, Planner, TrapQ

from .mechanics import accept_all

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section
    from tests.fakes.klippy.gcode import Command


def load_config_prefix(config: Section) -> ManualStepper:
    return ManualStepper(config)


class ManualStepper:
    def __init__(self, config: Section) -> None:
        self._printer = config.get_printer()
        self._name = config.get_name()
        self._speed = config.getfloat("velocity", 5.0, above=0.0)
        self._accel = config.getfloat("accel", 0.0, minval=0.0) or 1e6
        self._trapq = TrapQ()
        self._position = 0.0
        accept_all(config)
        self._printer.lookup_object("gcode").register_mux_command(
            "MANUAL_STEPPER",
            "STEPPER",
            self._name.split()[1],
            self._cmd_move,
            desc="Move a motor that no axis has",
        )

    def get_name(self) -> str:
        return self._name

    def get_trapq(self) -> TrapQ:
        return self._trapq

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {"position": self._position, "enabled": True}

    def _cmd_move(self, gcmd: Command) -> None:
        self._position = gcmd.get_float("SET_POSITION", self._position)
        target = gcmd.get_float("MOVE", None)
        if target is None:
            return
        move = Move(
            (self._position, 0.0, 0.0, 0.0),
            (target, 0.0, 0.0, 0.0),
            gcmd.get_float("SPEED", self._speed, above=0.0),
            gcmd.get_float("ACCEL", self._accel, above=0.0),
        )
        if not move.distance:
            return
        planner = Planner()
        planner.add(move, 0.0, 0.0)
        planner.take_all()
        toolhead = self._printer.lookup_object("toolhead")
        self._trapq.extend(move.segments(toolhead.get_last_move_time()))
        self._position = target
        if gcmd.get_int("SYNC", 1):
            toolhead.dwell(move.duration)
