"""Maintenance schedules by machine: ``preset: voron/ptfe``, and a starter file.

It is also a program for the installer: ``presets.py list`` and ``presets.py starter
<machine>``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict

FOLDER = Path(__file__).resolve().parent / "presets"
# These fields describe an entry. All other fields are options of a task.
ABOUT = ("source", "confidence", "note", "last_checked")

Entry = Dict[str, str]


def names() -> list[str]:
    """Return all presets, as ``machine/task``."""
    return [
        f"{machine}/{task}"
        for machine in machines()
        for task in _read(machine)["tasks"]
    ]


def machines() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> Entry:
    """Return a preset's options, and the fields that describe it.

    ValueError for an unknown name. It names the known ones.
    """
    machine, _, task = name.strip().lower().partition("/")
    if machine not in machines():
        raise ValueError(
            f"there is no preset {name!r}; there are: {', '.join(names())}"
        )
    tasks: dict[str, Entry] = _read(machine)["tasks"]
    if task not in tasks:
        known = ", ".join(f"{machine}/{each}" for each in tasks)
        raise ValueError(f"there is no preset {name!r}; {machine!r} has: {known}")
    return dict(tasks[task])


def starter(machine: str) -> str:
    """Return a configuration file with all tasks of *machine*."""
    document = _read(machine)
    lines = [
        f"# Maintenance of: {document['machine']}",
        "# The installer wrote this file once. You can change it: an option in a",
        "# section replaces the same option of its preset.",
        "",
        "[maintain]",
        "",
    ]
    for task, entry in document["tasks"].items():
        lines += [
            f"# {entry['label']}: {entry['threshold']} ({entry['trigger']}).",
            f"# Source ({entry['confidence']}, {entry['last_checked']}):",
            f"#   {entry['source']}",
            f"#   {entry['note']}",
            f"[maintain {task}]",
            f"preset: {machine}/{task}",
            "",
        ]
    return "\n".join(lines)


def _read(machine: str) -> Any:
    # An editor on Windows writes a byte order mark at the begin.
    text = (FOLDER / f"{machine}.json").read_text(encoding="utf-8-sig")
    return json.loads(text)


def main(arguments: list[str]) -> int:
    if arguments == ["list"]:
        for machine in machines():
            sys.stdout.write(f"{machine}\t{_read(machine)['machine']}\n")
    elif (
        len(arguments) == 2 and arguments[0] == "starter" and arguments[1] in machines()
    ):
        sys.stdout.write(starter(arguments[1]))
    else:
        sys.stderr.write("usage: presets.py list | presets.py starter <machine>\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
