"""The attributes that discovery gives to entities.

They are cut to the size that Home Assistant's recorder accepts.
"""

from __future__ import annotations

from typing import Any, Final

from .contract import State, Summary, iso
from .fleet import CALENDAR, Printer

LISTED: Final = 30  # labels in one attribute; the recorder accepts 16 KiB for a state


def ahead(summary: Summary) -> dict[str, Any]:
    """Return what is due on a printer, and what the running print makes due.

    Only a printer whose tasks look ahead tells about the running print.
    """
    job = summary.job
    more: dict[str, Any] = {
        "due_tasks": [_short(each) for each in summary.due_labels[:LISTED]],
        "problem": summary.problem[:500] if summary.problem else None,
    }
    if job is not None:
        more.update(
            print_file=job.file[:255],
            print_hours=job.hours,
            print_makes_due=[_short(each.label) for each in job.ahead[:LISTED]],
            print_made_due=[_short(each) for each in job.due[:LISTED]],
        )
    return more


def _short(label: str) -> str:
    return label if len(label) <= 65 else f"{label[:57]}..."


def seldom(state: State, printer: Printer) -> dict[str, Any]:
    """Return the attributes that change only when somebody uses the task."""
    return {
        "task": state.task,
        "status": state.status,
        "snoozed_until": iso(state.snoozed_until),
        "last_done": iso(state.last_done),
        "done_count": state.done_count,
        "label": state.label[:255],
        "message": state.message[:1500],
        "guide": state.guide[:500],
        "parts": state.parts[:500],
        "last_by": state.last_by[:100],
        "problem": state.problem[:500] if state.problem else None,
        "command_topic": printer.topic("command", state.task)
        if printer.introduced.commands
        else None,
    }


def often(state: State, printer: Printer) -> dict[str, Any]:
    """Return all attributes that a dashboard's card needs. They change often."""
    deciding = state.deciding
    more = seldom(state, printer)
    more.update(
        percent=deciding.percent,
        remaining=deciding.remaining,
        unit=deciding.unit,
        threshold=deciding.threshold,
        trigger=state.trigger,
        due_at=iso(state.due_at),
        calendar_due_at=_calendar(state),
    )
    if state.habit is not None or state.due_from is not None:
        more.update(
            suggestion=None if state.suggestion is None else state.suggestion.text,
            usual=None if state.habit is None else state.habit.median,
            due_from=iso(state.due_from),
            due_to=iso(state.due_to),
        )
    return more


def _calendar(state: State) -> int | None:
    """Return when the task's time limit ends, in UNIX seconds.

    A card uses it while the printer is off, when nothing is published.
    """
    left = [each.remaining for each in state.limits if each.meter == CALENDAR]
    if state.match != "any" or not left:
        return None
    return int(state.time + left[0] * 3600.0)
