"""Imports the counts of KlipperMaintenance ("the ancestor") and of Moonraker.

They are imported once. Both need Moonraker's totals, which may arrive late or never.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, Mapping

from .. import wording
from ..contract import Entry
from ..language import tr
from ..ledger.ledger import Ledger
from ..ledger.records import CALENDAR, Counter
from ..settings import Settings
from ..task import Task
from ..upkeep.counting import Counting
from ..upkeep.problems import MOONRAKER, Problems
from . import klippermaintenance
from .moonraker import Moonraker, Totals, grown

HOUR = 3600.0
BY = "import"
WANTED, TAKEN = "wanted", "taken"

Save = Callable[["dict[str, Any]", "list[Entry]"], None]


class Past:
    """Requests Moonraker's totals, for the import and for `source: moonraker`."""

    def __init__(
        self,
        settings: Settings,
        tasks: Mapping[str, Task],
        book: Ledger,
        documents: Mapping[str, Any],
        wall: Callable[[], float],
        say: Callable[[str], None],
        save: Save,
        problems: Problems,
    ) -> None:
        self._tasks = tasks
        self._book = book
        self._wall = wall
        self._say = say
        self._save = save
        self._problems = problems
        self._counting: Counting | None = None
        self._moonraker: Moonraker | None = None
        self._settings = settings
        self._old: dict[str, klippermaintenance.Old] = {}
        self.last: Totals | None = None
        self._history = ""
        self.learn(documents)

    def learn(self, documents: Mapping[str, Any]) -> None:
        """Continue from the store's documents."""
        last = documents.get("moonraker")
        self.last = Totals(*last) if last else None
        # Only the first start of a store imports earlier prints.
        first = self._settings.import_history and "meters" not in documents
        self._history = WANTED if first else str(documents.get("history") or "")
        for slug in list(self._old):
            if self._book.records[slug].imported:
                del self._old[slug]

    def read_files(self) -> None:
        """Read the ancestor's files, before the printer runs."""
        for slug, task in self._tasks.items():
            record = self._book.records[slug]
            if record.imported:
                continue
            try:
                old = klippermaintenance.read(task.name)
            except ValueError as error:
                old = None
                self._say(
                    tr(
                        "Maintenance: {error}. '{task}' counts from zero.",
                        error=str(error),
                        task=task.name,
                    )
                )
            if old is not None and any(x.name in old.start for x in task.plan.limits):
                self._old[slug] = old
            else:
                self._book.records[slug] = record._replace(imported=True)

    def start(
        self, counting: Counting, post: Callable[[Callable[[], None]], None]
    ) -> None:
        """Begin to send requests to Moonraker, if anything needs its totals."""
        self._counting = counting
        self._take_over(None)
        if not (self._settings.moonraker or self._old or self._history == WANTED):
            return
        self._moonraker = Moonraker(
            self._settings.moonraker_url, post, self.totals, self._no_answer
        )
        self._moonraker.start()

    def _no_answer(self, why: str) -> None:
        """Report that nothing is counted now, if `source: moonraker` is set."""
        text = ""
        if why and self._settings.moonraker:
            text = tr(
                "Moonraker's totals cannot be read: {why}. What is printed meanwhile"
                " is counted when they can be read again.",
                why=why,
            )
        self._problems.report(MOONRAKER, text)

    def ask(self) -> None:
        """Request the totals again, since a job has ended."""
        if self._moonraker is not None:
            self._moonraker.ask()

    def close(self) -> None:
        if self._moonraker is not None:
            self._moonraker.close()

    def documents(self) -> dict[str, Any]:
        return {
            "history": self._history or None,
            "moonraker": None if self.last is None else list(self.last),
        }

    def totals(self, totals: Totals) -> None:
        """Handle Moonraker's totals."""
        if self._counting is None:
            return
        self._counting.add(grown(self.last, totals))
        self.last = totals
        before = {task: self._book.used(task) for task in self._old}
        if self._history == WANTED:
            self._take_history(totals)
        self._take_over(totals, before)
        self._save(self.documents(), [])

    def _take_history(self, totals: Totals) -> None:
        self._history = TAKEN
        amounts = {"print_time": totals.print_time, "filament": totals.filament}
        amounts.update({f"moonraker_{n}": value for n, value in amounts.items()})
        self._book.advance(amounts, _unweighted, recent=False)
        self._say(
            tr(
                "Maintenance is counted from Moonraker's totals: {print_time} of"
                " printing and {filament} of filament.",
                print_time=wording.quantity(totals.print_time, "h"),
                filament=wording.quantity(totals.filament, "m"),
            )
        )

    def _take_over(
        self,
        totals: Totals | None,
        before: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Import those of the ancestor's counts that are known now."""
        for slug, old in list(self._old.items()):
            readings = _readings(totals, self._wall())
            names = [limit.name for limit in self._tasks[slug].plan.limits]
            taken = [name for name in names if name in old.start]
            if old.disabled_at is None and not set(taken) <= set(readings):
                continue
            del self._old[slug]
            counted = (before or {}).get(slug) or self._book.used(slug)
            used = {
                name: counted[name]
                + (old.used(name, readings.get(name, 0.0)) if name in taken else 0.0)
                for name in names
            }
            self._apply(slug, used, enabled=old.disabled_at is None)

    def _apply(self, slug: str, used: dict[str, float], *, enabled: bool) -> None:
        book, task = self._book, self._tasks[slug]
        record = book.restart(slug, used)
        if not enabled and record.enabled:
            record = record._replace(enabled=False, held=used)
        book.records[slug] = record._replace(imported=True)
        units = {limit.name: limit.unit for limit in task.plan.limits}
        amounts = ", ".join(wording.quantity(used[name], units[name]) for name in used)
        file = f"~/maintain-db/{task.name.split()[0]}"
        logging.info("maintain: %s: %s taken over from %s", slug, amounts, file)
        note = tr("{amounts} taken over from {file}", amounts=amounts, file=file)
        self._say(tr('Maintenance "{label}": {note}.', label=task.label, note=note))
        entry = Entry(int(self._wall()), slug, "changed", BY, note, used)
        documents = {f"task/{slug}": book.records[slug].document()}
        if self._counting is not None:
            documents.update(self._counting.documents())
        self._save(documents, [entry])


def _readings(totals: Totals | None, wall: float) -> dict[str, float]:
    """Return the readings that the ancestor would have now."""
    readings = {CALENDAR: wall / HOUR}
    if totals is not None:
        readings.update(print_time=totals.job_time, filament=totals.filament)
    return readings


def _unweighted(counter: Counter) -> float:
    """Return the counter without its conditions, as those of that time are unknown."""
    return 0.0 if counter.condition or counter.factor else 1.0
