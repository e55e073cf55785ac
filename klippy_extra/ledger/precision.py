"""The precision of published amounts, by their size. Pure.

An hour does not matter for a month, and each message makes two rows in a database. For
an amount of a task, the threshold decides, so that `used` and `remaining` change in the
same steps. For a meter, its own reading decides.
"""

from __future__ import annotations

import math
from typing import Mapping

from ..contract import Meter

CALENDAR = "time"  # the meter that always grows

# Sizes, the largest first, and the decimals of an amount from that size on.
_HOURS = ((10.0, 1), (0.0, 2))
_CALENDAR = ((100.0, 0), *_HOURS)
_METRES = ((100.0, 0), *_HOURS)
_COUNT = ((0.0, 0),)
_STEPS = {"h": _HOURS, "m": _METRES, "": _COUNT}
_DIGITS = 4  # the most digits of a distance; "158,126 m" would be too exact


def places(size: float, unit: str, meter: str = "") -> int:
    """Return the number of decimals. Below zero, tens and hundreds are left out.

    *unit* is ``h``, ``m`` or ``""``.
    """
    size = abs(size)
    steps = _CALENDAR if meter == CALENDAR else _STEPS.get(unit, _HOURS)
    decimals = next(decimals for least, decimals in steps if size >= least)
    if unit == "m" and size >= 1.0:
        decimals = min(decimals, _DIGITS - 1 - math.floor(math.log10(size)))
    return decimals


def rounded(amount: float, decimals: int) -> float:
    # The sum with zero makes 0.0 of -0.0.
    return round(amount, decimals) + 0.0


def shown(amount: float, unit: str) -> float:
    """Return an amount for `get_status`. On an idle printer it rarely changes."""
    return rounded(amount, 2 if unit == "h" else 5)


def readings(
    exact: Mapping[str, float], meters: Mapping[str, Meter]
) -> dict[str, float]:
    """Return all meters' readings, rounded for publication."""
    return {
        name: rounded(value, places(value, meters[name].unit, name))
        for name, value in exact.items()
    }
