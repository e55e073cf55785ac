"""Homing and probing: moves that end where a switch is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from tests.fakes.klippy.gcode import Command

from .kinematics import AXES, Endstop, Rail, Stepper

if TYPE_CHECKING:
    from tests.fakes.klippy.host import Printer

# From the trigger until the motors stand (s), because the micro-controller has to
# reply.
HALT_DELAY = 0.0002
# From the trigger until the queue of motion ends (s). Klippy queues a homing move in
# small portions, and the queued portions stay in the history though nothing moved.
QUEUED_AHEAD = 0.150


class StepperPosition:
    """Where a motor was before and after a move to a switch, in steps."""

    def __init__(self, stepper: Stepper, endstop_name: str) -> None:
        begin = stepper.get_mcu_position()
        self.stepper, self.endstop_name = stepper, endstop_name
        self.stepper_name = stepper.get_name()
        self.start_pos = begin
        self.start_cmd_pos = stepper.mcu_to_commanded_position(begin)
        self.trig_pos: int | None = None
        self.halt_pos: int | None = None


class HomingMove:
    """A move that ends at a switch. Handlers of the homing events get it."""

    def __init__(self, printer: Printer, endstops: list[tuple[Endstop, str]]) -> None:
        self._printer = printer
        self.endstops = endstops
        self.toolhead = printer.lookup_object("toolhead")
        self.stepper_positions: list[StepperPosition] = []

    def run(
        self, movepos: Sequence[float], speed: float, distance: float
    ) -> tuple[list[float], list[float]]:
        """Move towards *movepos*. The switch is reached after *distance* mm.

        Returns where the switch was reached and where the carriage stopped.
        """
        toolhead = self.toolhead
        self._printer.send_event("homing:homing_move_begin", self)
        toolhead.flush_step_generation()
        self.stepper_positions = [
            StepperPosition(stepper, name)
            for endstop, name in self.endstops
            for stepper in endstop.get_steppers()
        ]
        move, start = toolhead.plan_alone(movepos, speed)
        if distance > move.distance:
            toolhead.perform_until(move, start, start + move.duration)
            self._printer.send_event("homing:homing_move_end", self)
            names = ", ".join(name for _, name in self.endstops)
            raise self._printer.command_error(
                f"The switch of {names} was not met on the whole way"
            )
        met_after = move.time_to(max(0.0, distance))
        met = self._along(move, max(0.0, distance))
        halt = self._along(move, max(0.0, distance) + speed * HALT_DELAY)
        for known in self.stepper_positions:
            known.trig_pos = self._steps(known, met)
            known.halt_pos = self._steps(known, halt)
        toolhead.perform_until(move, start, start + met_after + QUEUED_AHEAD)
        if self._printer.is_shutdown():
            raise self._printer.command_error("The printer was shut down meanwhile")
        for stepper in toolhead.get_kinematics().get_steppers():
            stepper.follow(halt)
        return met, halt

    def finish(self, axis: int, position: Sequence[float]) -> None:
        """Set the true position of *axis*, which the switch has told, to *position*."""
        self.toolhead.set_position(position)
        self.toolhead.get_kinematics().real_offset[axis] = 0.0
        self._printer.send_event("homing:homing_move_end", self)

    def _along(self, move: Any, distance: float) -> list[float]:
        return [at + ratio * distance for at, ratio in zip(move.start, move.ratio)]

    def _steps(self, known: StepperPosition, coord: Sequence[float]) -> int:
        return known.stepper.get_mcu_position(
            known.stepper.calc_position_from_coord(coord)
        )


class Homing:
    """`homing`, and what its events carry."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._toolhead = printer.lookup_object("toolhead")
        self._axes: list[int] = []
        printer.lookup_object("gcode").register_command("G28", self._cmd_home)

    def get_axes(self) -> list[int]:
        return self._axes

    def _cmd_home(self, gcmd: Command) -> None:
        axes = [
            axis for axis in range(3) if gcmd.get(AXES[axis].upper(), None) is not None
        ]
        self._axes = axes or [0, 1, 2]
        rails = self._toolhead.get_kinematics().rails
        try:
            for axis in self._axes:
                if rails[axis].is_probed:
                    self._home_by_probe(axis, rails[axis])
                else:
                    self._home(axis, rails[axis])
        except self._printer.command_error:
            if self._printer.is_shutdown():
                raise self._printer.command_error(
                    "Homing ended: the printer was shut down"
                ) from None
            self._toolhead.get_kinematics().clear_homing_state("xyz")
            raise

    def _home(self, axis: int, rail: Rail) -> None:
        self._printer.send_event("homing:home_rails_begin", self, [rail])
        info = rail.get_homing_info()
        low, high = rail.get_range()
        # Further from the switch than the carriage can be.
        self._approach(axis, rail, 1.5 * (high - low), info.speed)
        if info.retract_dist:
            back = self._toolhead.get_position()
            back[axis] -= direction(rail) * info.retract_dist
            self._toolhead.move(back, info.retract_speed)
            self._approach(
                axis, rail, 2.0 * info.retract_dist, info.second_homing_speed
            )
        self._toolhead.flush_step_generation()
        self._printer.send_event("homing:home_rails_end", self, [rail])

    def _approach(self, axis: int, rail: Rail, distance: float, speed: float) -> None:
        """Move from the present place to the switch, as if it were *distance* away."""
        endstop = rail.get_homing_info().position_endstop
        start = self._toolhead.get_position()
        start[axis] = endstop - direction(rail) * distance
        self._toolhead.set_position(start, homing_axes=AXES[axis])
        target = list(start)
        target[axis] = endstop
        really = start[axis] + self._toolhead.get_kinematics().real_offset[axis]
        hmove = HomingMove(self._printer, rail.get_endstops())
        met, halt = hmove.run(target, speed, (endstop - really) * direction(rail))
        halt[axis] += endstop - met[axis]
        hmove.finish(axis, halt)

    def _home_by_probe(self, axis: int, rail: Rail) -> None:
        info = rail.get_homing_info()
        low, high = rail.get_range()
        probe = self._printer.lookup_object("probe")
        start = self._toolhead.get_position()
        start[axis] = low + 1.5 * (high - low)
        self._toolhead.set_position(start, homing_axes=AXES[axis])
        probe.touch(info.speed)
        if info.retract_dist:
            up = self._toolhead.get_position()
            up[axis] += info.retract_dist
            self._toolhead.move(up, info.retract_speed)
            probe.touch(info.second_homing_speed)


def direction(rail: Rail) -> float:
    return 1.0 if rail.get_homing_info().positive_dir else -1.0
