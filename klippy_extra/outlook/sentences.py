"""Sentences for people about the tasks ahead. Pure."""

from __future__ import annotations

from typing import Sequence

from .. import wording
from ..language import tr
from .due_in_print import DueInPrint
from .slicers import Prediction

MINUTE = 1.0 / 60.0  # hours


def hours(amount: float) -> str:
    """Return `35 min`, `9.5 h` or `14 h`. A prediction is not more exact."""
    if amount < 1.0:
        return wording.quantity(max(1, round(amount / MINUTE)), "min")
    return wording.quantity(round(amount, 1) if amount < 10.0 else round(amount), "h")


def size(prediction: Prediction) -> str:
    """Return the size of a print, for example `14 h, 120 m`."""
    metres = prediction.metres
    parts = [] if prediction.hours is None else [hours(prediction.hours)]
    if metres is not None:
        parts.append(wording.quantity(_rounded(metres), "m"))
    return ", ".join(parts)


def makes_due(label: str, due: DueInPrint, prediction: Prediction) -> str:
    """Return a sentence: This print (14 h, 120 m) makes "Grease" due after 9 h."""
    if prediction.hours is not None:
        after = hours(due.share * prediction.hours)
    else:
        after = wording.quantity(_rounded(due.remaining), due.unit)
    print_size = size(prediction)
    if due.about:
        return tr(
            'This print ({size}) makes "{label}" due after about {after}.',
            size=print_size,
            label=label,
            after=after,
        )
    return tr(
        'This print ({size}) makes "{label}" due after {after}.',
        size=print_size,
        label=label,
        after=after,
    )


def passes_nothing(prediction: Prediction) -> str:
    return tr("This print ({size}) makes no maintenance due.", size=size(prediction))


def tells_nothing(file: str) -> str:
    return tr(
        "'{file}' does not say how long it prints or how much filament it needs, so"
        " nothing is known ahead.",
        file=file,
    )


def made_due(labels: Sequence[str]) -> str:
    return tr("This print made maintenance due: {labels}.", labels=", ".join(labels))


def reminder(text: str) -> str:
    return tr("Maintenance: {text}", text=text)


def _rounded(metres: float) -> float:
    return round(metres, 1) if metres < 10.0 else round(metres)
