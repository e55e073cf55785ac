"""Limits how fast the link's thread reads. Pure.

A thread that works without a pause takes time from Klipper's reactor, since only one
thread of Python runs at a time. So the broker's messages are read at a limited rate.
The others wait in the network and at the broker.
"""

from __future__ import annotations

from typing import Callable

A_SECOND = 500.0  # small messages in a second
AT_ONCE = 500.0  # small messages after a pause
SMALL = 4096  # bytes of a small message


class Pace:
    """A budget that fills with time and is spent on messages by their size."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = AT_ONCE
        self._at = clock()

    def spend(self, size: int) -> None:
        """Spend the budget for a message of *size* bytes. It may fall below zero."""
        self._fill()
        self._left -= 1.0 + size / SMALL

    def rest(self) -> float:
        """Return the seconds for which no message may be read."""
        self._fill()
        return max(0.0, -self._left / A_SECOND)

    def _fill(self) -> None:
        now = self._clock()
        gained = max(0.0, now - self._at) * A_SECOND
        self._left = min(AT_ONCE, self._left + gained)
        self._at = now
