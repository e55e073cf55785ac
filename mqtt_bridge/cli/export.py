"""`upkeep-bridge export` writes the tasks, the meters or the log, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mqtt_bridge.bridge import Bridge
from mqtt_bridge.cli import snapshot
from mqtt_bridge.cli.snapshot import TaskRow
from mqtt_bridge.contract import Command, Entry, iso
from mqtt_bridge.fleet.records import Record
from mqtt_bridge.settings import Settings

LOG = 10_000  # entries that are requested from a printer
MOST = 100  # entries that a printer sends at most
WITHIN = 7.0  # seconds

COUNTERS = ("done_count", "last_by")
MOMENTS = ("last_done", "due_at", "snoozed_until")


def main(settings: Settings, options: Namespace) -> int:
    """Write the export. Return 1 if a part of it is missing."""
    problems: list[str] = []
    try:
        with snapshot.fleet(settings) as bridge:
            problems += snapshot.missing(bridge)
            rows = _rows(bridge, options, problems)
        text = as_json(rows) if options.format == "json" else as_csv(rows)
        if options.output is None:
            print(text, end="")
        else:
            Path(options.output).write_text(text, encoding="utf-8")
    except TimeoutError as error:
        problems = [f"{error}"]
    except OSError as error:
        reason = error.strerror or error
        problems.append(f"{options.output or 'stdout'} is not written: {reason}")
    for each in problems:
        print(f"upkeep-bridge: {each}", file=sys.stderr)
    return 1 if problems else 0


def _rows(
    bridge: Bridge, options: Namespace, problems: list[str]
) -> list[dict[str, Any]]:
    if options.meters:
        return list(bridge.call(lambda: [*_meters(bridge)]).result(WITHIN))
    lines: list[TaskRow] = bridge.call(lambda: snapshot.lines(bridge)).result(WITHIN)
    if options.log:
        return _log(bridge, lines, problems)
    return [row for line in lines for row in _limits(line)]


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
    # A spreadsheet reads texts with these first characters as formulas.
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def _limits(line: TaskRow) -> Iterable[dict[str, Any]]:
    """Yield a row for each limit of a task. One of them decides now."""
    for limit in line.limits:
        yield {
            "printer": line.printer,
            "task": line.task,
            "label": line.values["label"],
            "online": line.online,
            "status": line.status,
            **limit._asdict(),
            "decides": limit.meter == line.values["trigger"],
            "time": _moment(line.time),
            "enabled": bool(line.values["enabled"]),
            **{name: line.values[name] for name in COUNTERS},
            **{name: _moment(line.values[name]) for name in MOMENTS},
        }


def _meters(bridge: Bridge) -> Iterable[dict[str, Any]]:
    """Yield a row for each meter of a printer. This is called in the bridge's turn."""
    for printer in bridge.fleet.printers.values():
        info, readings = printer.state.info, printer.readings
        if info is None or readings is None:
            continue
        for name, meter in info.meters.items():
            yield {
                "printer": printer.slug,
                "meter": name,
                "label": meter.label,
                "online": printer.online,
                "unit": meter.unit,
                "reading": readings.meters.get(name),
                "time": _moment(readings.time),
            }


def _moment(value: Any) -> str | None:
    try:
        return iso(value)
    except (ValueError, OverflowError, OSError):
        return None  # a wrong clock gave a time that no calendar has


def _log(
    bridge: Bridge, lines: Iterable[TaskRow], problems: list[str]
) -> list[dict[str, Any]]:
    """Yield the log of each task whose printer answers. The others are *problems*."""
    rows = []
    for line in lines:
        name = f"{line.printer}.{line.task}"
        try:
            result = bridge.ask(line.printer, line.task, _ask).result(WITHIN)
        except Exception as error:  # noqa: BLE001 - the other logs are still written
            problems.append(f"{name}: no log: {error}")
            continue
        entries = result.log if result else ()
        if len(entries) in (MOST, LOG):
            problems.append(
                f"{name}: only the newest {len(entries)} entries are exported; "
                "MAINTENANCE_LOG EXPORT=1 in the printer's console writes all of them"
            )
        rows += [_entry(line, entry) for entry in entries]
    return rows


def _ask(_record: Record, transaction: str) -> Command:
    return Command("log", transaction, limit=LOG)


def _entry(line: TaskRow, entry: Entry) -> dict[str, Any]:
    return {
        "printer": line.printer,
        "task": entry.task,
        "time": iso(entry.time),
        "event": entry.event,
        "by": entry.by,
        "note": entry.note,
        "used": " ".join(f"{meter}={used:g}" for meter, used in entry.used.items()),
    }
