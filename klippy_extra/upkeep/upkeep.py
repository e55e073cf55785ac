"""Joins the ledger, the counting, the board and the store of a ready printer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping

from ..language import tr
from ..ledger import inventory
from ..ledger.ledger import Ledger
from ..ledger.records import SHELF, changed
from ..outlook.learning import Learning
from ..tools import Tools
from .carry_out import CommandHandler
from .counting import Counting
from .publisher_proxy import PublisherProxy
from .standing import Board

if TYPE_CHECKING:
    from ..contract import State
    from ..klipper_objects import Printer
    from ..ledger.records import Record
    from ..settings import Settings
    from ..storage.memory import Memory
    from ..task import Task
    from .problems import Problems

RECORD = "task/"  # the begin of the name of a task's document; its slug follows


class Upkeep:
    """The tasks and their counts, for commands, rounds, screens and MQTT.

    Only the reactor uses this. *wall* is the wall clock, in UNIX seconds.
    """

    def __init__(
        self,
        printer: Printer,
        settings: Settings,
        tasks: Mapping[str, Task],
        memory: Memory,
        problems: Problems,
        wall: Callable[[], float],
    ) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self.settings = settings
        self.tasks = tasks
        self.memory = memory
        self.problems = problems
        self.wall = wall
        self.publisher = PublisherProxy()
        parts = [task.plan for task in tasks.values() if task.plan.kind]
        self.tools = Tools(printer) if parts else None
        places = () if self.tools is None else self.tools.places
        self.inventory = inventory.make(parts, places, settings.slug)
        self.book, self.handler = self._restored(memory.documents)
        self.learning = Learning(self.book, memory.log, wall)
        self.handler.suggestion = self.learning.suggestion
        self.board = Board(tasks, self.book, wall, problems)
        if settings.learn:
            self.board.learning = self.learning
        self.counting = Counting(
            printer,
            settings,
            tasks,
            self.book,
            memory.documents,
            wall,
            problems,
            self.tools,
        )
        self._is_running = True

    def _restored(self, documents: Mapping[str, Any]) -> tuple[Ledger, CommandHandler]:
        """Make the ledger and the handler from the saved *documents*."""
        plans = [task.plan for task in self.tasks.values()]
        records = {
            name[len(RECORD) :]: document
            for name, document in documents.items()
            if name.startswith(RECORD)
        }
        plans, records = inventory.restored(self.inventory, plans, records)
        try:
            meters, marks = documents.get("meters"), documents.get("marks")
            book = Ledger(plans, meters, records, marks or ())
            self._house(book)
            return book, CommandHandler(book, documents.get("answers") or ())
        except Exception:
            logging.exception("maintain: the content of the store is not valid")
            self.memory.lost(
                tr(
                    "The maintenance store cannot be understood: all counts start"
                    " again from zero."
                )
            )
            book = Ledger(
                plans, records={each: {"place": ""} for each in self.inventory.plans}
            )
            self._house(book)
            return book, CommandHandler(book)

    def _house(self, book: Ledger) -> None:
        """Give the ledger the places. Parts whose place is gone go to the shelf."""
        book.inventory = self.inventory
        for task in list(inventory.gone(self.inventory, book.records)):
            was = book.records[task]
            fresh = was._replace(place=SHELF)
            book.records[task] = changed(was, book.plans[task], book.readings, fresh)
        book.follow()

    def join(self, documents: dict[str, Any]) -> None:
        """Continue from the documents of a store that was not readable at the start."""
        self.flush()
        earlier, handler = self._restored(documents)
        self.book.join(earlier)
        self.book.follow()
        self.handler.join(handler)
        self.learning.forget()
        self.counting.resume(documents)

    @property
    def is_ready(self) -> bool:
        """Whether commands are carried out now."""
        return self._is_running and not self._printer.is_shutdown()

    def close(self) -> None:
        """Carry out no more commands."""
        self._is_running = False

    # Counting

    def flush(self) -> None:
        """Count everything before a restart or the end."""
        self.counting.flush(self._reactor.monotonic())

    def stop(self) -> None:
        """Count the moves that were really made before the printer shut down."""
        self.counting.stop(self._reactor.monotonic())

    def count_now(self) -> None:
        """Count up to now, because somebody requests the present numbers."""
        if self.is_ready:
            self.flush()

    def watch_clock(self, eventtime: float) -> None:
        """Correct times from before the clock was set."""
        corrections = self.counting.watch_clock(eventtime, self.memory.fresh())
        if corrections is None:
            return
        documents = self.records(corrections.tasks)
        documents.update(self.counting.documents())
        documents["marks"] = self.book.marks
        self.memory.correct(documents, corrections.moves)

    def settle(self) -> None:
        """Update the recent rates. This is called once a minute."""
        if self.counting.settle():
            self.memory.save({"marks": self.book.marks})

    def change_count(self, name: str, to: str | None) -> str:
        """Remove or rename a count meter; return a sentence. ValueError: it fails."""
        if to is None:
            text = tr("{meter} is removed.", meter=self.counting.remove(name))
        else:
            meter = self.counting.rename(name, to)
            text = tr(
                "The reading of '{name}' is part of '{meter}' now.",
                name=name,
                meter=meter,
            )
        self.memory.save(self.documents())
        self.publisher.info()
        return text

    def set_material(self, name: str) -> None:
        """Apply the factors of this material from now on."""
        self.count_now()
        self.counting.set_material(name)
        self.memory.save({"material": name})

    # Tasks

    def is_enabled(self, task: str) -> bool:
        return self.book.records[task].enabled

    def numbered(self, task: str) -> State:
        """Return a task's state for its next message, with a new `seq`."""
        return self.board.state(task, self.memory.next_seq())

    def sum_up(self) -> None:
        """Publish how many tasks are due, if that has changed."""
        self.publisher.summary(self.board.summary())

    def keep(self, task: str, record: Record) -> bool:
        """Keep the record; return whether it has changed."""
        if record is self.book.records[task]:
            return False
        self.book.records[task] = record
        self.memory.save(self.records([task]))
        return True

    # The store

    def save(self) -> None:
        """Save the counts."""
        self.memory.save({**self.counting.documents(), **self.memory.identity()})

    def records(self, tasks: Iterable[str]) -> dict[str, Any]:
        """Return the documents of these tasks."""
        return {RECORD + task: self.book.records[task].document() for task in tasks}

    def documents(self) -> dict[str, Any]:
        """Return all documents. A task's record must be saved with the readings."""
        documents = self.counting.documents()
        documents["answers"] = self.handler.answers()
        documents.update(self.records(self.book.records))
        return documents
