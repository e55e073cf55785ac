"""Take over the maintenance entries that Mainsail keeps in Moonraker's database.

    python3 take_over.py sections http://localhost:7125 > mainsail-tasks.cfg
    # [include mainsail-tasks.cfg] in printer.cfg, RESTART, and then once:
    python3 take_over.py adjust http://localhost:7125

The first step writes a section for each open entry with a reminder. The second step
sends the printer the amount of each interval that has passed. Mainsail's entries stay:
delete them when the new tasks are right. Needs Python 3.7 and its standard library.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, Mapping, NamedTuple

NAMESPACE = "maintenance"
HOUR, DAY = 3600.0, 86400.0

Json = Dict[str, Any]


class Part(NamedTuple):
    """A kind of reminder in Mainsail, and the meter that counts the same."""

    reminder: str
    trigger: str
    to_unit: float  # Mainsail's number times this is the meter's unit


PARTS = (
    Part("printtime", "print_time", 1.0),  # hours
    Part("filament", "filament", 1.0),  # metres
    Part("date", "time", 24.0),  # days
)


def wanted(entries: Mapping[str, Json]) -> list[Json]:
    """The open entries with a reminder, sorted by their names."""
    kept = [each for each in entries.values() if _limits(each)]
    return sorted(kept, key=lambda each: str(each.get("name", "")).lower())


def _limits(entry: Json) -> list[Any]:
    """Pairs of a part and its threshold, in the meter's unit."""
    reminder = entry.get("reminder") or {}
    if reminder.get("type") is None or entry.get("end_time") is not None:
        return []
    limits = []
    for part in PARTS:
        given = reminder.get(part.reminder) or {}
        if given.get("bool") and (given.get("value") or 0) > 0:
            limits.append((part, float(given["value"]) * part.to_unit))
    return limits


def names_of(entries: list[Json]) -> list[str]:
    """A different section name for each entry: its label in small letters."""
    names: list[str] = []
    for entry in entries:
        plain = re.sub(r"[^a-z0-9]+", "_", str(entry.get("name", "")).lower())
        name = base = plain.strip("_")[:50] or "task"
        number = 2
        while name in names:
            name = f"{base}_{number}"
            number += 1
        names.append(name)
    return names


def sections(entries: Mapping[str, Json]) -> str:
    """The text of a configuration file."""
    lines = ["# Taken over from Mainsail's maintenance entries."]
    kept = wanted(entries)
    for name, entry in zip(names_of(kept), kept):
        limits = _limits(entry)
        lines += ["", f"[maintain {name}]"]
        lines.append("label: {}".format(_line(entry.get("name"))))
        lines.append("trigger: {}".format(", ".join(p.trigger for p, _ in limits)))
        lines.append("threshold: {}".format(", ".join(f"{n:g}" for _, n in limits)))
        if _line(entry.get("note")):
            lines.append("message: {}".format(_line(entry["note"])))
    return "\n".join(lines) + "\n"


def _line(text: Any) -> str:
    """The text as one line for a configuration file, without comment signs."""
    plain = re.sub(r"<[^>]+>", " ", str(text or ""))
    return " ".join(plain.replace("#", " ").replace(";", ",").split())


def adjustments(
    entries: Mapping[str, Json], totals: Mapping[str, float], now: float
) -> dict[str, dict[str, float]]:
    """By section: how much of each limit was used, in the meter's unit.

    *totals* are Moonraker's, in seconds and millimetres; *now* is in UNIX seconds.
    """
    hours = float(totals.get("total_print_time") or 0.0) / HOUR
    metres = float(totals.get("total_filament_used") or 0.0) / 1000.0
    used = {}
    kept = wanted(entries)
    for name, entry in zip(names_of(kept), kept):
        amounts = {
            "print_time": hours - float(entry.get("start_printtime") or 0.0) / HOUR,
            "filament": metres - float(entry.get("start_filament") or 0.0) / 1000.0,
            "time": (now - float(entry.get("start_time") or now)) / HOUR,
        }
        used[name] = {
            part.trigger: round(max(0.0, amounts[part.trigger]), 3)
            for part, _ in _limits(entry)
        }
    return used


def ask(url: str, path: str, body: Json | None = None) -> Any:
    """The result of a request to Moonraker. SystemExit: it failed, with the reason."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if not url.startswith(("http://", "https://")):
        sys.exit(f"{url} is no address: an address begins with http:// or https://")
    address = url.rstrip("/") + path
    request = urllib.request.Request(address, data, headers)  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.loads(answer.read().decode())["result"]
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace")[:300]
        sys.exit(f"Moonraker refused {path}: {text}")
    except (OSError, ValueError) as error:
        sys.exit(f"Moonraker at {url} cannot be reached: {error}")


def main(arguments: list[str]) -> int:
    if arguments[-1:] == ["--help"]:
        sys.stdout.write(__doc__ or "")
        return 0
    if len(arguments) != 2 or arguments[0] not in ("sections", "adjust"):
        sys.stderr.write(__doc__ or "")
        return 2
    step, url = arguments
    query = urllib.parse.urlencode({"namespace": NAMESPACE})
    entries = ask(url, "/server/database/item?" + query)["value"]
    if step == "sections":
        sys.stdout.write(sections(entries))
        return 0
    totals = ask(url, "/server/history/totals")["job_totals"]
    for name, used in adjustments(entries, totals, time.time()).items():
        command = {"command": "adjust", "used": used, "by": "Mainsail"}
        ask(url, "/printer/maintain/command", {"task": name, "command": command})
        sys.stdout.write(f"{name}: {used}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
