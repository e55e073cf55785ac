"""Computes which tasks a print of some hours and metres will make due. Pure."""

from __future__ import annotations

import re
from typing import Callable, Iterable, Mapping, NamedTuple

from ..ledger.ledger import Ledger
from ..ledger.records import CALENDAR, Counter, Limit, threshold
from .slicers import Prediction

# Meters that grow at least as fast as the hours of a print.
HOURS = ("print_time", "busy_time", "power_on", CALENDAR, "moonraker_print_time")
METRES = ("filament", "moonraker_filament")
# Meters that grow in proportion to the hours, at the rate of the last weeks.
BY_HABIT = ("travel_", "extruded")
_TOOL = re.compile(r"(?:tool |T)(\d+)\Z")
LEAST_KNOWN = 20.0  # hours of printing that are needed to compute a proportion


class DueInPrint(NamedTuple):
    """A task that becomes due in a print, and the share of the print at that time."""

    task: str
    meter: str  # the limit that decides then
    share: float  # the share of the print, 0 to 1
    remaining: float  # the amount left of that limit, in its unit
    unit: str
    about: bool = False  # whether it is estimated from recent prints


def amounts(prediction: Prediction, meters: Mapping[int, str]) -> dict[str, float]:
    """Return what a print will add to the meters. *meters* has each tool's filament.

    With more filaments than extruders (an MMU), nobody can know which tool has which.
    """
    added: dict[str, float] = {}
    if prediction.hours is not None:
        added.update(dict.fromkeys(HOURS, prediction.hours))
    metres = prediction.metres
    if metres is not None:
        added.update(dict.fromkeys(METRES, metres))
        if len(prediction.by_tool) <= len(meters):
            added.update(
                (meters[tool], length) for tool, length in enumerate(prediction.by_tool)
            )
    added["jobs_completed"] = 1.0
    return added


def due_in_print(
    book: Ledger,
    tasks: Iterable[str],
    prediction: Prediction,
    meters: Mapping[int, str],
    weight: Callable[[Counter], float | None],
) -> list[DueInPrint]:
    """Return those of *tasks* that are not due, and will become due.

    *weight* returns the factor of a meter for a counter, or None if it is unknown.
    """
    added = amounts(prediction, meters)
    rates = book.document()["rates"]

    def expected(counter: Counter) -> tuple[float, bool] | None:
        worth = weight(counter)
        if worth is None:
            return None
        if counter.place:
            length = _of_tool(prediction, counter)
            return None if length is None else (length * worth, False)
        if counter.meter in added:
            return added[counter.meter] * worth, False
        if prediction.hours is None or not counter.meter.startswith(BY_HABIT):
            return None
        by_hour = _by_hour(rates, counter)
        return None if by_hour is None else (by_hour * prediction.hours, True)

    passed = (_due_in_print(book, task, expected) for task in tasks)
    hours = prediction.hours or 0.0
    return [each for each in passed if each and not _is_snoozed(book, each, hours)]


def _of_tool(prediction: Prediction, counter: Counter) -> float | None:
    """Return the filament of a tool that shares an extruder, if it is predicted.

    A slicer does not predict how long each tool works, nor which lane or gate feeds it.
    """
    tool = _TOOL.match(counter.place)
    if tool is None or counter.meter not in METRES or len(prediction.by_tool) < 2:
        return None
    lengths = dict(enumerate(prediction.by_tool))
    return lengths.get(int(tool.group(1)), 0.0)


def _by_hour(
    rates: Mapping[str, tuple[float, float]], counter: Counter
) -> float | None:
    """Return a counter's recent growth in an hour of printing, if enough is known."""
    used, watched = rates.get(counter.key, (0.0, 0.0))
    printed, printed_watched = rates.get("print_time", (0.0, 0.0))
    if printed < LEAST_KNOWN or used <= 0.0 or watched < 0.9 * printed_watched:
        return None
    return used / printed


def is_due(book: Ledger, task: str) -> bool:
    """Return whether the use makes the task due, even if it is snoozed."""
    plan, record = book.plans[task], book.records[task]
    used = book.used(task)
    over = [used[limit.name] >= threshold(record, limit) for limit in plan.limits]
    return record.counts and (any(over) if plan.match == "any" else all(over))


def _due_in_print(
    book: Ledger,
    task: str,
    expected: Callable[[Counter], tuple[float, bool] | None],
) -> DueInPrint | None:
    plan, record = book.plans[task], book.records[task]
    if not record.counts or is_due(book, task):
        return None
    used = book.used(task)

    def of(limit: Limit) -> DueInPrint | None:
        remaining = threshold(record, limit) - used[limit.name]
        known = expected(limit.counter)
        if remaining <= 0.0:
            share, about = 0.0, False
        elif known is None or known[0] < remaining:
            return None
        else:
            share, about = remaining / known[0], known[1]
        return DueInPrint(task, limit.name, share, remaining, limit.unit, about)

    passed = [each for each in map(of, plan.limits) if each is not None]
    if not passed or (plan.match == "all" and len(passed) < len(plan.limits)):
        return None
    decide = min if plan.match == "any" else max
    return decide(passed, key=lambda due: due.share)


def _is_snoozed(book: Ledger, due: DueInPrint, hours: float) -> bool:
    """Return whether the task is still snoozed when it becomes due."""
    until = book.records[due.task].snoozed_to
    return until is not None and until > book.calendar + due.share * hours
