"""Meters: counts that only grow, one for each kind of wear of a printer.

Each source of meters is a small file beside this one. To count something new, write a
class with ``meters`` and ``poll`` (`base.Source`) and add a line to `SOURCES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Sequence

from ..contract import Meter
from ..guard import guarded
from ..klipper_objects import Printer
from ..language import tr
from .appliances import fans, heaters
from .base import Increments, Options
from .clock import Clock
from .counts import Counts
from .events import Events
from .families import known, unit
from .motion import Motion
from .printing import Printing

if TYPE_CHECKING:
    from .base import Source

__all__ = ["SOURCES", "Increments", "Options", "Sources", "known", "unit"]

SOURCES: dict[str, Callable[[Printer, Options], Source]] = {
    "clock": Clock,
    "printing": Printing,
    "motion": Motion,
    "heaters": heaters,
    "fans": fans,
    "events": Events,
    "counts": Counts,
}


class Sources:
    """All sources of a printer, made when Klippy is ready. The reactor uses them."""

    def __init__(self, printer: Printer, options: Options) -> None:
        self._sources: dict[str, Source] = {}
        self._polls: dict[str, Callable[[float], Increments]] = {}
        self._fails: dict[str, bool] = {}  # by source: whether its last reading failed
        for name, make in SOURCES.items():
            made = guarded(make, f"the source of meters {name!r}")
            source: Source | None = made(printer, options)
            if source is not None:
                self._sources[name] = source
                self._polls[name] = self._guarded(name, source.poll)

    @property
    def meters(self) -> dict[str, Meter]:
        """Return this printer's meters, by name."""
        parts: dict[str, Meter] = {}
        for source in self._sources.values():
            parts.update(source.meters)
        return parts

    @property
    def memory(self) -> dict[str, Any]:
        """Return the sources' data for the store, as JSON, for `Options.memory`."""
        kept: dict[str, Any] = {}
        for source in self._sources.values():
            kept.update(getattr(source, "memory", {}))
        return kept

    def poll(self, eventtime: float) -> Increments:
        """Return how much each meter grew since the last poll, in its unit.

        The amounts are never negative. Meters that did not grow are left out.
        """
        return _sum(poll(eventtime) for poll in self._polls.values())

    def flush(self, eventtime: float) -> Increments:
        """Poll, and read all that is left, before a restart or the end."""
        self._call("flush", eventtime)
        return self.poll(eventtime)

    def stop(self, eventtime: float) -> Increments:
        """Return the last amounts after a shutdown of Klippy.

        Moves that were still planned are not made any more. Clocks go on.
        """
        self._call("flush", eventtime)
        parts = [self._polls[name](eventtime) for name in ("clock", "counts")]
        for name in set(self._polls) - {"clock", "counts"}:
            source = self._sources[name]
            last = self._guarded(name, getattr(source, "stop", source.poll))
            parts.append(last(eventtime))
            del self._polls[name]
        return _sum(parts)

    @property
    def counts(self) -> Counts:
        """The meters that macros increase. ValueError: they could not be started."""
        counts = self._sources.get("counts")
        if not isinstance(counts, Counts):
            text = tr("Counts of macros do not work: klippy.log tells why.")
            raise ValueError(text)  # noqa: TRY004
        return counts

    @property
    def not_made(self) -> bool:
        """Whether a source could not be made, so that its meters are not known."""
        return len(self._sources) < len(SOURCES)

    @property
    def failing(self) -> frozenset[str]:
        """The meters of the sources whose last reading failed."""
        failing = {name for name, fails in self._fails.items() if fails}
        failing |= {
            name
            for name, source in self._sources.items()
            if getattr(source, "failing", False)
        }
        return frozenset(
            meter for name in failing for meter in self._sources[name].meters
        )

    def resume(self, memory: Mapping[str, Any], counts: Sequence[str]) -> None:
        """Continue from `Options.memory` and `Options.counts`, which came later."""
        for source in self._sources.values():
            if isinstance(source, Clock):
                source.resume(memory)
            elif isinstance(source, Counts):
                source.resume(counts)

    def _call(self, method: str, eventtime: float) -> None:
        for name in self._polls:
            call = getattr(self._sources[name], method, None)
            if call is not None:
                self._guarded(name, call)(eventtime)

    def _guarded(
        self, name: str, call: Callable[[float], Any]
    ) -> Callable[[float], Increments]:
        def read(eventtime: float) -> Increments:
            increments: Increments = call(eventtime)
            self._fails[name] = False
            return increments

        def failed(eventtime: float) -> Increments:
            self._fails[name] = True
            return {}

        return guarded(read, f"the source of meters {name!r}", failed)


def _sum(parts: Iterable[Increments]) -> Increments:
    total: Increments = {}
    for increments in parts:
        for name, added in increments.items():
            if added > 0.0:
                total[name] = total.get(name, 0.0) + added
    return total
