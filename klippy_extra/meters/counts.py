"""Counts that macros increase, for example cuts, servo moves or wipes."""

from __future__ import annotations

from typing import Iterable

from ..contract import Meter
from ..klipper_objects import Printer
from ..language import tr
from .base import Increments, Options
from .families import each, known, plain

PREFIX = "count_"
MOST = 1e9  # the greatest increase by one command


class Counts:
    """``count_<name>``, which ``MAINTENANCE_COUNT NAME=<name> BY=1`` increases.

    Only meters that a task counts are increased. Other meters were counted for a former
    task. Their readings stay until somebody removes or renames them.
    """

    def __init__(self, printer: Printer, options: Options) -> None:
        self._wanted = frozenset(filter(known, options.counts))
        left = filter(known, options.counts_left)
        self.meters: dict[str, Meter] = {}
        for name in sorted({*self._wanted, *left}):
            self.meters.update(each("count", [name[len(PREFIX) :]]).values())
        self._pending: Increments = {}

    def resume(self, counts: Iterable[str]) -> None:
        """Add these meters, which were counted before."""
        for name in filter(known, counts):
            self.meters.update(each("count", [name[len(PREFIX) :]]).values())

    def count(self, name: str, by: float) -> str:
        """Increase a meter and return its name. ValueError tells why it is not."""
        if not 0.0 < by <= MOST:
            raise ValueError(
                tr(
                    "BY={by} must be greater than 0 and at most {most}: a meter only"
                    " grows.",
                    by=f"{by:g}",
                    most=f"{MOST:g}",
                )
            )
        meter = self.find(name)
        if meter not in self._wanted:
            text = tr("No task counts '{meter}', so nothing is counted.", meter=meter)
            raise ValueError(f"{text} {self._known()}")
        self._pending[meter] = self._pending.get(meter, 0.0) + by
        return meter

    def find(self, name: str) -> str:
        """Return the meter's whole name. ValueError: *name* cannot be one."""
        short = plain(name[len(PREFIX) :] if name.startswith(PREFIX) else name)
        if not short:
            raise ValueError(
                tr("NAME='{name}' needs a letter of a to z, or a digit.", name=name)
            )
        return PREFIX + short

    def take_away(self, name: str) -> str:
        """Remove a meter and return its whole name. ValueError: a task counts it."""
        meter = self.find(name)
        if meter in self._wanted:
            raise ValueError(
                tr(
                    "A task counts '{meter}': change its trigger first, and restart.",
                    meter=meter,
                )
            )
        if meter not in self.meters:
            text = tr("There is no meter '{meter}'.", meter=meter)
            raise ValueError(f"{text} {self._known()}")
        del self.meters[meter]
        return meter

    def target(self, name: str) -> str:
        """Return a meter that can get another one's reading. ValueError: it cannot."""
        meter = self.find(name)
        if meter not in self._wanted:
            text = tr("No task counts '{meter}'.", meter=meter)
            raise ValueError(f"{text} {self._known()}")
        return meter

    def poll(self, eventtime: float) -> Increments:
        increments, self._pending = self._pending, {}
        return increments

    def _known(self) -> str:
        names = ", ".join(sorted(self._wanted))
        left = ", ".join(sorted(set(self.meters) - self._wanted))
        text = tr("No task has such a trigger.")
        if names:
            text = tr("Tasks count: {meters}.", meters=names)
        rest = tr("Left over: {meters}.", meters=left)
        return f"{text} {rest}" if left else text
