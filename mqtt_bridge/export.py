"""`upkeep-bridge export`: the counters, or the log, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mqtt_bridge import look
from mqtt_bridge.contract import Command, Entry, iso
from mqtt_bridge.core import Bridge
from mqtt_bridge.look import Line
from mqtt_bridge.mirror import Record
from mqtt_bridge.settings import Settings

LOG = 10_000  # entries that a printer is asked for
WITHIN = 7.0  # seconds

COUNTERS = (
    "threshold", "used", "remaining", "percent", "warn_at", "enabled", "trigger",
    "done_count", "last_by",
)  # fmt: skip
MOMENTS = ("last_done", "due_at", "snoozed_until")


def main(settings: Settings, options: Namespace) -> int:
    try:
        with look.fleet(settings) as bridge:
            lines = bridge.call(lambda: look.lines(bridge)).result(WITHIN)
            rows = _log(bridge, lines) if options.log else [*map(_counters, lines)]
    except TimeoutError as error:
        print(f"upkeep-bridge: {error}", file=sys.stderr)
        return 1
    text = as_json(rows) if options.format == "json" else as_csv(rows)
    if options.output is None:
        print(text, end="")
    else:
        Path(options.output).write_text(text, encoding="utf-8")
    return 0


def as_json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), indent=1, ensure_ascii=False) + "\n"


def as_csv(rows: Iterable[dict[str, Any]]) -> str:
    rows = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["printer"])
    writer.writeheader()
    writer.writerows(
        {name: _cell(value) for name, value in row.items()} for row in rows
    )
    return out.getvalue()


def _cell(value: Any) -> Any:
    # A spreadsheet takes what begins so for a formula, and labels come from outside.
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def _counters(line: Line) -> dict[str, Any]:
    return {
        "printer": line.printer,
        "task": line.task,
        "label": line.said["label"],
        "online": line.online,
        "status": line.status,
        "unit": line.unit,
        "time": iso(line.time),
        **{name: line.said[name] for name in COUNTERS},
        **{name: _moment(line.said[name]) for name in MOMENTS},
    }


def _moment(value: Any) -> str | None:
    return None if value is None else iso(value)


def _log(bridge: Bridge, lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The log of every task whose printer answers; the others are named."""
    rows = []
    for line in lines:
        try:
            result = bridge.ask(line.printer, line.task, _ask).result(WITHIN)
        except Exception as error:  # noqa: BLE001 - the others' logs are wanted
            print(f"{line.printer}.{line.task}: no log: {error}", file=sys.stderr)
            continue
        entries = result.log if result else ()
        rows += [_entry(line, entry) for entry in entries]
    return rows


def _ask(_record: Record, transaction: str) -> Command:
    return Command("log", transaction, limit=LOG)


def _entry(line: Line, entry: Entry) -> dict[str, Any]:
    return {
        "printer": line.printer,
        "task": entry.task,
        "time": iso(entry.time),
        "event": entry.event,
        "by": entry.by,
        "note": entry.note,
        "used": " ".join(f"{meter}={used:g}" for meter, used in entry.used.items()),
    }
