"""The tables of the items of a task, a printer and its meters. Pure.

The catalog, the values and the commands are all made from the rows of these tables.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from mqtt_bridge import contract
from mqtt_bridge.contract import Amount, Command, Info, Limit, State, Summary

Value = float | int | str | None
Values = tuple[Value, ...]
Description = dict[str, Any]

# The contract's units, and pint's names for them.
UNITS = {"h": "hour", "m": "meter", "%": "percent", "s": "second"}
# The longest part of a key. A key has a printer, a task, a limit and a field, and mKTL
# allows 200 characters for all of them.
LONGEST = 60
STATUS = {str(code): name for code, name in enumerate(contract.STATUSES)}


class Facet(NamedTuple):
    """One item of a task or a printer.

    *units* is "" or a unit of the contract, or "?" for the unit of the limit. Without
    *read* the value is the attribute with the field's name. Rows without *read* come
    first in a table.
    """

    field: str
    text: str
    kind: str
    units: str = ""
    settable: bool = False
    read: Callable[[Any], Value] | None = None


def _reader(facets: Sequence[Facet]) -> Callable[[Any], Values]:
    """Return a function that reads all *facets* of a table.

    It reads all attributes with one call. A table has no attributes, or several.
    """
    names = [facet.field for facet in facets if facet.read is None]
    others = [facet.read for facet in facets if facet.read is not None]
    attributes = attrgetter(*names) if names else lambda _: ()

    def read(source: Any) -> Values:
        values: Values = attributes(source)
        return values + tuple([each(source) for each in others])

    return read


def _left(state: State) -> float:
    if state.snoozed_until is None:
        return 0.0
    return round(max(0.0, state.snoozed_until - state.time) / 3600, 2)


def _nothing(_state: State) -> int:
    return 0


LIMIT = (
    Facet("threshold", "Wear after which the task is due", "numeric", "?", True),
    Facet("used", "Wear since the task was last done", "numeric", "?", True),
    Facet("remaining", "Wear left until the task is due; below zero it is overdue",
          "numeric", "?"),
    Facet("percent", "Wear as a share of the threshold", "numeric", "%"),
    Facet("warn_at", "Remaining wear below which the task is due soon", "numeric",
          "?", True),
)  # fmt: skip
TASK = (
    Facet("label", "Name of the task", "string"),
    Facet("message", "Instructions for the task", "string"),
    Facet("guide", "Address of a guide", "string"),
    Facet("trigger", "Meter of the limit that decides now", "string"),
    Facet("snoozed_until", "No reminders until then (UNIX time)", "numeric", "s"),
    Facet("last_done", "When the task was last done (UNIX time)", "numeric", "s"),
    Facet("last_by", "Person who did the task last", "string"),
    Facet("done_count", "How often the task was done", "numeric"),
    Facet("due_at", "Forecast of when the task will be due (UNIX time)", "numeric",
          "s"),
    Facet("problem", "Why the task is not counted; empty if it is counted", "string"),
    Facet("status", "Whether the task is due, soon due or snoozed", "enumerated",
          read=lambda s: contract.STATUSES.index(s.status)),
    Facet("enabled", "Whether the task's wear is counted", "boolean", "", True,
          lambda s: int(s.enabled)),
    Facet("done", "Set to 1 to mark the task done: counting starts again", "boolean",
          "", True, _nothing),
    Facet("snooze", "Time without reminders from now on; set it, or 0 to end it",
          "numeric", "h", True, _left),
    Facet("unsnooze", "Set to 1 to end the snooze", "boolean", "", True, _nothing),
)  # fmt: skip

# A task whose interval learns also has these items, after all others.
LEARNT = (
    Facet("due_from", "Earliest time when the task will be due (UNIX time)", "numeric",
          "s"),
    Facet("due_to", "Latest time when the task will be due (UNIX time)", "numeric",
          "s"),
    Facet("suggestion", "Suggested threshold; empty if there is none", "string",
          read=lambda s: s.suggestion.text if s.suggestion else None),
    Facet("usual", "Wear at which the task is usually done", "numeric",
          read=lambda s: s.habit.median if s.habit else None),
    Facet("learn", "Set to 1 to accept the suggested threshold", "boolean", "", True,
          _nothing),
)  # fmt: skip

# A part also has these items, after all others.
PART = (
    Facet("kind", "Kind of the part", "string"),
    Facet("place", "Where the part is fitted, empty on the shelf; set it to fit the"
          " part there, or to nothing to take it off", "string", "", True),
    Facet("places", "Places where the part can be fitted", "string",
          read=lambda s: ", ".join(s.places)),
)  # fmt: skip

STATUS_AT = [facet.field for facet in TASK].index("status")  # its place in the values
_TRIGGER = [facet.field for facet in TASK].index("trigger")
_read_task, _read_learnt, _read_part = map(_reader, (TASK, LEARNT, PART))


class PrinterState(NamedTuple):
    """The values from which a printer's own items are read."""

    online: bool = False
    info: Info | None = None
    summary: Summary | None = None


