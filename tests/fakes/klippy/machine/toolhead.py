"""The toolhead: it plans moves, and makes G-code wait when it is far ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Sequence

from tests.fakes.klippy.gcode import Command, Coord
from tests.fakes.klippy.motion import Move, Planner, Position, TrapQ

from .kinematics import Kinematics

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section

    from .extruder import Extruder

# seconds from the arrival of a move at a machine at rest until the move starts
START_DELAY = 0.25
BUFFER = 1.0  # seconds of planned motion at which G-code has to wait
# seconds of planned motion below which waiting moves are planned at once
RUNNING_DRY = 0.3
EXTRUDER_JUMP = 1.0  # mm/s by which the filament may change its speed at a corner


class ToolHead:
    """`toolhead`."""

    def __init__(self, config: Section) -> None:
        self._printer = printer = config.get_printer()
        self._reactor = printer.get_reactor()
        self._mcu = printer.lookup_object("mcu")
        self.max_velocity = config.getfloat("max_velocity", above=0.0)
        self.max_accel = config.getfloat("max_accel", above=0.0)
        self._corner = config.getfloat("square_corner_velocity", 5.0, minval=0.0)
        self._max_z_velocity = config.getfloat("max_z_velocity", self.max_velocity)
        self._max_z_accel = config.getfloat("max_z_accel", self.max_accel)
        config.getfloat("minimum_cruise_ratio", 0.5)
        self._kinematics = Kinematics(config)
        self._trapq = TrapQ()
        self._planner = Planner()
        self._callbacks: list[tuple[Move, Callable[[float], Any]]] = []
        self._position: Position = (0.0, 0.0, 0.0, 0.0)
        self._print_time = 0.0
        self._extruder: Extruder | None = None
        self._last_move: Move | None = None
        self._drain = self._reactor.register_timer(self._drain_planner)
        gcode = printer.lookup_object("gcode")
        gcode.register_command("G4", self._cmd_dwell)
        gcode.register_command("M400", lambda gcmd: self.wait_moves())
        printer.register_event_handler("klippy:shutdown", self._handle_shutdown)

    # Position

    def get_position(self) -> list[float]:
        return list(self._position)

    def set_position(self, newpos: Sequence[float], homing_axes: str = "") -> None:
        """Give the present place the coordinates *newpos*. Nothing moves."""
        self.flush_step_generation()
        old = self._position
        self._position = tuple(newpos)[:4]  # type: ignore[assignment]
        self._position += old[len(self._position) :]  # type: ignore[assignment]
        for axis in range(3):
            self._kinematics.real_offset[axis] += old[axis] - self._position[axis]
        self._kinematics.set_position(self._position, homing_axes)
        self._printer.send_event("toolhead:set_position")

    def get_kinematics(self) -> Kinematics:
        return self._kinematics

    def get_trapq(self) -> TrapQ:
        return self._trapq

    def get_extruder(self) -> Extruder | None:
        return self._extruder

    def set_extruder(self, extruder: Extruder, extrude_pos: float) -> None:
        self._extruder = extruder
        self._position = (*self._position[:3], extrude_pos)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            **self._kinematics.get_status(eventtime),
            "print_time": self._print_time,
            "estimated_print_time": self._mcu.estimated_print_time(eventtime),
            "extruder": "" if self._extruder is None else self._extruder.get_name(),
            "position": Coord(*self._position),
            "max_velocity": self.max_velocity,
            "max_accel": self.max_accel,
            "square_corner_velocity": self._corner,
            "stalls": 0,
        }

    # Moves

    def move(self, newpos: Sequence[float], speed: float) -> None:
        move = self._prepare(newpos, speed)
        if not move.distance:
            return
        self._position = move.end
        self._planner.add(move, self._corner, EXTRUDER_JUMP)
        self._last_move = move
        self._perform(self._planner.take_some())
        if self._planner and self._drain.waketime == self._reactor.NEVER:
            soon = self._reactor.monotonic() + START_DELAY
            self._reactor.update_timer(self._drain, soon)
        self._wait_while_ahead()

    def plan_alone(self, newpos: Sequence[float], speed: float) -> tuple[Move, float]:
        """Plan a move from rest to rest, after all others. Returns it and its start.

        It is not performed, because the caller knows how far it will really go.
        """
        start = self.get_last_move_time()
        move = self._prepare(newpos, speed)
        planner = Planner()
        planner.add(move, self._corner, EXTRUDER_JUMP)
        planner.take_all()
        return move, start

    def perform_until(self, move: Move, start: float, print_time: float) -> None:
        """Perform a move that ends early at *print_time*, and return when it ends."""
        self._print_time = start
        self._perform([move])
        self._print_time = print_time
        self.wait_moves()
        self._trapq.cut(print_time)

    def _prepare(self, newpos: Sequence[float], speed: float) -> Move:
        end = (*newpos, *self._position[len(newpos) :])[:4]
        speed = min(speed, self.max_velocity)
        extruder = self._extruder
        limits = () if extruder is None else extruder.limits
        move = Move(self._position, end, speed, self.max_accel, *limits)  # type: ignore[arg-type]
        if move.is_kinematic:
            self._kinematics.check_move(move)
            if move.ratio[2]:
                ratio = 1.0 / abs(move.ratio[2])
                move.limit(self._max_z_velocity * ratio, self._max_z_accel * ratio)
        if move.delta[3]:
            if extruder is None:
                raise self._printer.command_error("There is no extruder to move")
            extruder.check_move(move)
        return move

    def _perform(self, moves: Sequence[Move]) -> None:
        """Put planned moves into the queues of motion."""
        if not moves:
            return
        self._begin_if_at_rest()
        for move in moves:
            if move.is_kinematic:
                self._trapq.extend(move.segments(self._print_time))
            if move.delta[3] and self._extruder is not None:
                self._extruder.get_trapq().extend(move.filament(self._print_time))
            self._print_time += move.duration
            self._call_back(move)
        for stepper in self._kinematics.get_steppers():
            stepper.follow(moves[-1].end)
        for trapq in self._trapqs():
            trapq.forget(self._now())

    def _trapqs(self) -> list[TrapQ]:
        extruder = self._extruder
        return [self._trapq, *([] if extruder is None else [extruder.get_trapq()])]

    def _call_back(self, move: Move) -> None:
        """Call the callbacks that wait for the end of *move*."""
        for known, callback in [entry for entry in self._callbacks if entry[0] is move]:
            self._callbacks.remove((known, callback))
            callback(self._print_time)

    def register_lookahead_callback(self, callback: Callable[[float], Any]) -> None:
        """Call *callback* with the print time at which the moves until now end."""
        if self._planner and self._last_move is not None:
            self._callbacks.append((self._last_move, callback))
        else:
            callback(self.get_last_move_time())

    # Time

    def _now(self) -> float:
        return float(self._mcu.estimated_print_time(self._reactor.monotonic()))

    def _begin_if_at_rest(self) -> None:
        curtime = self._reactor.monotonic()
        now = self._mcu.estimated_print_time(curtime)
        if self._print_time < now + 0.1 * START_DELAY:
            self._print_time = now + START_DELAY
            self._printer.send_event(
                "toolhead:sync_print_time", curtime, now, self._print_time
            )

    def get_last_move_time(self) -> float:
        self.flush_step_generation()
        self._begin_if_at_rest()
        return self._print_time

    def flush_step_generation(self) -> None:
        """Plan the moves that wait. The last one ends at rest."""
        self._perform(self._planner.take_all())

    def dwell(self, delay: float) -> None:
        self._print_time = self.get_last_move_time() + max(0.0, delay)
        self._wait_while_ahead()

    def wait_moves(self) -> None:
        """Return when all moves have been made, at most 0.1 s later."""
        self.flush_step_generation()
        while self._print_time > self._now() and not self._printer.is_shutdown():
            self._reactor.pause(self._reactor.monotonic() + 0.1)

    def check_busy(self, eventtime: float) -> tuple[float, float, bool]:
        """Return the last move's print time, the present one, and if no move waits."""
        now = self._mcu.estimated_print_time(eventtime)
        return self._print_time, now, not self._planner

    def _wait_while_ahead(self) -> None:
        while not self._printer.is_shutdown():
            ahead = self._print_time - self._now() - BUFFER
            if ahead <= 0.0:
                return
            self._pause(ahead)

    def _pause(self, seconds: float) -> None:
        # A little more than needed, because rounding would ask for ever smaller pauses.
        self._reactor.pause(self._reactor.monotonic() + min(seconds, 1.0) + 0.001)

    def _drain_planner(self, eventtime: float) -> float:
        """Plan the waiting moves before the machine has no more moves and must stop."""
        if not self._planner:
            return self._reactor.NEVER
        ahead = self._print_time - self._now()
        if ahead > RUNNING_DRY:
            return eventtime + max(0.001, ahead - RUNNING_DRY)
        self.flush_step_generation()
        return self._reactor.NEVER

    def _handle_shutdown(self) -> None:
        self._planner.clear()
        self._callbacks.clear()
        now = self._now()
        for trapq in self._trapqs():
            trapq.cut(now)
        self._print_time = min(self._print_time, now)

    # Commands

    def _cmd_dwell(self, gcmd: Command) -> None:
        self.dwell(gcmd.get_float("P", 0.0, minval=0.0) / 1000.0)
