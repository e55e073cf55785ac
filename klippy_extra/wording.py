"""Writes numbers and tasks as text for people. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from . import contract
from .contract import DISABLED, DUE, SNOOZED, SOON
from .language import current, mark, number, tr

LEAST = 0.005  # people see a smaller amount as zero

amount = number

# The words for the contract's events.
EVENTS = {
    "due": mark("due"),
    "soon": mark("due soon"),
    "done": mark("done"),
    "skipped": mark("skipped"),
    "snoozed": mark("snoozed"),
    "unsnoozed": mark("snooze ended"),
    "enabled": mark("enabled"),
    "disabled": mark("disabled"),
    "changed": mark("changed"),
}

CONDITIONS = {
    contract.GOOD: mark("good"),
    contract.WORN: mark("worn"),
    contract.BROKEN: mark("broken"),
}


def event(entry: contract.Entry) -> str:
    """Return the text of a log entry: `done, worn`."""
    text = tr(EVENTS.get(entry.event, entry.event))
    if entry.condition:
        text += f", {tr(CONDITIONS[entry.condition])}"
    return text


MAINTENANCE = mark('Maintenance "{label}" {what}')


def quantity(number: float, unit: str) -> str:
    return f"{amount(number)} {unit}".rstrip()


def moment(seconds: float) -> str:
    """Return a day and a time, by the local clock."""
    return _local(seconds).strftime(current.catalogue.moment)


def day(seconds: float) -> str:
    return _local(seconds).strftime(current.catalogue.day)


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), timezone.utc).astimezone()


def standing(label: str, state: contract.State) -> str:
    """Return a task's status in one sentence."""
    limit = state.deciding
    used = quantity(limit.used, limit.unit)
    if state.kind and state.enabled and not state.place:
        return tr("{label} is on the shelf, with {used} used.", label=label, used=used)
    if state.status == DISABLED:
        return tr("{label} is disabled, with {used} used.", label=label, used=used)
    text = _use(label, limit)
    if len(state.limits) > 1:
        text += f" ({state.trigger})"
    if state.status == SOON:
        text += tr(", due soon")
    elif state.status == SNOOZED and state.snoozed_until is not None:
        text += tr(", snoozed until {moment}", moment=moment(state.snoozed_until))
    elif state.status != DUE and state.due_at is not None:
        text += tr(", about {day}", day=day(state.due_at))
        if state.due_from is not None and state.due_to is not None:
            first, last = day(state.due_from), day(state.due_to)
            text += tr(" ({first} to {last})", first=first, last=last)
    return text + "."


def _use(label: str, limit: contract.Limit) -> str:
    """Return a sentence about the use of a limit, without its full stop."""
    amounts = {
        "label": label,
        "used": quantity(limit.used, limit.unit),
        "left": quantity(limit.remaining, limit.unit),
        "over": quantity(-limit.remaining, limit.unit),
        "threshold": quantity(limit.threshold, limit.unit),
    }
    if not limit.threshold:
        text = mark("{label} is always due: its threshold is {threshold}, {used} used")
    elif limit.remaining <= -LEAST:
        text = mark("{label} is due: {used} used of {threshold}, {over} over")
    elif limit.remaining <= 0.0:
        text = mark("{label} is due: {used} used of {threshold}")
    else:
        text = mark("{label}: {left} remaining of {threshold}")
    return tr(text, **amounts)


def happened(label: str, what: str, is_part: bool = False) -> str:
    """Return the effect of a command. *what* follows the label of the task or part."""
    about = mark('Part "{label}" {what}') if is_part else MAINTENANCE
    return tr(about, label=label, what=what)


def details(state: contract.State) -> list[str]:
    """Return the instructions for the task."""
    texts = [state.message]
    if state.parts:
        texts.append(tr("Parts: {parts}", parts=state.parts))
    if state.guide:
        texts.append(tr("Guide: {guide}", guide=state.guide))
    return [each for each in texts if each]
