"""Meters: everything that wears a printer out, as counts that only grow.

Each source is a small file beside this one. To count something new, write a class
with ``meters`` and ``poll`` (`base.Source`) and add a line to `SOURCES`.
"""

from __future__ import annotations

from typing import Any, Callable

from ..contract import Meter
from ..guard import guarded
from .appliances import fans, heaters
from .base import Increments, Options
from .clock import Clock
from .counts import Counts
from .events import Events
from .families import known, unit
from .motion import Motion
from .printing import Printing

__all__ = ["SOURCES", "Increments", "Options", "Sources", "known", "unit"]

SOURCES: dict[str, Callable[[Any, Options], Any]] = {
    "clock": Clock,
    "printing": Printing,
    "motion": Motion,
    "heaters": heaters,
    "fans": fans,
    "events": Events,
    "counts": Counts,
}


class Sources:
    """All sources of a printer, made when Klippy is ready. Reactor only."""

    def __init__(self, printer: Any, options: Options) -> None:
        self._sources: dict[str, Any] = {}
        self._polls: dict[str, Callable[[float], Increments]] = {}
        for name, make in SOURCES.items():
            source = guarded(make, f"the source of meters {name!r}")(printer, options)
            if source is not None:
                self._sources[name] = source
                self._polls[name] = self._guarded(name, source.poll)

    @property
    def meters(self) -> dict[str, Meter]:
        """What this printer has, by name."""
        found: dict[str, Meter] = {}
        for source in self._sources.values():
            found.update(source.meters)
        return found

    @property
    def memory(self) -> dict[str, Any]:
        """What must be stored together with the meters: JSON, for `Options.memory`."""
        kept: dict[str, Any] = {}
        for source in self._sources.values():
            kept.update(getattr(source, "memory", {}))
        return kept

    def poll(self, eventtime: float) -> Increments:
        """Return what was added to each meter since the last poll, in its unit.

        Never negative, and only the meters that moved.
        """
        return _sum(poll(eventtime) for poll in self._polls.values())

    def flush(self, eventtime: float) -> Increments:
        """Poll, and leave nothing for later: before a restart or the end."""
        self._call("flush", eventtime)
        return self.poll(eventtime)

    def stop(self, eventtime: float) -> Increments:
        """Return what is left when Klippy has shut down, and count no more of it.

        What was planned then is not carried out any more. Clocks go on.
        """
        self._call("flush", eventtime)
        found = [self._polls[name](eventtime) for name in ("clock", "counts")]
        for name in set(self._polls) - {"clock", "counts"}:
            source = self._sources[name]
            last = self._guarded(name, getattr(source, "stop", source.poll))
            found.append(last(eventtime))
            del self._polls[name]
        return _sum(found)

    def count(self, name: str, by: float = 1.0) -> str:
        """Move a macro's count meter and return its name; ValueError with the fix."""
        return self._sources["counts"].count(name, by)  # type: ignore[no-any-return]

    def _call(self, method: str, eventtime: float) -> None:
        for name in self._polls:
            call = getattr(self._sources[name], method, None)
            if call is not None:
                self._guarded(name, call)(eventtime)

    def _guarded(self, name: str, call: Any) -> Callable[[float], Increments]:
        return guarded(call, f"the source of meters {name!r}", lambda eventtime: {})


def _sum(found: Any) -> Increments:
    total: Increments = {}
    for increments in found:
        for name, added in increments.items():
            if added > 0.0:
                total[name] = total.get(name, 0.0) + added
    return total