def _info(name: str) -> Callable[[PrinterState], Value]:
    return lambda face: getattr(face.info, name, None)


def _summary(name: str) -> Callable[[PrinterState], Value]:
    return lambda face: getattr(face.summary, name, None)


def _ahead(face: PrinterState) -> Value:
    job = getattr(face.summary, "job", None)
    return ", ".join(each.label for each in job.ahead) or None if job else None


PRINTER = (
    Facet("online", "Whether the printer answers", "boolean",
          read=lambda face: int(face.online)),
    Facet("name", "The printer's name", "string", read=_info("name")),
    Facet("model", "The printer's model", "string", read=_info("model")),
    Facet("host", "The host on which Klipper runs", "string", read=_info("host")),
    Facet("url", "The printer's web page", "string", read=_info("url")),
    Facet("version", "Version of Klipper Upkeep", "string", read=_info("version")),
    Facet("klipper_version", "Version of Klipper", "string",
          read=_info("klipper_version")),
    Facet("klipper_state", "Klipper's state", "string",
          read=_info("klipper_state")),
    Facet("due", "Tasks that are due", "numeric", read=_summary("due")),
    Facet("soon", "Tasks that are due soon", "numeric", read=_summary("soon")),
    Facet("next_task", "The task that comes next", "string",
          read=_summary("next_task")),
    Facet("next_due_at", "When the next task will be due (UNIX time)", "numeric",
          "s", read=_summary("next_due_at")),
    Facet("problem", "The printer's problem; empty if there is none",
          "string", read=_summary("problem")),
    Facet("ahead", "Tasks that the running print will make due; empty if there is none",
          "string", read=_ahead),
)  # fmt: skip
read_printer = _reader(PRINTER)
_TAKEN = frozenset(facet.field for facet in PRINTER)


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Field:
    """An item. Its key begins with the prefix of its record."""

    name: str
    description: Description


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Shape:
    """The items of a record, in the order of its values.

    If there are several limits, *meters* has their own names. Shapes with the same
    *key* are equal.
    """

    fields: tuple[Field, ...]
    meters: dict[str, str] = field(default_factory=dict)  # it is never changed
    key: tuple[Any, ...] = ()


