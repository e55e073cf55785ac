"""Counts metres from the executed moves: the travel of axes and carriages, filament.

The moves are read from the motion queues' history, which Klipper keeps for half a
minute. So the extra never delays a move. The moves of FORCE_MOVE and STEPPER_BUZZ are
in no queue, and are not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from .. import klipper
from ..contract import Meter
from ..guard import Handlers, guarded
from ..klipper_objects import HomingMove, Mcu, MotionQueue, Printer, Toolhead
from .base import Increments, Options
from .filament import Filament
from .queue import Queue
from .travel import ManualSteppers, Travel

if TYPE_CHECKING:
    from .base import Reader

LOOK = 0.25  # seconds between two polls
SOON = 0.02  # seconds, if there is more to read than one poll may read
MOST = 200  # polls when all must be read

METRE = 1000.0  # mm


class Motion:
    """Reads all queues, a slice at a time, on its own timer."""

    def __init__(self, printer: Printer, options: Options) -> None:
        self.meters: dict[str, Meter] = {}
        self._printer = printer
        self._failed = False  # whether the last poll of the queues failed
        self._handlers = Handlers(printer)
        self._pending: Increments = {}
        self._readers: dict[str, Reader] = {}  # by the queue's name
        self._queues: dict[str, Queue] = {}
        self._names: list[tuple[Toolhead, str]] = []  # toolheads that home, and queues
        self._reactor = printer.get_reactor()
        self._mcu: Mcu = printer.lookup_object("mcu")
        self._timer: Any = None
        self._find_queues(klipper.motion_queues(printer))
        self._find_manual_steppers()
        if self._queues:
            self._listen()

    def _find_queues(self, queues: dict[str, MotionQueue]) -> None:
        if "toolhead" in queues and klipper.has_axes(self._printer):
            self._names.append((self._printer.lookup_object("toolhead"), "toolhead"))
            self._read(
                Travel(self._printer, self._handlers), {"toolhead": queues["toolhead"]}
            )
        extruders = {
            name: extruder
            for name, extruder in klipper.extruders(self._printer).items()
            if name in queues
        }
        if extruders:
            mine = {name: queues[name] for name in extruders}
            self._read(Filament(extruders), mine)

    def _find_manual_steppers(self) -> None:
        steppers = klipper.manual_steppers(self._printer)
        if not steppers:
            return
        self._names += [(stepper, name) for name, (stepper, _) in steppers.items()]
        steps = {name: queue for name, (_, queue) in steppers.items()}
        self._read(ManualSteppers(list(steps)), steps)

    def _read(self, reader: Reader, queues: Mapping[str, MotionQueue]) -> None:
        """Let *reader* count the moves of *queues* from now on."""
        now = self._mcu.estimated_print_time(self._reactor.monotonic())
        self.meters.update(reader.meters)
        for name, queue in queues.items():
            self._readers[name] = reader
            self._queues[name] = Queue(queue, now, reader.moves)

    def _listen(self) -> None:
        for event, handle in (
            ("homing:homing_move_begin", self._homing_begins),
            ("homing:homing_move_end", self._homing_ends),
        ):
            self._handlers.add(event, handle)
        self._timer = self._reactor.register_timer(
            guarded(self._timed, "counting motion", self._again),
            self._reactor.NOW,
        )

    @property
    def failing(self) -> bool:
        """Whether the last poll missed any motion."""
        return self._failed or self._handlers.failing

    def poll(self, eventtime: float) -> Increments:
        increments, self._pending = self._pending, {}
        return {name: length / METRE for name, length in increments.items()}

    def flush(self, eventtime: float) -> None:
        for _ in range(MOST):
            if not self._read_some(eventtime):
                break

    def stop(self, eventtime: float) -> Increments:
        if self._queues:
            self._reactor.update_timer(self._timer, self._reactor.NEVER)
            self._queues.clear()
        return self.poll(eventtime)

    def _timed(self, eventtime: float) -> float:
        if not self._queues:
            return float(self._reactor.NEVER)
        behind = self._read_some(eventtime)
        self._failed = False
        return eventtime + (SOON if behind else LOOK)

    def _again(self, eventtime: float) -> float:
        """Return when a failed poll is tried again."""
        self._failed = True
        return eventtime + LOOK

    def _read_some(self, eventtime: float) -> bool:
        """Read a slice of each queue; return whether there is more."""
        now = self._mcu.estimated_print_time(eventtime)
        behind = False
        for name, queue in self._queues.items():
            pieces = queue.take(now)
            if pieces:
                self._add(self._readers[name].read(name, pieces, eventtime))
            behind = behind or queue.behind(now)
        return behind

    # When an endstop triggers, the move in the queue is not shortened. The steppers
    # have the number of steps that a homing or probing move really made.

    def _homing_begins(self, move: HomingMove) -> None:
        queue = self._queues.get(self._queue_of(move.toolhead))
        if queue is not None:
            queue.begin_skip(move.toolhead.get_last_move_time())

    def _homing_ends(self, move: HomingMove) -> None:
        name = self._queue_of(move.toolhead)
        queue = self._queues.get(name)
        if queue is not None:
            queue.end_skip(move.toolhead.get_last_move_time())
            self._add(self._readers[name].homed(name, move))

    def _queue_of(self, toolhead: Toolhead) -> str:
        """Return the name of the queue that homes. A manual stepper has its own."""
        return next((name for each, name in self._names if each is toolhead), "")

    def _add(self, lengths: Increments) -> None:
        for name, length in lengths.items():
            self._pending[name] = self._pending.get(name, 0.0) + length
