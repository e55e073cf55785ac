"""Extruders: a heater, a queue of filament, and the active tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.klippy.gcode import Command
from tests.fakes.klippy.motion import Move, TrapQ

from .mechanics import accept_all

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section

    from .heaters import Heater


def load_config(config: Section) -> Extruder:
    return Extruder(config)


class Extruder:
    """`extruder`, `extruder1` ..."""

    def __init__(self, config: Section) -> None:
        self._printer = printer = config.get_printer()
        self._name = config.get_name()
        number = self._name[len("extruder") :] or "0"
        self._heater: Heater = printer.load_object(config, "heaters").setup_heater(
            config, f"T{number}"
        )
        self._trapq = TrapQ()
        self._pressure_advance = config.getfloat("pressure_advance", 0.0, minval=0.0)
        self._max_distance = config.getfloat("max_extrude_only_distance", 50.0)
        self.limits: tuple[float, float] = (
            config.getfloat("max_extrude_only_accel", 1500.0, above=0.0),
            config.getfloat("max_extrude_only_velocity", 120.0, above=0.0),
        )
        self._last_position = 0.0
        accept_all(config)
        gcode = printer.lookup_object("gcode")
        gcode.register_mux_command(
            "ACTIVATE_EXTRUDER",
            "EXTRUDER",
            self._name,
            self._cmd_activate,
            desc="Change the active extruder",
        )
        if number == "0":
            gcode.register_command("M104", self._cmd_heat)
            gcode.register_command("M109", self._cmd_heat_and_wait)

    def get_name(self) -> str:
        return self._name

    def get_heater(self) -> Heater:
        return self._heater

    def get_trapq(self) -> TrapQ:
        return self._trapq

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            **self._heater.get_status(eventtime),
            "can_extrude": self._heater.can_extrude,
            "pressure_advance": self._pressure_advance,
            "smooth_time": 0.04,
            "motion_queue": self._name,
        }

    def check_move(self, move: Move) -> None:
        if not self._heater.can_extrude:
            raise self._printer.command_error(
                f"{self._name} is too cold to extrude: see min_extrude_temp"
            )
        if not move.is_kinematic and abs(move.delta[3]) > self._max_distance:
            raise self._printer.command_error(
                f"{abs(move.delta[3]):.3f} mm of filament in one move are too much:"
                " see max_extrude_only_distance"
            )

    def _cmd_activate(self, gcmd: Command) -> None:
        toolhead = self._printer.lookup_object("toolhead")
        active = toolhead.get_extruder()
        if active is self:
            gcmd.respond_info(f"{self._name} is active already")
            return
        toolhead.flush_step_generation()
        if active is not None:
            active.leave(toolhead.get_position()[3])
        toolhead.set_extruder(self, self._last_position)
        self._printer.send_event("extruder:activate_extruder")

    def leave(self, position: float) -> None:
        self._last_position = position

    def _addressed(self, gcmd: Command) -> Heater:
        """Return the heater of the tool that `T` names, or of the active tool."""
        number = gcmd.get_int("T", None, minval=0)
        if number is None:
            active = self._printer.lookup_object("toolhead").get_extruder()
            return (active or self).get_heater()
        name = f"extruder{number or ''}"
        extruder = self._printer.lookup_object(name, None)
        if extruder is None:
            raise gcmd.error(f"There is no {name}")
        return extruder.get_heater()  # type: ignore[no-any-return]

    def _cmd_heat(self, gcmd: Command) -> None:
        self._addressed(gcmd).set_temp(gcmd.get_float("S", 0.0))

    def _cmd_heat_and_wait(self, gcmd: Command) -> None:
        heater = self._addressed(gcmd)
        heater.set_temp(gcmd.get_float("S", 0.0))
        heater.wait()