class Shapes:
    """Makes shapes and values for tasks, meters and printers, and shares equal shapes.

    Shapes that no record uses are dropped, since there is no limit to units and names.
    """

    def __init__(self, *, read_only: bool) -> None:
        self._read_only = read_only
        self._known: WeakValueDictionary[Any, Shape] = WeakValueDictionary()
        self._fields: WeakValueDictionary[Any, Field] = WeakValueDictionary()
        self.printer = Shape(tuple(self._field(facet) for facet in PRINTER))

    def __len__(self) -> int:
        """Return how many shapes and descriptions there are."""
        return len(self._known) + len(self._fields)

    def task(self, state: State, known: Shape | None = None) -> tuple[Shape, Values]:
        """Return a task's shape and values. Each of several limits has its own items.

        *known* is the former shape of the task, which has probably not changed.
        """
        learns = state.habit is not None or state.due_from is not None
        values, limits = _read_task(state), state.limits
        if len(limits) == 1:
            [deciding], limits = limits, ()
            values += deciding[2:]
            key: tuple[Any, ...] = (learns, state.kind != "", deciding.unit)
        else:
            deciding = state.deciding
            values = sum((each[2:] for each in (deciding, *limits)), values)
            units = ((limit.meter, limit.unit) for limit in limits)
            key = (learns, state.kind != "", deciding.unit, *units)
        if learns:
            values += _read_learnt(state)
        if state.kind:
            values += _read_part(state)
        if known is not None and known.key == key:
            return known, values
        return self._known.get(key) or self._made(key, state), values

    def _made(self, key: tuple[Any, ...], state: State) -> Shape:
        deciding = state.deciding
        limits = state.limits if len(state.limits) > 1 else ()
        names = slugs(limit.meter for limit in limits)
        fields = tuple(self._task(deciding, limits, names, learns=key[0]))
        if state.kind:
            fields += tuple(self._field(facet) for facet in PART)
        meters = {slug: meter for meter, slug in names.items()}
        shape = self._known[key] = Shape(fields, meters, key)
        return shape

    def _task(
        self,
        deciding: Limit,
        limits: tuple[Limit, ...],
        names: dict[str, str],
        *,
        learns: bool,
    ) -> Iterable[Field]:
        for facet in TASK:
            yield self._field(facet)
        for each in _LIMIT_ORDER:
            yield self._field(each, deciding.unit)
        for limit in limits:
            for each in _LIMIT_ORDER:
                yield self._field(each, limit.unit, f"{names[limit.meter]}.")
        for facet in LEARNT if learns else ():
            yield self._field(facet)

    def meters(self, info: Info) -> Shape:
        key = tuple((name, meter) for name, meter in info.meters.items())
        shape = self._known.get(key)
        if shape is None:
            names = slugs(info.meters, _TAKEN)
            shape = self._known[key] = Shape(
                tuple(
                    Field(
                        names[name],
                        _describe(meter.label or name, "numeric", meter.unit),
                    )
                    for name, meter in info.meters.items()
                )
            )
        return shape

    def _field(self, facet: Facet, unit: str = "", prefix: str = "") -> Field:
        units = unit if facet.units == "?" else facet.units
        # Tasks and printers have items of one name that mean different things.
        key = (facet, units, prefix)
        made = self._fields.get(key)
        if made is None:
            settable = facet.settable and not self._read_only
            if prefix:
                bare = self._field(facet, unit)
                description = bare.description
            else:
                description = _describe(facet.text, facet.kind, units)
                description["settable"] = settable
            made = self._fields[key] = Field(prefix + facet.field, description)
        return made


# A limit's amounts have the same order as in contract.Limit.
_LIMIT_ORDER = tuple(
    next(facet for facet in LIMIT if facet.field == field)
    for field in Limit._fields[2:]
)


def slugs(names: Iterable[str], taken: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return a part of a key for each name. All differ, and none is too long."""
    made: dict[str, str] = {}
    used = set(taken)
    for name in names:
        slug = contract.slug(name)
        if slug in taken:
            slug = f"meter_{slug}"
        apart = name
        while slug in used or len(slug) > LONGEST:
            apart = hashlib.sha256(apart.encode("utf-8", "replace")).hexdigest()[:8]
            slug = f"{slug[: LONGEST - 9]}_{apart}"
        used.add(slug)
        made[name] = slug
    return made


def _describe(text: str, kind: str, units: str) -> Description:
    description: Description = {"type": kind, "description": text, "settable": False}
    if units:
        description["units"] = UNITS.get(units, units)
    if kind == "enumerated":
        description["enumerators"] = STATUS
    if kind == "numeric":
        description["format"] = "%.2f" if units in ("h", "m", "%") else "%.10g"
    return description


def command(
    shape: Shape, values: Values, field: str, value: Any, by: str, ident: str
) -> Command:
    """Return the command for a SET of a task's item. ValueError: there is none."""
    limit, _, last = field.rpartition(".")
    if last in ("done", "unsnooze", "learn"):
        if not value:
            raise ValueError(f"{last!r} can only be set to 1")
        return Command(last, ident, by)
    if last == "enabled":
        return Command("enable" if value else "disable", ident, by)
    if last == "place":
        place = str(value).strip()
        return Command("fit" if place else "remove", ident, by, place=place or None)
    number = _number(last, value)
    if last == "snooze":
        word = "snooze" if number else "unsnooze"
        return Command(word, ident, by, hours=number or None)
    amount: Amount = number
    if shape.meters:
        # Another limit may decide when the command arrives, so the command names the
        # meter.
        amount = {shape.meters.get(limit, str(values[_TRIGGER])): number}
    return _amount(last, amount, by, ident)


def _number(field: str, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{field!r} cannot be {number}")
    if number < 0 or (number == 0 and field not in ("snooze", "used")):
        raise ValueError(f"{field!r} cannot be {number:g}")
    return number


def _amount(field: str, amount: Amount, by: str, ident: str) -> Command:
    if field == "used":
        return Command("adjust", ident, by, used=amount)
    if field == "threshold":
        return Command("set", ident, by, threshold=amount)
    return Command("set", ident, by, warn_at=amount)
