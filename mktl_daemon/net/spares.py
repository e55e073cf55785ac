"""Connections to daemons that are far away, from who made them to who needs them.

To connect takes three times as long as to be answered.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import NamedTuple

from mktl_daemon import process

from . import loop as loops
from .line import Line

_KEEP = 5.0  # seconds that a connection is kept for somebody
_PATIENCE = 1.0  # seconds that are worth waiting for one that is being made

Address = tuple[str, int]


class Spare(NamedTuple):
    line: Line
    early: bool | None  # as a client's
    until: float  # by the monotonic clock


class _Spares:
    def __init__(self) -> None:
        self.forked()

    def forked(self) -> None:
        """Have nothing; also for a process that was forked."""
        self._changed = threading.Condition()
        self._made: dict[Address, Spare] = {}
        self._in_the_making: Counter[Address] = Counter()

    def expect(self, address: Address) -> None:
        """Have others wait for a connection that is being made; `settle` follows."""
        with self._changed:
            self._in_the_making[address] += 1

    def settle(self, address: Address, line: Line | None, early: bool | None) -> None:
        """Leave a connection to others for some seconds; None: it came to nothing."""
        with self._changed:
            self._in_the_making[address] -= 1
            if line is not None:
                until = time.monotonic() + _KEEP
                self._made[address] = Spare(line, early, until)
            self._changed.notify_all()
        loops.shared().later(_KEEP, self._tidy)

    def take(self, address: Address) -> Spare | None:
        if not self._made and not self._in_the_making:
            return None  # as nearly always
        with self._changed:
            self._changed.wait_for(
                lambda: address in self._made or not self._in_the_making[address],
                _PATIENCE,
            )
            spare = self._made.pop(address, None)
        return None if spare is None or spare.line.closed else spare

    def _tidy(self) -> None:
        now = time.monotonic()
        with self._changed:
            kept = {at: each for at, each in self._made.items() if each.until > now}
            self._made = kept
            self._in_the_making = +self._in_the_making


spares = process.kept(_Spares())
