"""The one place that knows how a version of Klipper names its parts.

People run Klipper v0.11 to its head, and Kalico. If two versions differ, this module
has both names, and all other modules of the extra call it.

==========================================  =========================================
`motion_report.trapqs`                      v0.11 to v0.13.0, Kalico
`motion_report.dtrapqs`                     Klipper since October 2025
the event `probe:update_results`            Klipper since May 2024
only homing moves with a probe's endstop    before, and Kalico
`dual_carriage.dc`, two rails               v0.11 to v0.13.0, Kalico
`dual_carriage.dc_rails`, by name           Klipper since 2025, with an event
`ManualStepper.get_name`                    Klipper since October 2025
==========================================  =========================================
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from .guard import Handlers
from .klipper_objects import Carriage, HomingMove, MotionQueue, Printer, Stepper

# Sections that make `probe` one of Klipper's own probes. Other probes (Beacon,
# Cartographer and similar ones) measure the bed without an event for each touch.
PROBES = (
    "probe",
    "bltouch",
    "smart_effector",
    "probe_eddy_current",
    "load_cell_probe",
    "dockable_probe",
)

# The axes with a homing of their own, for kinematics where these are not x, y and z.
HOMED_AXES = {
    "none": (),
    "delta": (),
    "rotary_delta": (),
    "winch": (),
    "deltesian": ("y",),
    "polar": ("z",),
}
AXES = ("x", "y", "z")

DRAWN = 1e-7  # mm of filament after which a job counts as printing, as in Klipper


def motion_queues(printer: Printer) -> dict[str, MotionQueue]:
    """Return the histories of the toolhead's and extruders' queues, by their names."""
    report = printer.lookup_object("motion_report", None)
    queues = getattr(report, "dtrapqs", None) or getattr(report, "trapqs", None) or {}
    return dict(queues)


def extruders(printer: Printer) -> dict[str, Any]:
    """Return the extruders by their names in the configuration, in Klipper's order."""
    named: dict[str, Any] = {}
    for number in range(99):
        name = f"extruder{number or ''}"
        extruder = printer.lookup_object(name, None)
        if extruder is None:
            break
        named[name] = extruder
    return named


def file_folder(printer: Printer) -> str | None:
    """Return the folder of the files to print, or None without [virtual_sdcard]."""
    card = printer.lookup_object("virtual_sdcard", None)
    folder = getattr(card, "sdcard_dirname", None)
    return None if folder is None else str(folder)


def queue_moving(extruder: Any) -> object:
    """Return the queue that moves an extruder. SYNC_EXTRUDER_MOTION changes it.

    The extruder's status does not suffice: None means its own queue there, and in later
    versions no queue at all.
    """
    stepper = getattr(extruder, "extruder_stepper", None)
    return extruder.get_trapq() if stepper is None else stepper.stepper.get_trapq()


def kinematics(printer: Printer) -> str:
    """Return the option `kinematics` of the section [printer]."""
    settings = _settings(printer)
    return str(settings.get("printer", {}).get("kinematics", ""))


def homed_axes(printer: Printer) -> tuple[str, ...]:
    """Return the axes whose homings can be counted."""
    return HOMED_AXES.get(kinematics(printer), AXES)


def has_axes(printer: Printer) -> bool:
    """Return whether the printer has axes. With `kinematics: none` it has none."""
    return bool(printer.lookup_object("toolhead").get_kinematics().get_steppers())


def _settings(printer: Printer) -> Mapping[str, Mapping[str, Any]]:
    """Return the sections of Klipper's configuration, and their options."""
    configured = printer.lookup_object("configfile").get_status(0.0)
    settings: Mapping[str, Mapping[str, Any]] = configured["settings"]
    return settings


# Homing moves


def steps_run(move: HomingMove) -> dict[str, float]:
    """Return how far each stepper of a homing move turned, in mm and with a sign."""
    return {
        each.stepper_name: (each.halt_pos - each.start_pos)
        * each.stepper.get_step_dist()
        for each in move.stepper_positions
    }


def is_probing(move: HomingMove) -> bool:
    """Return whether a probe ends this move, for a homing or only for a touch."""
    return any(
        name == "probe" or hasattr(endstop, "get_position_endstop")
        for endstop, name in move.endstops
    )


class Touches:
    """Counts how often the probe touched the bed. Each touch counts once.

    A touch is a homing move, and newer versions also send an event. A scan of an eddy
    current sensor is only an event.
    """

    def __init__(self) -> None:
        self._counted = False  # whether the touch of the next event is already counted

    def moved(self, move: HomingMove) -> int:
        """Return how many touches a finished homing move adds."""
        if not is_probing(move):
            return 0
        self._counted = any(name == "probe" for _, name in move.endstops)
        return 1

    def updated(self, results: Sequence[Any]) -> int:
        """Return how many more touches `probe:update_results` adds."""
        # Up to v0.13.0, the argument is one position of three numbers.
        single = bool(results) and isinstance(results[0], (int, float))
        touches = 1 if single else len(results)
        known, self._counted = self._counted, False
        return max(0, touches - known)


