"""The precision of published amounts, by their size. Pure.

An hour more or less says nothing about a month, and every message about it is two
rows in somebody's database. The size is the threshold's for an amount of a task, so
that `used` and `remaining` move in the same steps, and the reading's own for a meter.
"""

from __future__ import annotations

import math
from typing import Mapping

from ..contract import Meter

CALENDAR = "time"  # the meter that always runs

# Sizes, the largest first, and the decimals of an amount from that size on.
_HOURS = ((10.0, 1), (0.0, 2))
_CALENDAR = ((100.0, 0), *_HOURS)
_METRES = ((100.0, 0), *_HOURS)
_COUNT = ((0.0, 0),)
_STEPS = {"h": _HOURS, "m": _METRES, "": _COUNT}
_DIGITS = 4  # digits of a distance, at most: "158,126 m" says too much


def places(size: float, unit: str, meter: str = "") -> int:
    """Return how many decimals there are; below zero, tens and hundreds are left out.

    *unit* is ``h``, ``m`` or ``""``.
    """
    size = abs(size)
    steps = _CALENDAR if meter == CALENDAR else _STEPS.get(unit, _HOURS)
    decimals = next(decimals for least, decimals in steps if size >= least)
    if unit == "m" and size >= 1.0:
        decimals = min(decimals, _DIGITS - 1 - math.floor(math.log10(size)))
    return decimals


def rounded(amount: float, decimals: int) -> float:
    # Adding zero makes -0.0 a plain 0.0.
    return round(amount, decimals) + 0.0


def shown(amount: float, unit: str) -> float:
    """Return an amount as `get_status` shows it: the hours of an idle printer rest."""
    return rounded(amount, 2 if unit == "h" else 5)


def readings(
    exact: Mapping[str, float], meters: Mapping[str, Meter]
) -> dict[str, float]:
    """Return every meter's reading, rounded for publication."""
    return {
        name: rounded(value, places(value, meters[name].unit, name))
        for name, value in exact.items()
    }
