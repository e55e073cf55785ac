"""Counts that a macro moves: cuts, servo moves, wipes."""

from __future__ import annotations

import math

from ..contract import Meter
from .base import Increments, Options
from .families import each, known, plain

PREFIX = "count_"
MOST = 100  # a macro that makes names up must not fill the memory


class Counts:
    """``count_<name>``, moved by ``MAINTENANCE_COUNT NAME=<name> BY=1``."""

    def __init__(self, printer, options: Options) -> None:
        self.meters: dict[str, Meter] = {}
        self._pending: Increments = {}
        for name in filter(known, options.counts):
            self._add(name)

    def count(self, name: str, by: float) -> str:
        """Return the meter's name. ValueError for what is no name or no amount."""
        if not (math.isfinite(by) and by > 0.0):
            raise ValueError(f"BY={by} must be greater than 0: a meter only grows.")
        meter = self._add(name)
        self._pending[meter] = self._pending.get(meter, 0.0) + by
        return meter

    def poll(self, eventtime: float) -> Increments:
        increments, self._pending = self._pending, {}
        return increments

    def _add(self, name: str) -> str:
        short = plain(name[len(PREFIX) :] if name.startswith(PREFIX) else name)
        if not short:
            raise ValueError(f"NAME={name!r} needs a letter of a to z, or a digit.")
        made, meter = each("count", [short])[short]
        if made not in self.meters and len(self.meters) >= MOST:
            raise ValueError(f"There are {MOST} count meters already; use one of them.")
        self.meters[made] = meter
        return made