def has_probe(printer: Printer) -> bool:
    """Return whether there is a probe of which Klipper reports each touch."""
    if printer.lookup_object("probe", None) is None:
        return False
    return any(name.split()[0] in PROBES for name in _settings(printer))


# Manual steppers


class Turn(NamedTuple):
    """A sequence of steps, with the attributes of a move: see `PlannedMove`."""

    print_time: float
    move_t: float
    start_v: float
    accel: float = 0.0
    start_x: float = 0.0
    start_y: float = 0.0
    start_z: float = 0.0
    x_r: float = 1.0
    y_r: float = 0.0
    z_r: float = 0.0


class StepQueue:
    """The steps that were sent to a motor, with the methods of a motion queue.

    No version keeps the motion queue of a manual stepper for long enough, and an
    endstop does not shorten the moves in it. The history of its steps is kept.
    """

    def __init__(self, dumped: Any) -> None:
        self._steps = dumped.get_step_queue
        self._stepper: Stepper = dumped.mcu_stepper

    def extract_trapq(
        self, start_time: float, end_time: float
    ) -> tuple[Sequence[Turn], None]:
        mcu = self._stepper.get_mcu()
        time, clock = mcu.clock_to_print_time, mcu.print_time_to_clock
        distance = self._stepper.get_step_dist()
        # A single step begins and ends at the same moment, but a move needs some time.
        shortest = 1e-7
        turns = []
        # Klipper leaves out steps exactly at the ends, so this adds a tick to each end.
        for run in self._steps(clock(start_time) - 1, clock(end_time) + 1)[0]:
            if not run.step_count:
                continue
            begin = time(run.first_clock)
            lasts = max(time(run.last_clock) - begin, shortest)
            turns.append(Turn(begin, lasts, run.step_count * distance / lasts))
        return turns, None


def manual_steppers(printer: Printer) -> dict[str, tuple[Any, StepQueue]]:
    """Return the step queues of all readable `manual_stepper`s, by Klipper's names."""
    report = printer.lookup_object("motion_report", None)
    dumped = getattr(report, "steppers", None) or {}
    return {
        name: (stepper, StepQueue(dumped[name]))
        for name, stepper in printer.lookup_objects("manual_stepper")
        if name in dumped
    }


# Two carriages on one axis


class _OldRail:
    """One of the two carriages of Klipper up to v0.13.0, and of Kalico."""

    def __init__(self, module: Any, rail: Any) -> None:
        self.axis: int = module.axis
        self.is_active = rail.is_active


def carriages(printer: Printer) -> dict[str, Carriage]:
    """Return the carriages that share an axis, by name. Other printers have none."""
    module = printer.lookup_object("dual_carriage", None)
    if module is None:
        return {}
    rails = getattr(module, "dc_rails", None)
    if isinstance(rails, Mapping):
        return dict(rails)
    return {str(n): _OldRail(module, rail) for n, rail in enumerate(module.dc)}


# The print


class Drawing:
    """Decides whether filament was drawn in this job, by the positions of G-code.

    Klipper's own `print_duration` also begins with the first extrusion. Before May
    2025, and in Kalico, it falls to 0 when another extruder becomes active, since the
    position of one extruder is subtracted from the position of the other.
    """

    def __init__(self, printer: Printer, handlers: Handlers) -> None:
        self._gcode_move = printer.lookup_object("gcode_move", None)
        self._toolhead = printer.lookup_object("toolhead", None)
        self._extruder = self._active()
        self._needs_none = not extruders(printer)
        self._position = self._read()
        self._drawn = 0.0
        # Klipper's own handler runs first, so the position is already the new
        # extruder's.
        handlers.add("extruder:activate_extruder", self._other_extruder)

    def begin(self) -> None:
        """Note that a job has begun since the last poll."""
        self._drawn = 0.0

    def has_begun(self) -> bool:
        """Return whether filament was drawn. Without extruders, none is needed."""
        before, self._position = self._position, self._read()
        if self._drawn < DRAWN:
            self._drawn += self._position - before
        return self._needs_none or self._drawn >= DRAWN

    def _read(self) -> float:
        """Return the position of the active extruder by G-code, in mm."""
        if self._gcode_move is None:
            return 0.0
        position: float = self._gcode_move.get_status(0.0)["position"][3]
        return position

    def _active(self) -> Any:
        return None if self._toolhead is None else self._toolhead.get_extruder()

    def _other_extruder(self) -> None:
        # This is what the other extruder drew from the last poll until its end.
        left = getattr(self._extruder, "last_position", self._position)
        # The retraction of the parked extruder does not count for the next one.
        self._drawn = max(0.0, self._drawn + left - self._position)
        self._extruder, self._position = self._active(), self._read()
