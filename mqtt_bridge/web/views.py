"""Converts printers and tasks to JSON for the page. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mqtt_bridge import contract
from mqtt_bridge.contract import Entry
from mqtt_bridge.fleet.items import UNITS
from mqtt_bridge.fleet.records import Printer, Record

Json = dict[str, Any]

_UNIT = {word: unit for unit, word in UNITS.items()}
_LIMIT = ("threshold", "used", "remaining", "percent", "warn_at")
_TASK = (
    "label", "message", "guide", "trigger", "snoozed_until", "last_done", "last_by",
    "done_count", "due_at", "problem",
)  # fmt: skip


def printer(one: Printer) -> Json:
    """Return a printer with its tasks. Times are UNIX seconds."""
    info, summary = one.state.info, one.state.summary
    return {
        "slug": one.slug,
        "name": info.name if info else one.slug,
        "online": one.online,
        "commands": info.commands if info else True,
        "url": info.url if info else "",
        "problem": summary.problem if summary else None,
        "job": summary.job.fields() if summary and summary.job else None,
        "tasks": [
            task(slug, record) for slug, record in one.tasks.items() if record.shown
        ],
        "meters": one.readings.meters if one.readings else {},
    }


def task(slug: str, record: Record) -> Json:
    values = record.named()
    view: Json = {name: values[name] for name in _TASK}
    view.update((name, values[name]) for name in _LIMIT)
    view["task"] = slug
    view["status"] = contract.STATUSES[int(values["status"] or 0)]
    view["enabled"] = bool(values["enabled"])
    view["unit"] = _unit(record, "used")
    view["limits"] = list(_limits(record, view))
    if values.get("suggestion"):
        view["suggestion"] = {"text": values["suggestion"]}
    if values.get("kind"):
        view.update(kind=values["kind"], place=values["place"])
        view["places"] = str(values["places"]).split(", ")
    return view


def _limits(record: Record, view: Json) -> Iterator[Json]:
    """Yield each limit's numbers. With only one limit, they are the task's own."""
    meters, values = record.shape.meters, record.named()
    if not meters:
        yield {n: view[n] for n in (*_LIMIT, "unit")} | {"meter": view["trigger"]}
    for slug, meter in meters.items():
        numbers = {name: values[f"{slug}.{name}"] for name in _LIMIT}
        yield {**numbers, "meter": meter, "unit": _unit(record, f"{slug}.used")}


def _unit(record: Record, name: str) -> str:
    field = next(each for each in record.shape.fields if each.name == name)
    word = str(field.description.get("units", ""))
    return _UNIT.get(word, word)


def entry(one: Entry, printer_name: str = "") -> Json:
    """Return an entry of a log."""
    return {**one._asdict(), "printer": printer_name}
