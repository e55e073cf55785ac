"""Reads numbers from Python's, numpy's and text values. Pure."""

from __future__ import annotations

import math
from typing import Any


def plain_number(value: Any) -> int | float:
    if hasattr(value, "item"):  # a numpy scalar, or an array of one number
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):  # bytes are an array, and not a number
        for read in (int, float):
            try:
                return read(value)
            except ValueError:
                continue
    raise ValueError(f"{value!r} is not a number")


def as_number(value: Any) -> int | float:
    """Return *value* as a number, also NaN or infinite. ValueError: it is none."""
    return plain_number(value)


def is_finite(number: int | float) -> bool:
    # math.isfinite would make a float of an integer, which not every integer fits.
    return isinstance(number, int) or math.isfinite(number)


def as_integer(value: Any) -> int:
    number = as_number(value)
    if not is_finite(number) or number != int(number):
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)
