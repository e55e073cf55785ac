"""A probe. It touches the bed, which is level and at the height 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.fakes.klippy.gcode import Command

from .homing import HomingMove
from .kinematics import Endstop
from .mechanics import accept_all, has_old_names

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section

Z = 2


class ProbeResult(NamedTuple):
    bed_x: float
    bed_y: float
    bed_z: float
    test_x: float
    test_y: float
    test_z: float


def load_config(config: Section) -> Probe:
    probe = Probe(config)
    if config.get_name() != "probe":
        config.get_printer().add_object("probe", probe)
    return probe


class Probe:
    """`probe`, `bltouch`."""

    def __init__(self, config: Section) -> None:
        self._printer = config.get_printer()
        self._name = config.get_name()
        self._z_offset = config.getfloat("z_offset")
        self._offsets = (
            config.getfloat("x_offset", 0.0),
            config.getfloat("y_offset", 0.0),
        )
        self._speed = config.getfloat("speed", 5.0, above=0.0)
        self._samples = config.getint("samples", 1, minval=1)
        self._retract = config.getfloat("sample_retract_dist", 2.0, above=0.0)
        self._last_z = 0.0
        accept_all(config)
        gcode = self._printer.lookup_object("gcode")
        gcode.register_command("PROBE", self._cmd_probe, desc="Probe the bed here")

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            "name": self._name,
            "last_query": False,
            "last_z_result": self._last_z,
        }

    def touch(self, speed: float) -> ProbeResult:
        """Move down until the probe touches the bed."""
        toolhead = self._printer.lookup_object("toolhead")
        kinematics = toolhead.get_kinematics()
        rail = kinematics.rails[Z]
        start = toolhead.get_position()
        target = list(start)
        target[Z] = rail.get_range()[0]
        really = start[Z] + kinematics.real_offset[Z]
        endstop = Endstop(rail.get_steppers(), is_probe=True)
        hmove = HomingMove(self._printer, [(endstop, "probe")])
        met, halt = hmove.run(target, speed, really - self._z_offset)
        halt[Z] += self._z_offset - met[Z]
        hmove.finish(Z, halt)
        self._last_z = 0.0
        x, y = start[0] + self._offsets[0], start[1] + self._offsets[1]
        return ProbeResult(x, y, 0.0, start[0], start[1], self._z_offset)

    def _cmd_probe(self, gcmd: Command) -> None:
        toolhead = self._printer.lookup_object("toolhead")
        eventtime = self._printer.get_reactor().monotonic()
        if "z" not in toolhead.get_status(eventtime)["homed_axes"]:
            raise gcmd.error("The printer must be homed before it can probe")
        speed = gcmd.get_float("PROBE_SPEED", self._speed, above=0.0)
        for _ in range(gcmd.get_int("SAMPLES", self._samples, minval=1)):
            result = self.touch(speed)
            if not has_old_names(self._printer):
                self._printer.send_event("probe:update_results", [result])
            gcmd.respond_info(
                f"probe: the bed is met at {result.bed_x:.3f},{result.bed_y:.3f},"
                f" z={result.bed_z:.6f}"
            )
            up = toolhead.get_position()
            up[Z] += self._retract
            toolhead.move(up, speed)
