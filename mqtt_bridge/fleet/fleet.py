"""What every printer last said, as mKTL keys, values and descriptions.

Pure: the caller brings messages and the clock and gets back what changed.
The values of all items of a task stand in one tuple, and tasks of one shape
share their descriptions: a farm has a million items.
"""

from __future__ import annotations

import functools
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import compress
from operator import ne
from typing import Any, NamedTuple

import msgspec

from mqtt_bridge import contract
from mqtt_bridge.contract import ContractError, Info, State, Summary, Topic
from mqtt_bridge.fleet import decode
from mqtt_bridge.fleet.items import (
    PRINTER,
    Description,
    PrinterState,
    Shape,
    Shapes,
    Value,
    Values,
)

logger = logging.getLogger(__name__)

Row = tuple[str, Value, float]  # key, value, UNIX seconds of the reading

# Beyond these somebody fills the broker with rubbish.
MAX_PRINTERS, MAX_TASKS = 100_000, 1_000
MAX_COMPLAINTS = 1_000


_parsed = functools.lru_cache(maxsize=1 << 17)(Topic.parse)


class Record:
    """The values of all items of a task, of a printer or of its meters."""

    __slots__ = ("prefix", "seq", "shape", "shown", "time", "values")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.shape = Shape(())
        self.values: Values = ()
        self.time = 0.0
        self.seq = -1
        self.shown = False

    def __iter__(self) -> Iterator[str]:
        """The keys of its items."""
        return (self.prefix + field.name for field in self.shape.fields)

    def named(self) -> dict[str, Value]:
        """The values by the names of their fields."""
        names = (field.name for field in self.shape.fields)
        return dict(zip(names, self.values, strict=True))


class ItemSource(NamedTuple):
    """Where an item's value stands, and its description (never to be changed)."""

    record: Record
    number: int
    description: Description

    @property
    def value(self) -> Value:
        return self.record.values[self.number]


class Changes:
    """What a batch of messages changed; later entries hold for earlier ones."""

    def __init__(self) -> None:
        self.placed: dict[str, ItemSource] = {}  # new, or newly described
        self.removed: set[str] = set()
        self.rows: list[Row] = []
        self.states: list[tuple[str, str, int]] = []  # printer, task, seq
        self.come: set[str] = set()  # printers that came online
        self.gone: set[str] = set()  # and that went offline

    def place(self, record: Record, index: int) -> None:
        field = record.shape.fields[index]
        key = record.prefix + field.name
        self.placed[key] = ItemSource(record, index, field.description)
        self.removed.discard(key)
        self.rows.append((key, record.values[index], record.time))

    def remove(self, key: str) -> None:
        self.removed.add(key)
        self.placed.pop(key, None)

    def printers(self) -> frozenset[str]:
        """The printers of which something changed."""
        keys = {row[0] for row in self.rows} | self.removed | set(self.placed)
        return frozenset(key.partition(".")[0] for key in keys)

    def parts(self) -> dict[str, Changes]:
        """What changed of the items of each printer, by its slug."""
        parts: defaultdict[str, Changes] = defaultdict(Changes)
        for key, place in self.placed.items():
            parts[key.partition(".")[0]].placed[key] = place
        for key in self.removed:
            parts[key.partition(".")[0]].removed.add(key)
        for row in self.rows:
            parts[row[0].partition(".")[0]].rows.append(row)
        return parts


class Printer:
    """One printer: what it said, and which of it is shown."""

    __slots__ = (
        "face", "heard", "meters", "readings", "record", "slug", "tasks",
    )  # fmt: skip

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.face = PrinterState()
        self.record = Record(f"{slug}.")
        self.meters = Record(f"{slug}.")
        self.readings: contract.Meters | None = None
        self.tasks: dict[str, Record] = {}
        self.heard = 0.0  # when the last message arrived

    @property
    def online(self) -> bool:
        return self.face.online

    @property
    def whole(self) -> bool:
        """Whether all that it says it has has been heard."""
        info = self.face.info
        if info is None:
            return False
        if info.meters and self.readings is None:
            return False
        return all(task in self.tasks for task in info.tasks)

    @property
    def empty(self) -> bool:
        """Whether nothing of it is retained any more."""
        said = self.face.info, self.face.summary, self.readings, self.tasks
        return not (self.face.online or any(said))


