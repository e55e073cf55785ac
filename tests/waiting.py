"""Waits for an effect of another process or thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests import programs

PATIENCE = 60.0  # seconds

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    what: str,
    timeout: float = PATIENCE,
    longest: float = 0.3,
) -> T:
    """Return the first true value of *condition*, which is checked again and again.

    AssertionError, which names *what*, if there is none within *timeout* seconds.
    *longest* is the longest pause between two checks, in seconds.
    """
    begin = time.monotonic()
    while not (value := condition()):
        assert time.monotonic() < begin + timeout, f"not within {timeout:g} s: {what}"
        programs.pause(begin, longest)
    return value
