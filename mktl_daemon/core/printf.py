"""C's printf formats of one number. Pure."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from .numbers import as_number, is_finite

_DIRECTIVE = re.compile(
    r"(?P<before>(?:[^%]|%%)*)"
    r"%(?P<flags>[-+ #0]*)(?P<width>\d{0,3})(?:\.(?P<precision>\d{1,2}))?"
    r"(?P<length>hh|h|ll|l|L|q|j|z|t)?"  # of C's number; Python has one kind
    r"(?P<letter>[diuoxXeEfFgGrs])"
    r"(?P<after>(?:[^%]|%%)*)",
    re.DOTALL,
)
WHOLE = "diuoxX"  # letters that print no fraction


class Directive(NamedTuple):
    before: str
    letter: str
    precision: int
    after: str
    number: str  # from the percent sign to the letter


def directive(form: str) -> Directive:
    match = _DIRECTIVE.fullmatch(form)
    if match is None:
        raise ValueError(f"{form!r} is not a printf format of one number")
    precision = 6 if match["precision"] is None else int(match["precision"])
    before, after = match["before"], match["after"]
    number = form[len(before) : len(form) - len(after)]
    if match["length"]:
        number = number[: -1 - len(match["length"])] + match["letter"]
    return Directive(before, match["letter"], precision, after, number)


def check_format(form: str) -> str:
    """Return *form*, or raise ValueError if no number can be printed with it."""
    for field in form.split(":"):
        directive(field)
    return form


def printf(form: str, number: int | float) -> str:
    if form == "%s":
        return str(number)
    parts = directive(form)
    if parts.letter in WHOLE:
        if not is_finite(number):
            return str(number)
        # 34.999999 is meant as 35.
        number = math.floor(number + 0.5) if isinstance(number, float) else number
    return (parts.before + parts.number + parts.after) % (number,)


def bare(text: str, form: str) -> str:
    """Return *text* without what *form* has around its number."""
    parts = directive(form)
    number = text.strip()
    number = number.removeprefix(parts.before.strip().replace("%%", "%"))
    return number.removesuffix(parts.after.strip().replace("%%", "%")).strip()


def scan(text: str, form: str) -> int | float:
    """Return the number that `printf` printed. ValueError: it is none."""
    number = bare(text, form)
    base = {"x": 16, "X": 16, "o": 8}.get(directive(form).letter)
    if base is None:
        return as_number(number)
    try:
        return int(number, base)
    except ValueError:
        raise ValueError(f"{text!r} is not a number in base {base}") from None
