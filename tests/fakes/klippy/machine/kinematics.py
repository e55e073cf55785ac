"""Rails and steppers: from a position to motors, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Sequence

from tests.fakes.klippy.gcode import Coord

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section
    from tests.fakes.klippy.motion import Move

AXES = "xyz"

# The position of each motor for a position of the toolhead, by kind of machine.
MIXES: dict[str, dict[str, tuple[float, float, float]]] = {
    "cartesian": {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)},
    "corexy": {"x": (1, 1, 0), "y": (1, -1, 0), "z": (0, 0, 1)},
}


class Stepper:
    """A motor. Its position is the number of steps that it has really made."""

    def __init__(self, name: str, step_dist: float, mix: tuple[float, ...]) -> None:
        self._name = name
        self._step_dist = step_dist
        self._mix = mix
        self._commanded = 0.0
        self._offset = 0.0  # mm between the commanded position and the steps

    def get_name(self, short: bool = False) -> str:
        return self._name[8:] if short and self._name[:8] == "stepper_" else self._name

    def get_step_dist(self) -> float:
        return self._step_dist

    def get_commanded_position(self) -> float:
        return self._commanded

    def calc_position_from_coord(self, coord: Sequence[float]) -> float:
        return sum(ratio * value for ratio, value in zip(self._mix, coord))

    def get_mcu_position(self, cmd_pos: float | None = None) -> int:
        commanded = self._commanded if cmd_pos is None else cmd_pos
        return round((commanded + self._offset) / self._step_dist)

    def mcu_to_commanded_position(self, mcu_pos: int) -> float:
        return mcu_pos * self._step_dist - self._offset

    def follow(self, coord: Sequence[float]) -> None:
        """Make steps until *coord* is reached."""
        self._commanded = self.calc_position_from_coord(coord)

    def rename(self, coord: Sequence[float]) -> None:
        """Give the present place of the motor the name *coord*. No step is made."""
        stepped = self._commanded + self._offset
        self._commanded = self.calc_position_from_coord(coord)
        self._offset = stepped - self._commanded


class Endstop:
    """A switch and the motors that it stops."""

    def __init__(self, steppers: list[Stepper], is_probe: bool) -> None:
        self._steppers = steppers
        self.is_probe = is_probe

    def get_steppers(self) -> list[Stepper]:
        return list(self._steppers)


class HomingInfo(NamedTuple):
    speed: float
    position_endstop: float
    retract_speed: float
    retract_dist: float
    positive_dir: bool
    second_homing_speed: float


class Rail:
    """The parts of one axis: its motors, its switch and its limits."""

    def __init__(self, config: Section, steppers: list[Stepper]) -> None:
        self._name = config.get_name()
        self._steppers = steppers
        self.is_probed = "virtual_endstop" in config.get("endstop_pin", "")
        self.low = config.getfloat("position_min", 0.0)
        self.high = config.getfloat("position_max", above=self.low)
        endstop = config.getfloat(
            "position_endstop", 0.0, minval=self.low, maxval=self.high
        )
        upwards = config.getboolean(
            "homing_positive_dir", endstop > 0.5 * (self.low + self.high)
        )
        speed = config.getfloat("homing_speed", 5.0, above=0.0)
        retract = config.getfloat("homing_retract_dist", 5.0, minval=0.0)
        self._info = HomingInfo(
            speed=speed,
            position_endstop=endstop,
            retract_speed=config.getfloat("homing_retract_speed", speed, above=0.0),
            retract_dist=retract,
            positive_dir=upwards,
            second_homing_speed=config.getfloat(
                "second_homing_speed", speed / 2.0, above=0.0
            ),
        )
        self.endstop = Endstop(list(steppers), self.is_probed)

    def get_name(self, short: bool = False) -> str:
        return self._name[8:] if short else self._name

    def get_range(self) -> tuple[float, float]:
        return self.low, self.high

    def get_steppers(self) -> list[Stepper]:
        return list(self._steppers)

    def get_endstops(self) -> list[tuple[Endstop, str]]:
        return [(self.endstop, self._name)]

    def get_homing_info(self) -> HomingInfo:
        return self._info


class Kinematics:
    """Three rails of a cartesian or a CoreXY machine."""

    def __init__(self, config: Section) -> None:
        self._command_error = config.get_printer().command_error
        self.mix = config.getchoice("kinematics", {name: MIXES[name] for name in MIXES})
        self.rails = [self._rail(config, axis) for axis in AXES]
        self._homed = [False, False, False]
        # The real place of the carriages, relative to the assumed one: when a machine
        # is turned on they stand somewhere in the middle.
        self.real_offset = [0.4 * rail.high for rail in self.rails]
        if self.mix is MIXES["corexy"]:
            for rail in self.rails[:2]:
                rail.endstop = Endstop(
                    self.rails[0].get_steppers() + self.rails[1].get_steppers(),
                    rail.is_probed,
                )

    def _rail(self, config: Section, axis: str) -> Rail:
        names = [f"stepper_{axis}"]
        names += [
            f"stepper_{axis}{number}"
            for number in range(1, 10)
            if config.has_section(f"stepper_{axis}{number}")
        ]
        steppers = []
        for name in names:
            section = config.getsection(name)
            rotation = section.getfloat("rotation_distance", 40.0, above=0.0)
            microsteps = section.getint("microsteps", 16, minval=1)
            steps = section.getint("full_steps_per_rotation", 200, minval=1)
            step_dist = rotation / (steps * microsteps)
            steppers.append(Stepper(name, step_dist, self.mix[axis]))
            for option in section.get_prefix_options(""):
                section.get(option)  # Pins and currents have no effect here.
        return Rail(config.getsection(names[0]), steppers)

    def get_steppers(self) -> list[Stepper]:
        return [stepper for rail in self.rails for stepper in rail.get_steppers()]

    def calc_position(self, stepper_positions: dict[str, float]) -> list[float]:
        """Return the coordinates (mm) for the positions of the steppers (mm)."""
        x, y, z = (stepper_positions[rail.get_name()] for rail in self.rails)
        if self.mix is MIXES["corexy"]:
            return [0.5 * (x + y), 0.5 * (x - y), z]
        return [x, y, z]

    def set_position(self, newpos: Sequence[float], homing_axes: str) -> None:
        for axis, name in enumerate(AXES):
            if name in homing_axes:
                self._homed[axis] = True
        for stepper in self.get_steppers():
            stepper.rename(newpos)

    def clear_homing_state(self, clear_axes: str) -> None:
        for axis, name in enumerate(AXES):
            if name in clear_axes:
                self._homed[axis] = False

    def check_move(self, move: Move) -> None:
        for axis, rail in enumerate(self.rails):
            if not move.delta[axis]:
                continue
            if not self._homed[axis]:
                raise self._command_error(
                    f"Axis {AXES[axis]} was not homed: it cannot move to"
                    f" {move.end[axis]:.3f}"
                )
            if not rail.low - 1e-6 <= move.end[axis] <= rail.high + 1e-6:
                raise self._command_error(
                    f"Move out of range: {AXES[axis]} {move.end[axis]:.3f} is not"
                    f" in {rail.low:.3f} to {rail.high:.3f}"
                )

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            "homed_axes": "".join(
                name for name, homed in zip(AXES, self._homed) if homed
            ),
            "axis_minimum": Coord(*(rail.low for rail in self.rails)),
            "axis_maximum": Coord(*(rail.high for rail in self.rails)),
        }
