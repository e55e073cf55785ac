"""Reads the parameters of a G-code command. An error names the wrong one."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from ..contract import CONDITIONS, MAX_TEXT
from ..language import mark, tr

if TYPE_CHECKING:
    from ..contract import Amount
    from ..klipper_objects import GcodeCommand
    from ..task import Task
    from ..upkeep.registry import TaskRegistry

BY = "console"
NO_SUCH_TASK = mark("There is no maintenance task '{name}'. There are: {names}.")
NO_SUCH_TASK_NOR_ANY = mark(
    "There is no maintenance task '{name}'. There is none at all."
)


def text(gcmd: GcodeCommand, name: str, default: str = "") -> str:
    """Return a text, cut to the longest that the contract allows."""
    value: str = gcmd.get(name, default)
    return value[:MAX_TEXT]


def optional(gcmd: GcodeCommand, name: str) -> str | None:
    """Return a text as it is, or None if there is none."""
    value: str | None = gcmd.get(name, None)
    return value


def required(gcmd: GcodeCommand, name: str) -> str:
    """Return a text that must not be missing."""
    value: str = gcmd.get(name)
    return value


def flag(gcmd: GcodeCommand, name: str) -> bool:
    """Return whether the command has `NAME=1`, or any value other than 0."""
    return gcmd.get(name, "0") not in ("0", "")


def number(gcmd: GcodeCommand, name: str, default: float, least: float = 0.0) -> float:
    value = optional(gcmd, name)
    return default if value is None else _number(gcmd, name, value, least)


def amounts(gcmd: GcodeCommand, name: str) -> Amount | None:
    """Return a number, or several as in `print_time=10,time=200`."""
    value = optional(gcmd, name)
    if value is None:
        return None
    if "=" not in value:
        return _number(gcmd, name, value)
    by_meter = {}
    for part in value.split(","):
        meter, _, behind = part.partition("=")
        by_meter[meter.strip()] = _number(gcmd, name, behind)
    return by_meter


def condition(gcmd: GcodeCommand, name: str) -> str:
    """Return one of the contract's conditions, or ""."""
    value = text(gcmd, name).strip().lower()
    if value and value not in CONDITIONS:
        raise gcmd.error(
            tr(
                "{name}={value} must be one of {conditions}.",
                name=name,
                value=value,
                conditions=", ".join(CONDITIONS),
            )
        )
    return value


def moment(gcmd: GcodeCommand, name: str) -> int | None:
    """Return the moment of `AT=2026-11-20T18:00`, in its own or the printer's zone."""
    value = optional(gcmd, name)
    if value is None:
        return None
    try:
        iso = value[:-1] + "+00:00" if value[-1:] in "zZ" and value else value
        return math.floor(datetime.fromisoformat(iso).astimezone().timestamp())
    except (ValueError, OverflowError):
        raise gcmd.error(
            tr(
                "{name}={value} is no time: write 2026-11-20 or 2026-11-20T18:00.",
                name=name,
                value=value,
            )
        ) from None


def task(gcmd: GcodeCommand, registry: TaskRegistry) -> Task:
    """Return the task that `NAME=` names."""
    name = required(gcmd, "NAME")
    task = registry.find(name)
    if task is None:
        names = ", ".join(each.name for each in registry.tasks.values())
        text = NO_SUCH_TASK if names else NO_SUCH_TASK_NOR_ANY
        raise gcmd.error(tr(text, name=name, names=names))
    return task


def _number(gcmd: GcodeCommand, name: str, value: str, least: float = 0.0) -> float:
    try:
        parsed = float(value)
    except ValueError:
        parsed = math.nan
    if not least <= parsed < math.inf:
        raise gcmd.error(
            tr(
                "{name}={value} must be a number, {least} or more.",
                name=name,
                value=value.strip(),
                least=least,
            )
        )
    return parsed
