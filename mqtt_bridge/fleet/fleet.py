"""Converts all printers' newest messages to mKTL keys, values and descriptions.

Pure: the caller passes messages and the time, and gets the changes.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from mqtt_bridge import contract
from mqtt_bridge.contract import ContractError, Info, State, Summary, Topic
from mqtt_bridge.fleet import decode
from mqtt_bridge.fleet.decode import parse
from mqtt_bridge.fleet.items import Shapes, read_printer
from mqtt_bridge.fleet.records import Changes, Printer, Record, hide, show, update

logger = logging.getLogger(__name__)

# If there are more than these, somebody floods the broker.
MAX_PRINTERS, MAX_TASKS = 100_000, 1_000
MAX_PRINTER_ITEMS, MAX_ITEMS = 25_000, 10_000_000  # of tasks
MAX_COMPLAINTS = 1_000


class _Dated(Protocol):
    @property
    def seq(self) -> int: ...

    @property
    def time(self) -> float: ...


def _is_overtaken(message: _Dated, known: _Dated | None) -> bool:
    """Return whether *message* is older than the *known* one, by its number and time.

    A broker may send a retained message after the live message that replaced it. If
    only one of the two is older, the message may still be new: a printer whose store
    was restored from a backup continues from an earlier number.
    """
    return known is not None and message.seq < known.seq and message.time <= known.time


@functools.lru_cache(maxsize=1 << 16)
def _parsed(bases: tuple[str, ...], topic: str) -> tuple[str, Topic]:
    for base in bases:
        if topic.startswith(base) and topic[len(base) : len(base) + 1] == "/":
            return base, Topic.parse(base, topic)
    raise ContractError(f"{topic[:200]!r} is not below {', '.join(bases)}")


def _state(payload: bytes, task: str) -> State:
    """Read the state of *task*. ContractError."""
    state = decode.state(payload, task) or State.of(parse(payload))
    if state.task != task:
        raise ContractError(f"'task' is {state.task!r}, the topic says {task!r}")
    return state


class Fleet:
    """All printers below *bases* that *owns* accepts. Only one thread may use it.

    With *read_only*, the descriptions say that no item is settable.
    """

    def __init__(
        self,
        bases: Sequence[str] = (contract.BASE,),
        owns: Callable[[str], bool] = lambda _: True,
        *,
        read_only: bool = False,
    ) -> None:
        self.printers: dict[str, Printer] = {}
        self.connected = True
        self.refused = 0
        self.infos = 0  # how many `info` have arrived; each may name new topics
        self.size = 0  # the number of all tasks' items
        self._bases = tuple(bases)
        self._owns = owns
        self.shapes = Shapes(read_only=read_only)
        self._complaints: set[tuple[str, str]] = set()
        # The tasks of all printers by their topics. Most messages are states of these.
        self._tasks: dict[str, tuple[Printer, str, Record]] = {}

    def parse(self, topic: str) -> tuple[str, Topic]:
        """Return the base of *topic*, and the parsed topic. ContractError."""
        return _parsed(self._bases, topic)

    def receive(self, topic: str, payload: bytes, now: float, changes: Changes) -> None:
        """Handle a retained topic's newest payload. A bad payload changes nothing."""
        known = self._tasks.get(topic)
        try:
            if known is not None and payload:
                printer, task, record = known
                self._on_state(printer, record, _state(payload, task), changes)
                printer.heard = now
                return
            base, where = _parsed(self._bases, topic)
            if self._owns(where.printer) and where.kind in contract.RETAINED:
                self._receive(base, where, payload, now, changes)
        except ContractError as error:
            self.complain(topic, str(error))

    def missing(self) -> dict[str, list[str]]:
        """Return the retained topics that have not arrived, by printer."""
        return {
            printer.slug: [f"{printer.base}/{printer.slug}/{rest}" for rest in missing]
            for printer in self.printers.values()
            if (missing := printer.missing)
        }

    def lacks(self, topic: str) -> bool:
        """Return whether *topic*, which was missing, is still missing."""
        base, where = self.parse(topic)
        printer = self.printers.get(where.printer)
        if printer is None:
            return False  # the printer does not exist any more
        return topic.removeprefix(f"{base}/{printer.slug}/") in printer.missing

    def complain(self, topic: str, reason: str) -> None:
        """Log a dropped message, once for each topic and reason."""
        self.refused += 1
        # The reason may quote the topic or a value. Another quoted text does not make
        # it another reason.
        known = (topic[:200], re.sub(r"b?(['\"]).*\1|\d+", "", reason)[:40])
        if known in self._complaints or len(self._complaints) > MAX_COMPLAINTS:
            return
        self._complaints.add(known)
        # The topic is logged as a literal, since it may have a line feed in it.
        logger.warning("%.200r: message dropped: %s", topic, reason)
        if len(self._complaints) > MAX_COMPLAINTS:
            logger.warning("the log names no more dropped messages")

    def connection(self, *, up: bool, now: float, changes: Changes) -> None:
        """Note that the broker is lost or back. Printers are offline until "online"."""
        self.connected = up
        for printer in self.printers.values():
            printer.available = False
            self._available(printer, online=False, now=now, changes=changes)

    def forget(self, slug: str, changes: Changes) -> None:
        printer = self.printers.pop(slug)
        self.size -= printer.size
        for task in printer.tasks:
            del self._tasks[printer.topic(task)]
        for record in (printer.record, printer.meters, *printer.tasks.values()):
            hide(record, changes)
        changes.gone.add(slug)

    def _receive(
        self, base: str, where: Topic, payload: bytes, now: float, changes: Changes
    ) -> None:
        known = self.printers.get(where.printer)
        if known is None and payload and len(self.printers) >= MAX_PRINTERS:
            raise ContractError(f"more than {MAX_PRINTERS} printers")
        printer = known or Printer(where.printer, base)
        if printer.base != base:
            raise ContractError(f"{where.printer!r} is below {printer.base!r} already")
        if where.task is not None:
            self._on_task(printer, where.task, payload, changes)
        else:
            self._on[where.kind](self, printer, payload, now, changes)
        printer.heard = now
        if known is not None:
            if not payload and printer.empty:
                self.forget(printer.slug, changes)
        elif not printer.empty:
            self.printers[printer.slug] = printer
            self.size += printer.size

    def _on_availability(
        self, printer: Printer, payload: bytes, now: float, changes: Changes
    ) -> None:
        if payload not in (contract.ONLINE, contract.OFFLINE, b""):
            raise ContractError(f"{payload[:40]!r} is neither online nor offline")
        printer.available = bool(payload)
        # Messages from before the loss of the broker are out of date.
        online = payload == contract.ONLINE and self.connected
        self._available(printer, online=online, now=now, changes=changes)

    def _available(
        self, printer: Printer, *, online: bool, now: float, changes: Changes
    ) -> None:
        if printer.online and not online:
            changes.gone.add(printer.slug)
        elif online and not printer.online:
            changes.come.add(printer.slug)
        printer.state = printer.state._replace(online=online)
        self._show_printer(printer, now, changes)

    def _on_info(
        self, printer: Printer, payload: bytes, now: float, changes: Changes
    ) -> None:
        info = Info.of(parse(payload)) if payload else None
        if info and max(len(info.tasks), len(info.meters)) > MAX_TASKS:
            raise ContractError(f"more than {MAX_TASKS} tasks or meters")
        printer.state = printer.state._replace(info=info)
        self.infos += 1
        self._show_printer(printer, now, changes)
        self._show_meters(printer, changes)
        listed = set(info.tasks) if info else set()
        for task, record in printer.tasks.items():
            if task not in listed:
                hide(record, changes)
            else:
                show(record, changes)

    def _on_summary(
        self, printer: Printer, payload: bytes, now: float, changes: Changes
    ) -> None:
        summary = Summary.of(parse(payload)) if payload else None
        if summary and _is_overtaken(summary, printer.state.summary):
            return
        printer.state = printer.state._replace(summary=summary)
        self._show_printer(printer, summary.time if summary else now, changes)

    def _on_meters(
        self, printer: Printer, payload: bytes, _now: float, changes: Changes
    ) -> None:
        readings = contract.Meters.of(parse(payload)) if payload else None
        if readings and _is_overtaken(readings, printer.readings):
            return
        printer.readings = readings
        self._show_meters(printer, changes)

    def _on_task(
        self, printer: Printer, task: str, payload: bytes, changes: Changes
    ) -> None:
        """Handle the first state of a task, or the end of a task."""
        record = printer.tasks.get(task)
        if not payload:
            if record is not None:
                del printer.tasks[task], self._tasks[printer.topic(task)]
                self._resize(printer, -len(record.shape.fields))
                hide(record, changes)
            return
        state = _state(payload, task)
        if len(printer.tasks) >= MAX_TASKS:
            raise ContractError(f"more than {MAX_TASKS} tasks")
        record = Record(f"{printer.slug}.{task}.")
        info = printer.state.info
        record.shown = info is not None and task in info.tasks
        self._on_state(printer, record, state, changes)
        printer.tasks[task] = record
        self._tasks[printer.topic(task)] = printer, task, record

    def _on_state(
        self, printer: Printer, record: Record, state: State, changes: Changes
    ) -> None:
        if _is_overtaken(state, record):
            return
        shape, values = self.shapes.task(state, record.shape)
        if shape is not record.shape:
            self._resize(printer, len(shape.fields) - len(record.shape.fields))
        record.seq = state.seq
        update(record, shape, values, state.time, changes)
        changes.states.append((printer.slug, state.task, state.seq))

    def _resize(self, printer: Printer, items: int) -> None:
        """Count *items* more items of *printer*. ContractError: there are too many."""
        if items > 0:
            if printer.size + items > MAX_PRINTER_ITEMS:
                raise ContractError(f"more than {MAX_PRINTER_ITEMS} items of tasks")
            if self.size + items > MAX_ITEMS:
                raise ContractError(f"more than {MAX_ITEMS} items of all printers")
        printer.size += items
        if printer.slug in self.printers:
            self.size += items

    def _show_printer(self, printer: Printer, now: float, changes: Changes) -> None:
        record = printer.record
        if printer.state.info is None:
            hide(record, changes)
            return
        values = read_printer(printer.state)
        if values != record.values:
            update(record, self.shapes.printer, values, now, changes)
        show(record, changes)

    def _show_meters(self, printer: Printer, changes: Changes) -> None:
        info, readings = printer.state.info, printer.readings
        if info is None or readings is None:
            hide(printer.meters, changes)
            return
        shape = self.shapes.meters(info)
        values = tuple(readings.meters.get(name) for name in info.meters)
        update(printer.meters, shape, values, readings.time, changes)
        show(printer.meters, changes)

    _on: ClassVar = {
        "availability": _on_availability,
        "info": _on_info,
        "summary": _on_summary,
        "meters": _on_meters,
    }
