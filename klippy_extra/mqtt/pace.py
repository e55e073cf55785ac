"""Limits how fast the link's thread reads. Pure.

A thread that works without a rest keeps Python from Klipper's reactor, whatever it
works on. So what the broker sends is read at a bounded pace; the rest waits in the
network and at the broker.
"""

from __future__ import annotations

from typing import Callable

A_SECOND = 500.0  # small messages
AT_ONCE = 500.0  # after a pause
SMALL = 4096  # bytes


class Pace:
    """A budget that fills with time and is spent on messages by their size."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = AT_ONCE
        self._at = clock()

    def spend(self, size: int) -> None:
        """Pay for a message of *size* bytes; the budget may go below zero."""
        self._fill()
        self._left -= 1.0 + size / SMALL

    def rest(self) -> float:
        """Return the seconds for which nothing is to be read."""
        self._fill()
        return max(0.0, -self._left / A_SECOND)

    def _fill(self) -> None:
        now = self._clock()
        gained = max(0.0, now - self._at) * A_SECOND
        self._left = min(AT_ONCE, self._left + gained)
        self._at = now
