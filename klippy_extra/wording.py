"""How numbers and tasks are put into words for people. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from . import contract
from .contract import DISABLED, DUE, SNOOZED, SOON

LEAST = 0.005  # an amount below it is none to a person


def amount(number: float) -> str:
    """A number as people write it: at most two digits behind the point."""
    text = f"{number:.2f}" if abs(number) >= 0.01 or not number else f"{number:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def quantity(number: float, unit: str) -> str:
    return f"{amount(number)} {unit}".rstrip()


def day(moment: float) -> str:
    when = datetime.fromtimestamp(int(moment), timezone.utc).astimezone()
    return when.strftime("%Y-%m-%d %H:%M")


def standing(label: str, state: contract.State) -> str:
    """How a task stands, in one sentence."""
    limit = state.deciding
    used = quantity(limit.used, limit.unit)
    if state.status == DISABLED:
        return f"{label} is disabled, with {used} used."
    threshold = quantity(limit.threshold, limit.unit)
    if not limit.threshold:
        text = f"{label} is always due: its threshold is {threshold}, {used} used"
    elif limit.remaining <= 0.0:
        over = f", {quantity(-limit.remaining, limit.unit)} over"
        over = over if limit.remaining <= -LEAST else ""
        text = f"{label} is due: {used} used{over} of {threshold}"
    else:
        left = quantity(limit.remaining, limit.unit)
        text = f"{label}: {left} remaining of {threshold}"
    if len(state.limits) > 1:
        text += f" ({state.trigger})"
    if state.status == SOON:
        text += ", due soon"
    elif state.status == SNOOZED and state.snoozed_until is not None:
        text += f", snoozed until {day(state.snoozed_until)}"
    elif state.status != DUE and state.due_at is not None:
        text += f", about {day(state.due_at)[:10]}"
    return text + "."


def details(state: contract.State) -> list[str]:
    """What a person needs to know to do the task."""
    texts = [state.message]
    if state.parts:
        texts.append(f"Parts: {state.parts}")
    if state.guide:
        texts.append(f"Guide: {state.guide}")
    return [each for each in texts if each]
