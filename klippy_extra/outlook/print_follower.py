"""Follows the running print: its file's prediction, and the tasks that become due."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping

from ..contract import Ahead, Job
from ..guard import guarded, unharmed
from ..paths import shown
from . import due_in_print, sentences
from .due_in_print import DueInPrint
from .reading import Reader, Reading
from .slicers import Prediction

if TYPE_CHECKING:
    from typing import Protocol

    from ..klipper_objects import Printer
    from ..ledger.ledger import Ledger
    from ..ledger.records import Counter
    from .policy import Policy

    class Looking(Protocol):
        """The options of a task's section."""

        label: str
        at_print_start: Policy


UNDER_WAY = ("printing", "paused")
EVERY = 1.0  # seconds between two polls of the print
TOLD_AFTER = 5  # polls in which MAINTENANCE_CHECK may still report the tasks ahead
ENDS_AFTER = 10  # polls in which all tasks are examined after the last moves
TOGETHER = 8  # tasks that are compared with a print in one turn of the reactor
MOST = 32  # the most tasks that are published
HOUR = 3600.0


class Outlook:
    """Compares a file's prediction with the tasks. It changes nothing."""

    def __init__(
        self,
        tasks: Mapping[str, Looking],
        book: Ledger,
        weight: Callable[[Counter], float | None],
        meters: Mapping[int, str],
    ) -> None:
        """*meters*: each tool's meter of its filament; empty with only one extruder."""
        self.tasks = tasks
        self.book = book
        self._weight = weight
        self._meters = meters

    @property
    def is_wanted(self) -> bool:
        return any(each.at_print_start.ahead != "off" for each in self.tasks.values())

    def due_in_print(
        self, prediction: Prediction, rest: Callable[[], None], every: bool = False
    ) -> list[DueInPrint]:
        """Return tasks that a print makes due: *every* one, or those that look ahead.

        *rest* is called after some tasks, so that other greenlets can run.
        """
        made = []
        tasks = [task for task in self.tasks if every or self.action(task) != "off"]
        for first in range(0, len(tasks), TOGETHER):
            made += due_in_print.due_in_print(
                self.book,
                tasks[first : first + TOGETHER],
                prediction,
                self._meters,
                self._weight,
            )
            rest()
        return sorted(made, key=lambda each: each.share)

    def action(self, task: str) -> str:
        return self.tasks[task].at_print_start.ahead

    def sentence(self, each: DueInPrint, prediction: Prediction) -> str:
        return sentences.makes_due(self.tasks[each.task].label, each, prediction)

    def due(self) -> set[str]:
        """Return the tasks that look ahead and were due at their last examination."""
        return {
            task
            for task, record in self.book.records.items()
            if record.due_since is not None and self.action(task) != "off"
        }


