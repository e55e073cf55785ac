"""What G0 and G1 mean: absolute or relative, scaled and shifted (`gcode_move`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.klippy.gcode import Command, Coord

if TYPE_CHECKING:
    from tests.fakes.klippy.host import Printer

AXES = "XYZE"
E = 3


class GCodeMove:
    """`gcode_move`."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._absolute = True
        self._absolute_extrude = True
        self._position = [0.0, 0.0, 0.0, 0.0]  # the last target of the toolhead
        self._base = [0.0, 0.0, 0.0, 0.0]  # the place of zero after G92 and offsets
        self._homing = [0.0, 0.0, 0.0, 0.0]
        self._speed = 25.0  # mm/s, without the speed factor
        self._speed_factor = 1.0
        self._extrude_factor = 1.0
        self._saved: dict[str, dict[str, Any]] = {}
        gcode = printer.lookup_object("gcode")
        for names, handler in (
            (("G0", "G1"), self._cmd_move),
            (("G21",), lambda gcmd: None),
            (("G90",), lambda gcmd: self._set_absolute(True)),
            (("G91",), lambda gcmd: self._set_absolute(False)),
            (("M82",), lambda gcmd: self._set_absolute_extrude(True)),
            (("M83",), lambda gcmd: self._set_absolute_extrude(False)),
            (("G92",), self._cmd_set_origin),
            (("M114",), self._cmd_where),
            (("M221",), self._cmd_extrude_factor),
            (("SAVE_GCODE_STATE",), self._cmd_save),
            (("RESTORE_GCODE_STATE",), self._cmd_restore),
        ):
            for name in names:
                gcode.register_command(name, handler)
        for event in (
            "klippy:ready",
            "toolhead:set_position",
            "homing:home_rails_end",
            "extruder:activate_extruder",
        ):
            printer.register_event_handler(event, self.reset_last_position)

    def reset_last_position(self, *event: Any) -> None:
        """Start again from the present place of the toolhead."""
        toolhead = self._printer.lookup_object("toolhead", None)
        if toolhead is not None:
            self._position = list(toolhead.get_position())

    def get_status(self, eventtime: float | None = None) -> dict[str, Any]:
        return {
            "speed_factor": self._speed_factor,
            "speed": self._speed * 60.0,
            "extrude_factor": self._extrude_factor,
            "absolute_coordinates": self._absolute,
            "absolute_extrude": self._absolute_extrude,
            "homing_origin": Coord(*self._homing),
            "position": Coord(*self._position),
            "gcode_position": Coord(*self._gcode_position()),
            "axis_map": {axis: index for index, axis in enumerate(AXES)},
        }

    def _gcode_position(self) -> list[float]:
        position = [at - base for at, base in zip(self._position, self._base)]
        position[E] /= self._extrude_factor
        return position

    def _set_absolute(self, absolute: bool) -> None:
        self._absolute = absolute

    def _set_absolute_extrude(self, absolute: bool) -> None:
        self._absolute_extrude = absolute

    def _cmd_move(self, gcmd: Command) -> None:
        words = gcmd.get_command_parameters()
        try:
            for index, axis in enumerate(AXES):
                if axis in words:
                    self._shift(index, float(words[axis]))
            if "F" in words:
                speed = float(words["F"]) / 60.0
                if speed <= 0.0:
                    raise gcmd.error(f"'{gcmd.get_commandline()}': F must be above 0")
                self._speed = speed
        except ValueError as error:
            raise gcmd.error(
                f"'{gcmd.get_commandline()}': not a number among its words"
            ) from error
        toolhead = self._printer.lookup_object("toolhead")
        toolhead.move(self._position, self._speed * self._speed_factor)

    def _shift(self, index: int, value: float) -> None:
        absolute = self._absolute
        if index == E:
            value *= self._extrude_factor
            absolute = absolute and self._absolute_extrude
        if absolute:
            self._position[index] = value + self._base[index]
        else:
            self._position[index] += value

    def _cmd_set_origin(self, gcmd: Command) -> None:
        """G92: give the present place other coordinates.

        Without axes all four become zero.
        """
        named = [gcmd.get_float(axis, None) for axis in AXES]
        if all(value is None for value in named):
            named = [0.0] * len(AXES)
        for index, value in enumerate(named):
            if value is not None:
                factor = self._extrude_factor if index == E else 1.0
                self._base[index] = self._position[index] - value * factor

    def _cmd_where(self, gcmd: Command) -> None:
        x, y, z, e = self._gcode_position()
        gcmd.respond_raw(f"X:{x:.3f} Y:{y:.3f} Z:{z:.3f} E:{e:.3f}")

    def _cmd_extrude_factor(self, gcmd: Command) -> None:
        factor = gcmd.get_float("S", 100.0, above=0.0) / 100.0
        shown = self._gcode_position()[E]
        self._base[E] = self._position[E] - shown * factor
        self._extrude_factor = factor

    def _cmd_save(self, gcmd: Command) -> None:
        self._saved[gcmd.get("NAME", "default")] = {
            "_absolute": self._absolute,
            "_absolute_extrude": self._absolute_extrude,
            "_base": list(self._base),
            "_homing": list(self._homing),
            "_speed": self._speed,
            "_speed_factor": self._speed_factor,
            "_extrude_factor": self._extrude_factor,
            "position": list(self._position),
        }

    def _cmd_restore(self, gcmd: Command) -> None:
        name = gcmd.get("NAME", "default")
        if name not in self._saved:
            raise gcmd.error(f"No state was saved as '{name}'")
        state = dict(self._saved[name])
        position = state.pop("position")
        # Filament that was extruded in between stays extruded.
        state["_base"] = list(state["_base"])
        state["_base"][E] += self._position[E] - position[E]
        for field, value in state.items():
            setattr(self, field, value)
        self._homing = list(self._homing)
        if gcmd.get_int("MOVE", 0):
            self._position[:E] = position[:E]
            speed = gcmd.get_float("MOVE_SPEED", self._speed, above=0.0)
            self._printer.lookup_object("toolhead").move(self._position, speed)
