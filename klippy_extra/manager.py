"""The `[maintain]` section: everything is wired together and kept alive here.

All state belongs to the reactor. Two timers do the work, a little at a time: one
counts, the other looks at tasks, publishes and saves.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from typing import Any, Callable, Mapping

from . import contract, settings
from .contract import Entry, Info, State
from .guard import guarded
from .history.import_history import Past
from .ledger.ledger import Ledger
from .ledger.records import Record
from .mqtt import connection
from .mqtt.publisher import Publisher, Sight
from .storage.export import Export
from .storage.memory import Memory
from .task import Task
from .ui.copied import Copied
from .ui.dialogs import Dialogs
from .ui.display import Display
from .ui.gcode import Console
from .ui.print_start import PrintStart
from .ui.reminders import Reminders
from .ui.webhooks import Web
from .upkeep.carry_out import Desk
from .upkeep.commands import Orders, event_of
from .upkeep.counting import Counting
from .upkeep.problems import BROKER, COUNTING, STORE, Problems
from .upkeep.standing import Board
from .version import VERSION

COUNT_EVERY = 0.25  # seconds: motion comes as a few hundred moves a second
LOOK_EVERY = 0.25  # seconds
LOOK_SOON = 0.02  # seconds, while messages wait for their turn
ROUND = 32  # looks until every task of many was looked at
LEAST = 4  # tasks in one look
TURN = 3  # messages that are made in one look
RATES_EVERY = 60.0  # seconds
SUM_EVERY = 1.0  # seconds
ASK_AFTER = 2.0  # seconds from a job's end until Moonraker has counted it
UNSAVED = 4  # commands over MQTT on their way to disk: the next one waits
SETTLED = 30.0  # seconds with a broker until it has what it should have


class Manager:
    """Counts, looks, and hands on; others know how."""

    def __init__(self, config, wall: Callable[[], float] | None = None) -> None:
        self.settings = settings.read(config)
        self.tasks: dict[str, Task] = {}
        self.problems = Problems()
        self.wall = wall or time.time
        self._printer = printer = config.get_printer()
        self._reactor = printer.get_reactor()
        self.memory = Memory(
            str(self.settings.store),
            self._post,
            f"which runs {printer.get_start_args().get('config_file')}",
            self.wall,
            lambda text: self.problems.report(STORE, text),
            self._note,
        )
        dialogs, display = Dialogs(printer), Display(printer)
        self.reminders = Reminders(printer, self.settings, self.tasks, dialogs, display)
        self.copied = Copied(
            printer, dialogs, self.reminders.say, self._report_broker, self._settle
        )
        print_start = PrintStart(
            printer, dialogs, display, self.settings.confirm_timeout
        )
        self.reminders.is_asking = lambda: print_start.is_asking
        self.running = False
        self._prepared = False  # the store was read
        self._notes: list[str] = []  # for the console, once somebody can hear it
        self._connection: connection.Connection | None = None
        self._export = Export(self.settings.export, self._post)
        self._status: Callable[[], dict[str, Any]] = guarded(
            self._tell_status, "the status of [maintain]", dict
        )
        Console(printer, self, print_start)
        Web(printer, self)
        for event, handler in (
            ("klippy:connect", self._connect),
            ("klippy:shutdown", self._shutdown),
            ("klippy:disconnect", self._disconnect),
            ("gcode:request_restart", self._restarting),
        ):
            printer.register_event_handler(event, guarded(handler, event))
        ready = guarded(self._ready, "klippy:ready", self._lame)
        printer.register_event_handler("klippy:ready", ready)

    def add(self, config) -> Task:
        """Make the task of a `[maintain NAME]` section."""
        task = Task(config, self.settings.moonraker)
        self.tasks[task.slug] = task
        return task

    def get_status(self, eventtime: float) -> dict[str, Any]:
        """Return a new dict each time: a subscriber sees no change within one."""
        return self._status()

    # Life

    def _connect(self) -> None:
        """Read the store; here waiting is allowed."""
        self.memory.load()
        self.memory.on_late = guarded(self._join, "joining with the store")
        self.book, desk = self._restored(self.memory.documents)
        self.board = Board(self.tasks, self.book, self.wall, self.problems)
        self.orders = Orders(self, desk)
        self._past = Past(
            self.settings,
            self.tasks,
            self.book,
            self.memory.documents,
            self.wall,
            self._note,
            self.memory.save,
        )
        guarded(self._past.look, "the ancestor's files")()
        self._prepared = True

    def _restored(self, documents: Mapping[str, Any]) -> tuple[Ledger, Desk]:
        """Make the ledger and the desk as they were when *documents* were saved."""
        plans = [task.plan for task in self.tasks.values()]
        prefix = "task/"
        records = {
            name[len(prefix) :]: document
            for name, document in documents.items()
            if name.startswith(prefix)
        }
        try:
            meters, marks = documents.get("meters"), documents.get("marks")
            book = Ledger(plans, meters, records, marks or ())
            return book, Desk(book, documents.get("answers") or ())
        except Exception:
            logging.exception("maintain: the store makes no sense")
            self.memory.lost("The maintenance store makes no sense: all starts anew.")
            book = Ledger(plans)
            return book, Desk(book)

    def _ready(self) -> None:
        if not self._prepared:
            self._lame()
            return
        self.counting = Counting(
            self._printer,
            self.settings,
            self.tasks,
            self.book,
            self.memory.documents,
            self.wall,
            self.problems,
        )
        self.memory.start()
        self.running = True
        for task in self.tasks.values():
            task.status = lambda slug=task.slug: self.board.status(slug)  # type: ignore[misc]
        if self.memory.known:
            self._begin(self.memory.save)
        self._start_timers()
        self._say_what_is_wrong()
        self.reminders.start(self.board.state)

    def _begin(self, save: Callable[[dict[str, Any]], None]) -> None:
        """Save, publish and import: what needs to know what was before."""
        publishes = self.settings.broker is not None
        if self.memory.documents.get("renew"):
            self.memory.renew()
        self.copied.compare(self.memory.documents, publishes)
        # Without the broker, counting goes on all the same.
        self._connection = guarded(self._connect_broker, "the way to the broker")()
        documents = {**self._everything(), **self.memory.identity()}
        documents.update(self.copied.documents(publishes), renew=None)
        if self._connection is not None:
            documents.update(self._connection.documents)
        save(documents)
        if self._connection is not None:
            self._connection.link.start()
        self._past.start(self.counting, self._post)

    def _join(self, documents: dict[str, Any]) -> None:
        """Go on from what a store holds that could not be read at start."""
        if not self.running:
            return
        self.counting.flush(self._reactor.monotonic())
        earlier, desk = self._restored(documents)
        self.book.join(earlier)
        self.orders.desk.join(desk)
        self.counting.resume(documents)
        self._past.learn(documents)
        self._begin(self.memory.adopt)

    def _say_what_is_wrong(self) -> None:
        wrong = self.counting.report()
        texts = list(self._notes)
        texts += [
            f"[maintain {task.name}]: The task is always due, since a threshold is 0."
            for task in self.tasks.values()
            if any(limit.threshold == 0.0 for limit in task.plan.limits)
        ]
        for task, problems in wrong.items():
            section = f"[maintain {self.tasks[task].name}]"
            texts += [f"{section}: {problem}" for problem in problems]
        if wrong:
            texts.append(f"This printer has {', '.join(self.counting.meters)}.")
        for text in filter(None, texts):
            self.reminders.say(text)

    def _start_timers(self) -> None:
        now = self._reactor.monotonic()
        self._saved = self._rated = self._metered = self._summed = now
        self._live_since: float | None = None
        self._busy = False
        self._round = list(self.tasks)
        # A timer that fails is tried again, since it says when it wakes next.
        count = guarded(self._count, "counting", lambda eventtime: eventtime + 1.0)
        look = guarded(self._look, "looking", lambda eventtime: eventtime + 1.0)
        self._reactor.register_timer(count, now + COUNT_EVERY)
        self._reactor.register_timer(look, now + COUNT_EVERY + LOOK_EVERY / 2)

    def _lame(self) -> None:
        text = (
            "Maintenance is not counted: it could not be started. klippy.log tells why."
        )
        self.problems.report(COUNTING, text)
        self.reminders.say(text)

    def _shutdown(self) -> None:
        if self.running:
            self.counting.stop(self._reactor.monotonic())
            self._save()
            if self.publisher is not None:
                self.publisher.info()

    def _restarting(self, print_time: float) -> None:
        if self.running:
            self.counting.flush(self._reactor.monotonic())
            self._save()
            self.reminders.leave()

    def _disconnect(self) -> None:
        """Leave nothing behind: this is the last that an extra is told."""
        was_running, self.running = self.running, False
        connection, documents = self._connection, {}
        if was_running:
            now = self._reactor.monotonic()
            guarded(self.counting.flush, "the last counting")(now)
            documents = guarded(self._everything, "the last save", {})()
            guarded(self._past.close, "leaving Moonraker")()
            guarded(self.reminders.leave, "the open dialog")()
        if connection is not None:
            silent = connection.publisher.silent
            guarded(connection.link.close, "leaving the broker")(say_offline=not silent)
        self._export.close()
        self.memory.close(documents)

    def _post(self, call: Callable[[], None]) -> None:
        """Run *call* on the reactor. Safe from any thread, and after the end."""
        entry = guarded(lambda eventtime: call(), "a message from a thread")
        # Klipper's reactor raises TypeError before it runs and when it is gone.
        with contextlib.suppress(TypeError):
            self._reactor.register_async_callback(entry)

    def _later(self, call: Callable[[], None], seconds: float) -> None:
        """Run *call* on the reactor in so many seconds."""
        entry = guarded(lambda eventtime: call(), "a message that waited")
        self._reactor.register_callback(entry, self._reactor.monotonic() + seconds)

    def _report_broker(self, text: str) -> None:
        self.problems.report(BROKER, text)

    def _settle(self, new: bool) -> str:
        """Go on as another printer, or as the same on another machine."""
        if self._connection is not None:
            # The link's end would hold the reactor.
            self.memory.save({"renew": True})
            return "RESTART gives this printer an identity of its own."
        if new:
            self.memory.renew()
        documents = {**self.copied.documents(publishes=True), **self.memory.identity()}
        connection = guarded(self._connect_broker, "the way to the broker")()
        if connection is not None:
            documents = {"unpublish": None, **documents, **connection.documents}
        self.memory.save(documents)
        if connection is not None:
            self._connection = connection
            connection.link.start()
        if not new:
            return "It is the same printer, and it publishes again."
        return (
            "This printer has an identity of its own now. Where the other one has the"
            " same 'printer_name', give this one another in its section [maintain]."
        )

    def _broker_trouble(self, text: str) -> None:
        """Tell people once that the broker does not work, and once that it does."""
        self._report_broker(text)
        self.reminders.say(text or "The MQTT broker works again.")
        self.sum_up()

    # The two timers

    def _count(self, eventtime: float) -> float:
        if self.counting.count(eventtime):
            ask = guarded(lambda eventtime: self._past.ask(), "asking Moonraker")
            self._reactor.register_callback(ask, eventtime + ASK_AFTER)
        corrections = self.counting.watch_clock(eventtime, self.memory.fresh())
        if corrections is not None:
            tasks = corrections.tasks
            records = {f"task/{each}": self.book.records[each] for each in tasks}
            documents: dict[str, Any] = {
                name: each.document() for name, each in records.items()
            }
            documents.update(self.counting.documents())
            documents["marks"] = self.book.marks
            self.memory.correct(documents, corrections.moves)
        return eventtime + COUNT_EVERY

    def _look(self, eventtime: float) -> float:
        """One thing in one turn: a turn is to be short."""
        if eventtime - self._rated >= RATES_EVERY:
            self._rated = eventtime
            if self.counting.settle():
                self.memory.save({"marks": self.book.marks})
        elif eventtime - self._saved >= self.settings.store_interval:
            self._saved = eventtime
            self._save()
        # What is on its way to disk is told first, in the order of `seq`.
        elif not self.orders.unsaved:
            publisher = self.publisher
            if publisher is not None and publisher.busy:
                publisher.turn(TURN)
                return eventtime + LOOK_SOON
            self._examine_some(eventtime)
            self._publish(eventtime)
        return eventtime + LOOK_EVERY

    def _examine_some(self, eventtime: float) -> None:
        """See to the tasks whose turn it is."""
        self._busy = self.reminders.busy(eventtime)
        share = max(LEAST, -(-len(self._round) // ROUND))
        for task in self._round[:share]:
            self._examine(task)
        self._round = self._round[share:] + self._round[:share]

    def _examine(self, task: str) -> None:
        """See where a task stands; tell what happened, and remind."""
        now = self.wall()
        view = self.book.view(task, now)
        record, events = self.book.examine(task, view, now)
        changed = self._keep(task, record)
        state = self.board.state(task, view=None if changed else view)
        self._keep(task, self.reminders.look(self.book, state, self._busy))
        publisher = self.publisher
        if publisher is None:
            return
        if events:
            numbered = state._replace(seq=self.memory.next_seq())
            publisher.state(numbered)
            for event in events:
                publisher.event(event_of(numbered, event))
            self.sum_up()
        else:
            publisher.offer(state)

    def _publish(self, eventtime: float) -> None:
        """Tell the broker what is new of the printer as a whole."""
        publisher = self.publisher
        if publisher is None:
            return
        if not publisher.live:
            self._live_since = None
        elif self._live_since is None:
            self._live_since = eventtime
        elif eventtime - self._live_since >= SETTLED and publisher.cleared():
            self.memory.save({"unpublish": None})
        if eventtime - self._metered >= self.settings.publish_interval:
            self._metered = eventtime
            publisher.meters(self.counting.published())
        # Not for each task: it is a look at all of them.
        elif eventtime - self._summed >= SUM_EVERY:
            self._summed = eventtime
            self.sum_up()
        publisher.turn(TURN)

    # What must survive

    def _keep(self, task: str, record: Record) -> bool:
        """Remember the record, if it is another one."""
        if record is self.book.records[task]:
            return False
        self.book.records[task] = record
        self.memory.save({f"task/{task}": record.document()})
        return True

    def _save(self) -> None:
        self.memory.save({**self.counting.documents(), **self.memory.identity()})

    def _everything(self) -> dict[str, Any]:
        """All that can change. A task's start belongs to the meters' readings."""
        documents = {**self.counting.documents(), **self._past.documents()}
        documents["answers"] = self.orders.desk.answers()
        for task, record in self.book.records.items():
            documents[f"task/{task}"] = record.document()
        return documents

    # What others ask for

    @property
    def ready(self) -> bool:
        """Whether commands are carried out."""
        return self.running and not self._printer.is_shutdown()

    @property
    def publisher(self) -> Publisher | None:
        return None if self._connection is None else self._connection.publisher

    def count_now(self) -> None:
        """Count what there is: who asks wants to know how it stands now."""
        if self.ready:
            self.counting.flush(self._reactor.monotonic())

    def find(self, name: str) -> Task | None:
        """The task of that name, of that slug, or of that first word.

        KlipperMaintenance knew `[maintain xyrods left side]` as `xyrods`.
        """
        tasks = self.tasks.values()
        named = [task for task in tasks if task.name == name]
        slugged = [task for task in tasks if task.slug == contract.slug(name)]
        worded = [task for task in tasks if task.name.split()[0] == name]
        found = named or slugged or (worded if len(worded) == 1 else [])
        return found[0] if found else None

    def is_enabled(self, task: str) -> bool:
        return self.book.records[task].enabled

    def numbered(self, task: str) -> State:
        """How a task stands, as the next message about it."""
        return self.board.state(task, self.memory.next_seq())

    def sum_up(self) -> None:
        if self.publisher is not None:
            self.publisher.summary(self.board.summary())

    def change_count(self, name: str, to: str | None) -> str:
        """Remove a count meter, or rename it; return a sentence. Or ValueError."""
        if to is None:
            text = f"{self.counting.remove(name)} is removed."
        else:
            meter = self.counting.rename(name, to)
            text = f"The reading of '{name}' is part of '{meter}' now."
        self.memory.save(self._everything())
        if self.publisher is not None:
            self.publisher.info()
        return text

    def set_material(self, name: str) -> None:
        self.counting.set_material(name)
        self.memory.save({"material": name})

    def export(self, task: str | None) -> None:
        """Write the whole log to a file; the console hears of it."""

        def write(entries: list[Entry]) -> None:
            self._export.write(entries, self.reminders.say)

        self.memory.whole_log(task, write)

    def _note(self, text: str) -> None:
        if self.running:
            self.reminders.say(text)
        else:
            self._notes.append(text)

    def _tell_status(self) -> dict[str, Any]:
        if not self.running:
            return {"problem": self.problems.summary}
        summary = self.board.summary()
        return {
            "due": summary.due,
            "soon": summary.soon,
            "next_task": summary.next_task,
            "problem": summary.problem,
            "tasks": list(self.tasks),
            "connected": self._connection is not None
            and self._connection.link.connected,
        }

    # What the publisher sees

    def _connect_broker(self) -> connection.Connection | None:
        if self.copied.is_open:
            return None
        sight = Sight(
            info=self._info,
            tasks=tuple(self.tasks),
            seq=self.memory.next_seq,
            state=self.numbered,
            meters=self._readings,
            summary=lambda: self.board.summary(self.memory.next_seq()),
            command=self.orders.by_broker,
            say=self.reminders.say,
            clock=self._reactor.monotonic,
            # Each answer comes from the store's thread, and takes a turn as well.
            may_work=lambda: self.orders.unsaved < UNSAVED,
        )
        return connection.connect(
            self.settings,
            sight,
            self._info(),
            self.board.states(),
            self.memory.documents,
            connection.Entries(self._post, self._later, self._broker_trouble),
            self.tasks,
        )

    def _readings(self) -> contract.Meters:
        now = round(self.wall(), 3)
        return contract.Meters(self.memory.next_seq(), now, self.counting.published())

    def _info(self) -> Info:
        start_args = self._printer.get_start_args()
        return Info(
            uuid=self.memory.uuid,
            name=self.settings.name,
            tasks=tuple(self.tasks),
            meters=self.counting.meters,
            model=self.settings.model,
            version=VERSION,
            host=socket.gethostname(),
            url=self.settings.web_page,
            klipper_version=str(start_args.get("software_version", "")),
            klipper_state=self._printer.get_state_message()[1],
            commands=self.settings.allow_commands,
        )