class Fleet:
    """Every printer that *owns* accepts. One thread's alone.

    *read_only* describes every item as not settable.
    """

    def __init__(
        self,
        base: str = contract.BASE,
        owns: Callable[[str], bool] = lambda _: True,
        *,
        read_only: bool = False,
    ) -> None:
        self.printers: dict[str, Printer] = {}
        self.connected = True
        self.refused = 0
        self._base = base
        self._owns = owns
        self._shapes = Shapes(read_only=read_only)
        self._complaints: set[tuple[str, str]] = set()

    def receive(self, topic: str, payload: bytes, now: float, changes: Changes) -> None:
        """Take a retained topic's newest payload; a bad one changes nothing."""
        try:
            where = _parsed(self._base, topic)
            if self._owns(where.printer) and where.kind in contract.RETAINED:
                self._receive(where, payload, now, changes)
        except ContractError as error:
            self.complain(topic, str(error))

    def complain(self, topic: str, reason: str) -> None:
        """Log what was dropped, once for each topic and reason."""
        self.refused += 1
        # Of a topic that is not ours, the reason names the topic; of a value, the
        # value: neither makes it another reason.
        known = (topic[:200], re.sub(r"b?(['\"]).*\1|\d+", "", reason)[:40])
        if known in self._complaints or len(self._complaints) > MAX_COMPLAINTS:
            return
        self._complaints.add(known)
        logger.warning("%.200s: message dropped: %s", topic, reason)
        if len(self._complaints) > MAX_COMPLAINTS:
            logger.warning("dropped messages are told no more")

    def connection(self, *, up: bool, now: float, changes: Changes) -> None:
        """The broker is gone or back: until a printer says so, it is not online."""
        self.connected = up
        for printer in self.printers.values():
            self._available(printer, online=False, now=now, changes=changes)

    def forget(self, slug: str, changes: Changes) -> None:
        printer = self.printers.pop(slug)
        for record in (printer.record, printer.meters, *printer.tasks.values()):
            _hide(record, changes)
        changes.gone.add(slug)

    def _receive(
        self, where: Topic, payload: bytes, now: float, changes: Changes
    ) -> None:
        known = self.printers.get(where.printer)
        printer = known or Printer(where.printer)
        if where.task is not None:
            self._task(printer, where.task, payload, changes)
        else:
            getattr(self, f"_on_{where.kind}")(printer, payload, now, changes)
        printer.heard = now
        if known is not None:
            if not payload and printer.empty:
                self.forget(printer.slug, changes)
        elif not printer.empty:
            if len(self.printers) >= MAX_PRINTERS:
                _hide(printer.record, changes)
                raise ContractError(f"more than {MAX_PRINTERS} printers")
            self.printers[printer.slug] = printer

    def _on_availability(
        self, printer: Printer, payload: bytes, now: float, changes: Changes
    ) -> None:
        if payload not in (contract.ONLINE, contract.OFFLINE, b""):
            raise ContractError(f"{payload[:40]!r} is neither online nor offline")
        # What was on its way when the broker was lost is no news any more.
        online = payload == contract.ONLINE and self.connected
        self._available(printer, online=online, now=now, changes=changes)

    def _available(
        self, printer: Printer, *, online: bool, now: float, changes: Changes
    ) -> None:
        if printer.online and not online:
            changes.gone.add(printer.slug)
        elif online and not printer.online:
            changes.come.add(printer.slug)
        printer.face = printer.face._replace(online=online)
        self._show_printer(printer, now, changes)

    def _on_info(
        self, printer: Printer, payload: bytes, now: float, changes: Changes
    ) -> None:
        info = Info.of(parse(payload)) if payload else None
        if info and max(len(info.tasks), len(info.meters)) > MAX_TASKS:
            raise ContractError(f"more than {MAX_TASKS} tasks or meters")
        printer.face = printer.face._replace(info=info)
        self._show_printer(printer, now, changes)
        self._show_meters(printer, changes)
        listed = set(info.tasks) if info else set()
        for task, record in printer.tasks.items():
            if task not in listed:
                _hide(record, changes)
            else:
                _show(record, changes)

    def _on_summary(
        self, printer: Printer, payload: bytes, now: float, changes: Changes
    ) -> None:
        summary = Summary.of(parse(payload)) if payload else None
        printer.face = printer.face._replace(summary=summary)
        self._show_printer(printer, summary.time if summary else now, changes)

    def _on_meters(
        self, printer: Printer, payload: bytes, _now: float, changes: Changes
    ) -> None:
        printer.readings = contract.Meters.of(parse(payload)) if payload else None
        self._show_meters(printer, changes)

    def _task(
        self, printer: Printer, task: str, payload: bytes, changes: Changes
    ) -> None:
        if not payload:
            record = printer.tasks.pop(task, None)
            if record is not None:
                _hide(record, changes)
            return
        state = decode.state(payload, task) or State.of(parse(payload))
        if state.task != task:
            raise ContractError(f"'task' is {state.task!r}, the topic says {task!r}")
        record = printer.tasks.get(task)
        if record is None:
            if len(printer.tasks) >= MAX_TASKS:
                raise ContractError(f"more than {MAX_TASKS} tasks")
            record = printer.tasks[task] = Record(f"{printer.slug}.{task}.")
            info = printer.face.info
            record.shown = info is not None and task in info.tasks
        record.seq = state.seq
        shape, values = self._shapes.task(state)
        _update(record, shape, values, state.time, changes)
        changes.states.append((printer.slug, task, state.seq))

    def _show_printer(self, printer: Printer, now: float, changes: Changes) -> None:
        record = printer.record
        if printer.face.info is None:
            _hide(record, changes)
            return
        values = tuple(facet.read(printer.face) for facet in PRINTER)
        if values != record.values:
            _update(record, self._shapes.printer, values, now, changes)
        _show(record, changes)

    def _show_meters(self, printer: Printer, changes: Changes) -> None:
        info, readings = printer.face.info, printer.readings
        if info is None or readings is None:
            _hide(printer.meters, changes)
            return
        shape = self._shapes.meters(info)
        values = tuple(readings.meters.get(name) for name in info.meters)
        _update(printer.meters, shape, values, readings.time, changes)
        _show(printer.meters, changes)