class PrintFollower:
    """Follows the printed file. Only the reactor uses this.

    *wall* is the wall clock. *changed* is called when `job` has changed.
    """

    def __init__(
        self,
        printer: Printer,
        outlook: Outlook,
        reader: Reader,
        wall: Callable[[], float],
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self.outlook = outlook
        self._reader = reader
        self._wall = wall
        self._say = say
        self._changed = changed
        self.job: Job | None = None
        self.has_told = False  # whether the running print's tasks ahead were reported
        self._prediction: Prediction | None = None  # the running print's
        self._due_before: set[str] = set()
        self._begun: Mapping[str, object] = {}  # by task: the readings at its begin
        self._looks = 0
        self._ended_for = 0  # polls since the print ended; 0: it runs, or none did

    def start(self) -> None:
        """Follow prints, if any task looks ahead."""
        if self.outlook.is_wanted:
            timer = guarded(
                self._follow_print, "looking ahead", lambda now: now + EVERY
            )
            self._reactor.register_timer(timer, self._reactor.monotonic() + EVERY)

    def close(self) -> None:
        self._reader.close()

    # Files

    def read(self, path: Path, then: Callable[[Reading], None]) -> None:
        """Read any file. Afterwards, *then* is called on the reactor."""
        self._reader.read(path, then)

    def rest(self) -> None:
        """Let other greenlets run, since a hundred tasks take too long for one turn."""
        now = self._reactor.monotonic()
        unharmed(lambda: self._reactor.pause(now))

    def file(self) -> Path | None:
        """Return the path of the printed file, if there is one."""
        card = self._printer.lookup_object("virtual_sdcard", None)
        if card is None:
            return None
        path = card.get_status(self._reactor.monotonic()).get("file_path")
        return None if path is None else Path(path)

    # The print

    def _follow_print(self, eventtime: float) -> float:
        stats = self._printer.lookup_object("print_stats", None)
        state = "" if stats is None else stats.get_status(eventtime)["state"]
        runs = self.job is not None and not self.job.ended and not self._ended_for
        if state in UNDER_WAY:
            if not runs:
                self._begin()
            self._follow()
        elif runs or self._ended_for:
            self._ended_for += 1
            if self._ended_for > ENDS_AFTER:
                self._end()
        return eventtime + EVERY

    def _begin(self) -> None:
        path = self.file()
        if path is None:
            return
        if self._ended_for:
            self._end()  # the end of the last print, which was not reported yet
        self._looks = 0
        self._prediction = None
        self._due_before = self.outlook.due()
        self.job = job = Job(file=shown(path.name), started=int(self._wall()))
        self._reader.read(path, lambda reading: self._learn(job, reading))

    def _learn(self, job: Job, reading: Reading) -> None:
        """Use the prediction in the file of *job*."""
        if self.job is not job:
            return  # the print has ended meanwhile
        prediction = reading.prediction
        self._prediction = prediction
        made = self.outlook.due_in_print(prediction, self.rest) if prediction else []
        if self.job is not job:
            return
        records = self.outlook.book.records
        self._begun = {each.task: records[each.task].start for each in made}
        self.job = job._replace(
            hours=None if prediction.hours is None else round(prediction.hours, 2),
            metres=None if prediction.metres is None else round(prediction.metres, 2),
            ahead=tuple(self._ahead(each, prediction) for each in made[:MOST]),
        )
        self._changed()

    def _ahead(self, each: DueInPrint, prediction: Prediction) -> Ahead:
        hours = prediction.hours
        after = None if hours is None else round(each.share * hours, 2)
        at = None if after is None else int(self._wall() + after * HOUR)
        label = self.outlook.tasks[each.task].label
        return Ahead(each.task, label, each.meter, after, at, each.about)

    def _follow(self) -> None:
        """Report the tasks ahead, without those that are due or done meanwhile."""
        job, prediction = self.job, self._prediction
        if job is None or prediction is None:
            return
        self._looks += 1
        if self._looks >= TOLD_AFTER and not self.has_told:
            self._tell(prediction)
        records = self.outlook.book.records
        ahead = tuple(
            each
            for each in job.ahead
            if records[each.task].due_since is None
            and records[each.task].start == self._begun[each.task]
        )
        self._settle(job._replace(ahead=ahead, due=self._due()))

    def _tell(self, prediction: Prediction) -> None:
        self.has_told = True
        for each in self.outlook.due_in_print(prediction, self.rest):
            text = self.outlook.sentence(each, prediction)
            self._say(sentences.reminder(text))

    def _end(self) -> None:
        """Report the tasks that the ended print made due."""
        self._ended_for, self.has_told = 0, False
        if self.job is None:
            return
        due = self._due()
        if due:
            self._say(sentences.made_due(due))
        self._settle(self.job._replace(ahead=(), due=due, ended=True))

    def _due(self) -> tuple[str, ...]:
        """Return the labels of the tasks that became due since the print began."""
        tasks = sorted(self.outlook.due() - self._due_before)
        return tuple(self.outlook.tasks[task].label for task in tasks)[:MOST]

    def _settle(self, job: Job) -> None:
        if job != self.job:
            self.job = job
            self._changed()
