"""Adds the meters' growth to the ledger, and stores meters and ledger together."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Mapping

from .. import contract, meters
from ..contract import Entry
from ..klipper_objects import Printer
from ..language import mark, tr
from ..ledger import precision
from ..ledger.conditions import Condition, Conditions, Factor, Material
from ..ledger.ledger import Ledger
from ..ledger.records import Counter
from ..ledger.stamps import Corrections, Stamps, boot_id
from ..meters import Increments, families
from ..meters.synchronized import synchronized
from ..settings import Settings
from ..task import OF_MOONRAKER, Task
from ..tools import CHANGES, Tools
from .problems import COUNTING, Problems

_is_count = re.compile(r"count_\w+\Z").match
ENDS = ("jobs_completed", "jobs_cancelled", "jobs_failed")

NO_METER = mark("The meter '{meter}' is not counted: this printer has no such meter.")
NOT_STARTED = mark(
    "The meter '{meter}' is not counted: it could not be started, and klippy.log tells"
    " why."
)
NOT_COUNTED = mark("The meter '{meter}' is not counted now, and klippy.log tells why.")


class Counting:
    """Reads the meters of a ready printer, and applies conditions and factors."""

    def __init__(
        self,
        printer: Printer,
        settings: Settings,
        tasks: Mapping[str, Task],
        book: Ledger,
        documents: Mapping[str, Any],
        wall: Callable[[], float],
        problems: Problems,
        tools: Tools | None = None,
    ) -> None:
        self._book = book
        self._tasks = tasks
        self._problems = problems
        self._failing: frozenset[str] = frozenset()
        self._wall = wall
        self._tools = tools  # None: there are no parts
        # The parsed conditions and factors, by their texts, since parts change places.
        self._weights = {
            (weights[0].key, weights[1].key): weights
            for task in tasks.values()
            for weights in task.weights.values()
        }
        wanted = {counter.meter for counter in book.counters()}
        left = filter(_is_count, set(book.readings) - wanted)
        self._sources = meters.Sources(
            printer,
            meters.Options(
                wall=wall,
                memory=documents.get("memory") or {},
                counts=tuple(filter(_is_count, wanted)),
                counts_left=tuple(left),
            ),
        )
        self.meters: dict[str, contract.Meter] = {}
        # Another thread reads these, and they are added when it has an answer.
        elsewhere = OF_MOONRAKER.values() if settings.moonraker else ()
        self._elsewhere = families.meters(*elsewhere)
        self._learn()
        self._material = Material(
            printer, settings.material_variable, str(documents.get("material") or "")
        )
        self._conditions = Conditions(printer, self._material)
        self.synchronized = synchronized()
        self._stamps = Stamps(book, documents.get("clock") or {}, boot_id())
        self._missed = 0.0  # hours that were just added to the calendar
        self._eventtime = printer.get_reactor().monotonic()
        self._rated_at = book.calendar

    def count(self, eventtime: float) -> bool:
        """Add the meters' growth to the ledger; return whether a job has ended."""
        self._eventtime = eventtime
        increments = self._sources.poll(eventtime)
        if self._tools is not None:
            self._look_at_tools(self._tools, increments, eventtime)
        self._take(increments)
        failing = self._sources.failing
        if failing != self._failing:
            self._failing = failing
            self.report()
        return any(name in increments for name in ENDS)

    def _look_at_tools(
        self, tools: Tools, increments: Increments, eventtime: float
    ) -> None:
        """Read which tools are in use, and count the changes that have no event."""
        changes = tools.refresh(eventtime)
        if changes and CHANGES not in self._sources.meters:
            increments[CHANGES] = float(changes)

    def flush(self, eventtime: float) -> None:
        """Count everything before a restart or the end."""
        self._take(self._sources.flush(eventtime))

    def stop(self, eventtime: float) -> None:
        """Add the moves that were really made before the printer shut down."""
        self._take(self._sources.stop(eventtime))

    def _take(self, increments: Mapping[str, float]) -> None:
        self._missed += increments.get("time", 0.0) - increments.get("power_on", 0.0)
        self.add(increments)

    def add(self, increments: Mapping[str, float]) -> None:
        self._book.advance(increments, self._weight)

    def watch_clock(
        self, eventtime: float, entries: Iterable[Entry]
    ) -> Corrections | None:
        """Correct times from before the clock was set.

        *entries* are the entries of the log since the last call.
        """
        missed, self._missed = self._missed, 0.0
        return self._stamps.watch(
            eventtime, self._wall(), missed, entries, trusted=self.synchronized()
        )

    def _weight(self, counter: Counter) -> float:
        if counter.place and (
            self._tools is None or not self._tools.is_active(counter.place)
        ):
            return 0.0
        condition, factor = self._weights[counter.condition, counter.factor]
        return self._conditions.weight(condition, factor, self._eventtime)

    def worth(self, counter: Counter) -> float | None:
        """Return the factor of a counter now, or None if its condition may change."""
        condition, factor = self._weights.get(
            (counter.condition, counter.factor), (Condition(), Factor())
        )
        if condition.checks:
            return None
        return self._conditions.weight(condition, factor, self._eventtime)

    def settle(self) -> bool:
        """Update the rates; return whether there is a new mark to save."""
        calendar = self._book.calendar
        self._book.settle_rates(calendar - self._rated_at)
        self._rated_at = calendar
        return self._book.mark(self._wall())

    def move(self, name: str, by: float) -> str:
        """Increase a count meter; return its name. ValueError names the fix."""
        return self._sources.counts.count(name, by)

    def remove(self, name: str) -> str:
        """Remove a count meter with its reading. ValueError: a task counts it."""
        meter = self._sources.counts.take_away(name)
        self._book.forget(meter)
        self._learn()
        return meter

    def rename(self, name: str, to: str) -> str:
        """Add the reading of a meter that no task counts to another one.

        The use of the other meter's tasks does not change. ValueError names the fix.
        """
        target = self._sources.counts.target(to)
        meter = self._sources.counts.take_away(name)
        self._book.forget(meter, into=target)
        self._learn()
        return target

    def set_material(self, name: str) -> None:
        self._material.set(name)

    def _learn(self) -> None:
        self.meters = dict(self._sources.meters, **self._elsewhere)
        if self._tools is not None and self._tools.shares:
            self.meters.update(families.meters(CHANGES))
        self._book.add_meters(self.meters)

    def resume(self, documents: Mapping[str, Any]) -> None:
        """Continue from a store that was read only now."""
        counts = filter(_is_count, self._book.readings)
        self._sources.resume(documents.get("memory") or {}, tuple(counts))
        self._stamps.rebase()
        self._learn()
        if not self._material.name:
            self._material.set(str(documents.get("material") or ""))

    def readings(self) -> dict[str, float]:
        """Return all meters' readings, to 0.1 mm and 0.4 s."""
        readings = self._book.readings
        return {name: round(readings.get(name, 0.0), 4) for name in self.meters}

    def published(self) -> dict[str, float]:
        """Return all meters' readings, with the precision for their sizes."""
        return precision.readings(self.readings(), self.meters)

    def documents(self) -> dict[str, Any]:
        """Return the documents that must be stored together to count only once."""
        return {
            "meters": self._book.document(),
            "memory": self._sources.memory,
            "clock": self._stamps.document(),
        }

    def report(self) -> dict[str, list[str]]:
        """Report the meters that are not counted; return sentences for each task."""
        failing = self._failing
        texts = {task.slug: self._wrong(task) for task in self._tasks.values()}
        for task, sentences in texts.items():
            self._problems.report_task(task, " ".join(sentences))
        text = ""
        if failing:
            names = ", ".join(sorted(failing))
            text = tr(
                "These meters are not counted now: {meters}. klippy.log tells why.",
                meters=names,
            )
        self._problems.report(COUNTING, text)
        return {task: sentences for task, sentences in texts.items() if sentences}

    def _wrong(self, task: Task) -> list[str]:
        """Return sentences about a task's meters that are not counted."""
        wanted = {limit.counter.meter for limit in task.plan.limits}
        missing = NOT_STARTED if self._sources.not_made else NO_METER
        texts = [
            tr(missing, meter=meter) for meter in sorted(wanted - set(self.meters))
        ]
        texts += [
            tr(NOT_COUNTED, meter=meter) for meter in sorted(wanted & self._failing)
        ]
        conditions = [
            self._conditions.missing(each) for each, _ in task.weights.values()
        ]
        return texts + [text for text in conditions if text]
