"""Angles and times as degrees or hours, minutes and seconds. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from . import units
from .numbers import is_finite
from .printf import WHOLE, Directive, bare, directive, printf, scan

Description = Mapping[str, Any]

DEGREES = frozenset({"d", "deg", "degs", "degree", "degrees"})
HOURS = frozenset({"h", "hour", "hours"})


def write_sexagesimal(
    description: Description, number: int | float, fields: list[str]
) -> str:
    if not is_finite(number):
        return str(number)
    own, shown = units.pair(description)
    if own and shown:
        number = _as_shown(number, own, shown)

    # Round once, as the last field will, and carry from there: fields that are
    # rounded one by one show 59:60.0.
    last = directive(fields[-1])
    smallest = abs(number) * 60 ** (len(fields) - 1)
    if last.letter in WHOLE:
        smallest = math.floor(smallest + 1e-6)  # whole, within the precision of floats
    rest, part = divmod(smallest, 60)
    part = _rounded(last, part)
    if part >= 60:
        rest, part = rest + 1, 0

    parts: list[int | float] = [part]
    for _ in fields[1:-1]:
        rest, part = divmod(rest, 60)
        parts.insert(0, part)
    negative = number < 0 and bool(rest or any(parts))
    texts = [printf(form, part) for form, part in zip(fields[1:], parts, strict=True)]
    return ":".join([_with_sign(fields[0], int(rest), negative), *texts])


def _rounded(directive: Directive, part: int | float) -> int | float:
    """Return what is left of *part* once it is printed."""
    if directive.letter in WHOLE or directive.letter == "s":
        return round(part, 6)
    return float(f"%.{directive.precision}{directive.letter}" % part)


def _with_sign(form: str, whole: int, negative: bool) -> str:
    if not negative:
        return printf(form, whole)
    if whole:
        return printf(form, -whole)
    before, _, _, after, number = directive(form)
    zero = printf(number, -1).replace("1", "0")  # there is no integer -0
    return (before + zero + after).replace("%%", "%")


def read_sexagesimal(description: Description, text: str) -> float:
    forms = (description.get("format") or "").split(":")
    fields = text.split(":")
    first, *rest = itertools.zip_longest(fields, forms[: len(fields)], fillvalue="%s")
    # The sign is the text's: -0:30:00 is half a degree below zero.
    negative = bare(*first).startswith("-")
    result = abs(float(scan(*first)))
    for place, field in enumerate(rest, start=1):
        part = float(scan(*field))
        # Programs that round each field write 60; the reference reads 1:-2:3.
        if abs(part) > 60:
            raise ValueError(f"{field[0].strip()!r} in {text!r} is not below 60")
        result += part / 60**place
    if negative:
        result = -result
    own, shown = units.pair(description)
    return _from_shown(result, own, shown) if own and shown else result


def _as_shown(number: float, own: str, shown: str) -> float:
    if own == shown:
        return number
    if _is_hour_angle(own, shown):
        return float(units.convert(number, own, "degree")) * 24 / 360
    return float(units.convert(number, own, _sexagesimal_unit(shown)))


def _from_shown(number: float, own: str, shown: str) -> float:
    if own == shown:
        return number
    if _is_hour_angle(own, shown):
        return float(units.convert(number * 360 / 24, "degree", own))
    return float(units.convert(number, _sexagesimal_unit(shown), own))


def _is_hour_angle(own: str, shown: str) -> bool:
    return shown.lower() in HOURS and not units.measures_time(own)


def _sexagesimal_unit(shown: str) -> str:
    # On its own, pint takes "d" for a day.
    return "degree" if shown.lower() in DEGREES else shown
