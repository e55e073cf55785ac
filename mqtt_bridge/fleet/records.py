"""The bridge's records of each printer, and the changes of a batch. Pure.

One tuple has the values of all items of a task, and tasks with the same shape share
their descriptions, since a farm has a million items.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import compress
from operator import ne
from typing import NamedTuple

from mqtt_bridge import contract
from mqtt_bridge.contract import Event
from mqtt_bridge.fleet.items import Description, PrinterState, Shape, Value, Values

Row = tuple[str, Value, float]  # the key, the value, its time in UNIX seconds


class PrinterEvent(NamedTuple):
    """An event with its printer, for listeners."""

    printer: str
    name: str
    url: str
    event: Event
    done_count: int = 0  # how often the task had been done at that time


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
        """Yield the keys of the record's items."""
        return (self.prefix + field.name for field in self.shape.fields)

    def named(self) -> dict[str, Value]:
        """The values by the names of their fields."""
        names = (field.name for field in self.shape.fields)
        return dict(zip(names, self.values, strict=True))


class ItemSource(NamedTuple):
    """Where an item's value is, and the item's description, which never changes."""

    record: Record
    number: int
    description: Description

    @property
    def value(self) -> Value:
        return self.record.values[self.number]


class Changes:
    """The changes by a batch of messages. Later entries replace earlier ones."""

    def __init__(self) -> None:
        self.placed: dict[str, ItemSource] = {}  # items that are new, or described anew
        self.removed: set[str] = set()
        self.rows: list[Row] = []
        self.states: list[tuple[str, str, int]] = []  # printer, task, seq
        self.come: set[str] = set()  # printers that went online
        self.gone: set[str] = set()  # printers that went offline

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
        """The printers that have changed."""
        keys = {row[0] for row in self.rows} | self.removed | set(self.placed)
        return frozenset(key.partition(".")[0] for key in keys)

    def parts(self) -> dict[str, Changes]:
        """The changes of each printer's items, by its slug."""
        parts: defaultdict[str, Changes] = defaultdict(Changes)
        for key, place in self.placed.items():
            parts[key.partition(".")[0]].placed[key] = place
        for key in self.removed:
            parts[key.partition(".")[0]].removed.add(key)
        for row in self.rows:
            parts[row[0].partition(".")[0]].rows.append(row)
        return parts


class Printer:
    """One printer, with its messages and its mirrored records."""

    __slots__ = (
        "available", "base", "heard", "meters", "readings", "record", "size", "slug",
        "state", "tasks",
    )  # fmt: skip

    def __init__(self, slug: str, base: str) -> None:
        self.slug = slug
        self.base = base  # the base topic of its topics
        self.state = PrinterState()
        self.record = Record(f"{slug}.")
        self.meters = Record(f"{slug}.")
        self.readings: contract.Meters | None = None
        self.tasks: dict[str, Record] = {}
        self.size = 0  # the number of its tasks' items
        self.heard = 0.0  # when the last message arrived
        self.available = False  # whether its availability arrived on this connection

    @property
    def online(self) -> bool:
        return self.state.online

    def topic(self, task: str) -> str:
        """Return the topic of a task's state."""
        return f"{self.base}/{self.slug}/tasks/{task}"

    @property
    def missing(self) -> list[str]:
        """The levels of the printer's retained messages that have not arrived."""
        info = self.state.info
        missing = [] if info else ["info"]
        if not self.available:
            missing.append("availability")
        if info and info.meters and self.readings is None:
            missing.append("meters")
        tasks = self.tasks
        missing += [f"tasks/{t}" for t in info.tasks if t not in tasks] if info else []
        return missing

    @property
    def empty(self) -> bool:
        """Whether no message of the printer is retained any more."""
        parts = self.state.info, self.state.summary, self.readings, self.tasks
        return not (self.state.online or any(parts))


def update(
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


def show(record: Record, changes: Changes) -> None:
    if record.shown:
        return
    record.shown = True
    for index in range(len(record.shape.fields)):
        changes.place(record, index)


def hide(record: Record, changes: Changes) -> None:
    if record.shown:
        for key in record:
            changes.remove(key)
    record.shown = False