def parse(payload: bytes) -> dict[str, Any]:
    """As contract.parse, several times as fast."""
    if len(payload) > contract.MAX_PAYLOAD:
        raise ContractError(f"more than {contract.MAX_PAYLOAD} bytes")
    try:
        fields = msgspec.json.decode(payload)
    # A deeply nested text is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise ContractError(f"not JSON: {error}"[:200]) from None
    if not isinstance(fields, dict):
        raise ContractError("not a JSON object")
    return fields


def _update(
    record: Record,
    shape: Shape,
    values: Values,
    time: float,
    changes: Changes,
) -> None:
    old, before = record.values, record.shape
    record.shape, record.values, record.time = shape, values, time
    if not record.shown:
        return
    if shape is not before:
        _reshape(record, before, changes)
        return
    for index in compress(range(len(values)), map(ne, values, old)):
        key = record.prefix + shape.fields[index].name
        changes.rows.append((key, values[index], time))


def _reshape(record: Record, before: Shape, changes: Changes) -> None:
    names = {field.name for field in record.shape.fields}
    for field in before.fields:
        if field.name not in names:
            changes.remove(record.prefix + field.name)
    for index in range(len(record.shape.fields)):
        changes.place(record, index)


def _show(record: Record, changes: Changes) -> None:
    if record.shown:
        return
    record.shown = True
    for index in range(len(record.shape.fields)):
        changes.place(record, index)


def _hide(record: Record, changes: Changes) -> None:
    if record.shown:
        for key in record:
            changes.remove(key)
    record.shown = False
