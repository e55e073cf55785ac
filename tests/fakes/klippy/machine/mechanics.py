"""The objects that every printer has, whatever its configuration is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.klippy.gcode import Coord
from tests.fakes.klippy.motion import Segment, TrapQ

from .homing import Homing
from .moves import GCodeMove
from .toolhead import ToolHead

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section
    from tests.fakes.klippy.host import Printer

EVERYWHERE = ("heaters", "gcode_macro", "idle_timeout")


def add_early_objects(config: Section) -> None:
    printer = config.get_printer()
    if config.has_section("mcu"):
        accept_all(config.getsection("mcu"))
    printer.add_object("mcu", Mcu(printer))
    printer.add_object("gcode_move", GCodeMove(printer))


def add_late_objects(config: Section) -> None:
    printer = config.get_printer()
    toolhead = ToolHead(config)
    printer.add_object("toolhead", toolhead)
    printer.add_object("stepper_enable", StepperEnable(printer))
    printer.add_object("motion_report", MotionReport(printer))
    printer.add_object("homing", Homing(printer))
    for name in EVERYWHERE:
        printer.load_object(config, name)
    if config.has_section("extruder"):
        toolhead.set_extruder(printer.lookup_object("extruder"), 0.0)


def accept_all(config: Section) -> None:
    """Accept every option of a section that has no effect here."""
    for option in config.get_prefix_options(""):
        config.get(option)


class Mcu:
    """`mcu`: its clock starts with the printer."""

    def __init__(self, printer: Printer) -> None:
        self._start = printer.get_reactor().monotonic() - 1.0

    def get_name(self) -> str:
        return "mcu"

    def estimated_print_time(self, eventtime: float) -> float:
        return eventtime - self._start

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {"mcu_version": "virtual", "last_stats": {}}


class StepperEnable:
    """`stepper_enable`: a motor is on from its first step until M84."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._toolhead = printer.lookup_object("toolhead")
        self._on: dict[str, bool] = {
            stepper.get_name(): False
            for stepper in self._toolhead.get_kinematics().get_steppers()
        }
        gcode = printer.lookup_object("gcode")
        for name in ("M18", "M84"):
            gcode.register_command(name, lambda gcmd: self.motor_off())
        printer.register_event_handler(
            "gcode:request_restart", lambda print_time: self.motor_off()
        )
        printer.register_event_handler("toolhead:sync_print_time", self._moved)

    def _moved(self, *times: float) -> None:
        self._on = dict.fromkeys(self._on, True)

    def motor_off(self) -> None:
        self._toolhead.flush_step_generation()
        self._on = dict.fromkeys(self._on, False)
        self._toolhead.get_kinematics().clear_homing_state("xyz")
        self._printer.send_event("stepper_enable:motor_off")

    def get_steppers(self) -> list[str]:
        return list(self._on)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {"steppers": dict(self._on)}


class DumpTrapQ:
    """One queue of motion, as `motion_report` offers it."""

    def __init__(self, trapq: TrapQ) -> None:
        self._trapq = trapq

    def extract_trapq(
        self, start_time: float, end_time: float
    ) -> tuple[list[Segment], list[Segment]]:
        """Return the moves between two print times in their order, and the raw data."""
        moves = self._trapq.between(start_time, end_time)
        return moves, moves

    def get_trapq_position(
        self, print_time: float
    ) -> tuple[tuple[float, float, float] | None, float | None]:
        moves = self._trapq.between(0.0, print_time)
        if not moves:
            return None, None
        move = moves[-1]
        move_t = min(max(print_time - move.print_time, 0.0), move.move_t)
        return move.position(print_time), move.start_v + move.accel * move_t


def has_old_names(printer: Printer) -> bool:
    """Whether the printer is a Klipper up to v0.13.0, or Kalico, as in `klipper.py`."""
    return bool(printer.get_start_args().get("old_names"))


class MotionReport:
    """`motion_report`: the recent and the current motion."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._queues: dict[str, DumpTrapQ] = {}
        setattr(self, "trapqs" if has_old_names(printer) else "dtrapqs", self._queues)
        printer.register_event_handler("klippy:connect", self._handle_connect)

    def _handle_connect(self) -> None:
        toolhead = self._printer.lookup_object("toolhead")
        self._queues["toolhead"] = DumpTrapQ(toolhead.get_trapq())
        for name, owner in self._printer.lookup_objects():
            if name.startswith("extruder"):
                self._queues[name] = DumpTrapQ(owner.get_trapq())

    def get_status(self, eventtime: float) -> dict[str, Any]:
        now = self._printer.lookup_object("mcu").estimated_print_time(eventtime)
        status: dict[str, Any] = {
            "live_position": Coord(),
            "live_velocity": 0.0,
            "live_extruder_velocity": 0.0,
            "steppers": [],
            "trapq": sorted(self._queues),
        }
        if not self._queues:
            return status
        position, velocity = self._queues["toolhead"].get_trapq_position(now)
        if position is not None:
            status["live_position"] = Coord(*position)
            status["live_velocity"] = velocity
        extruder = self._printer.lookup_object("toolhead").get_extruder()
        if extruder is not None:
            queue = self._queues[extruder.get_name()]
            status["live_extruder_velocity"] = queue.get_trapq_position(now)[1] or 0.0
        return status
