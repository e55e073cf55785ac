"""What the extra does from "ready" until Klippy ends or restarts."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Callable, Mapping

from . import klipper
from .contract import INTEGRATION, Info, Meters
from .guard import guarded
from .history.import_history import Past
from .language import mark, tr
from .meters import families
from .mqtt import connection
from .mqtt.publisher import PrinterView
from .outlook.print_follower import Outlook, PrintFollower
from .outlook.reading import Reader
from .upkeep.commands import Commands
from .upkeep.problems import BROKER, NAME
from .upkeep.rounds import EVERY, Rounds
from .upkeep.upkeep import Upkeep
from .version import VERSION

if TYPE_CHECKING:
    from .entries import Entries
    from .klipper_objects import Printer
    from .settings import Settings
    from .storage.memory import Memory
    from .task import Task
    from .ui.copied import Copied
    from .ui.reminders import Reminders
    from .upkeep.problems import Problems

ALWAYS_DUE = mark("The task is always due, since a threshold is 0.")
COUNT_EVERY = 0.25  # seconds; a printer makes a few hundred moves a second
AGAIN = 1.0  # seconds until a timer that failed is tried again
ASK_AFTER = 2.0  # seconds after a job's end in which Moonraker counts it
UNSAVED = 4  # commands over MQTT that may wait for the disk at the same time


class Life:
    """Makes the objects that need a ready printer, and ends them."""

    def __init__(
        self,
        printer: Printer,
        settings: Settings,
        tasks: Mapping[str, Task],
        memory: Memory,
        problems: Problems,
        reminders: Reminders,
        copied: Copied,
        entries: Entries,
        wall: Callable[[], float],
    ) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._settings = settings
        self._memory = memory
        self._problems = problems
        self._reminders = reminders
        self._copied = copied
        self._entries = entries
        self._wall = wall
        self.upkeep = Upkeep(printer, settings, tasks, memory, problems, wall)
        self.commands = Commands(self.upkeep, reminders)
        self.history = Past(
            settings,
            tasks,
            self.upkeep.book,
            memory.documents,
            wall,
            reminders.say,
            memory.save,
            problems,
        )
        guarded(self.history.read_files, "the files of KlipperMaintenance")()
        self.connection: connection.Connection | None = None
        self.follower = self._make_follower()
        self._rounds = Rounds(
            self.upkeep, self.commands, reminders, self._reactor.monotonic()
        )

    def _make_follower(self) -> PrintFollower:
        upkeep, printer = self.upkeep, self._printer
        extruders = klipper.extruders(printer)
        named = families.each("filament", extruders).values()
        meters = dict(enumerate(name for name, _ in named))
        outlook = Outlook(
            upkeep.tasks,
            upkeep.book,
            upkeep.counting.worth,
            meters if len(meters) > 1 else {},
        )
        follower = PrintFollower(
            printer,
            outlook,
            Reader(self._entries.post),
            self._wall,
            self._reminders.say,
            upkeep.sum_up,
        )
        upkeep.board.job = lambda: follower.job
        return follower

    def start(self) -> None:
        """Start the threads and the timers."""
        self._memory.start()
        self._memory.on_late = guarded(self._join, "joining with the store")
        for slug, task in self.upkeep.tasks.items():
            task.status = lambda slug=slug: self.upkeep.board.status(slug)  # type: ignore[misc]
        if self._memory.known:
            self._begin(self._memory.save)
        now = self._reactor.monotonic()
        # A timer that fails is tried again, since its function returns the next time.
        count = guarded(self._count, "counting", lambda now: now + AGAIN)
        turn = guarded(self._rounds.turn, "the rounds", lambda now: now + AGAIN)
        self._reactor.register_timer(count, now + COUNT_EVERY)
        self._reactor.register_timer(turn, now + COUNT_EVERY + EVERY / 2)
        self._reminders.start(self.upkeep.board.state)
        self.follower.start()

    def _begin(self, save: Callable[[dict[str, Any]], None]) -> None:
        """Begin to save, to publish and to import. These need the earlier documents."""
        publishes = self._settings.broker is not None
        self._copied.compare(self._memory.documents, publishes)
        # Counting must go on even if the connection to the broker fails.
        made = guarded(self._connect_broker, "the way to the broker")()
        self.connection = made
        documents = {**self._everything(), **self._memory.identity()}
        documents.update(self._copied.documents(publishes))
        if made is not None:
            self.upkeep.publisher.target = made.publisher
            documents.update(made.documents)
        save(documents)
        if made is not None:
            made.link.start()
        self.history.start(self.upkeep.counting, self._entries.post)

    def _join(self, documents: dict[str, Any]) -> None:
        """Continue from the documents of a store that was not readable at the start."""
        self.upkeep.join(documents)
        self.history.learn(documents)
        self._begin(self._memory.adopt)

    def settle(self, new: bool) -> str:
        """Continue as a new printer, or as the same printer on another machine."""
        memory = self._memory
        if self.connection is not None and not new:
            return tr("It is the same printer: nothing is changed.")
        if self.connection is not None:
            # The link ends by itself, since a wait for it would hold the reactor.
            self.connection.link.leave()
            self.connection = None
        if new:
            memory.renew()
        documents = {**self._copied.documents(publishes=True), **memory.identity()}
        made = guarded(self._connect_broker, "the way to the broker")()
        if made is not None:
            documents = {"unpublish": None, **documents, **made.documents}
        memory.save(documents)
        if made is not None:
            self.connection = made
            self.upkeep.publisher.target = made.publisher
            made.link.start()
        if not new:
            return tr("It is the same printer, and it publishes again.")
        return tr(
            "This printer has an identity of its own now. Where the other one has the"
            " same 'printer_name', give this one another in its section [maintain]."
        )

    def _count(self, eventtime: float) -> float:
        if self.upkeep.counting.count(eventtime):
            ask = guarded(lambda now: self.history.ask(), "asking Moonraker")
            self._reactor.register_callback(ask, eventtime + ASK_AFTER)
        self.upkeep.watch_clock(eventtime)
        return eventtime + COUNT_EVERY

    def _everything(self) -> dict[str, Any]:
        return {**self.upkeep.documents(), **self.history.documents()}

    # The end

    def shut_down(self) -> None:
        """After a shutdown of Klippy, count the moves that were made, and publish."""
        self.upkeep.stop()
        self.upkeep.save()
        self.upkeep.publisher.info()

    def restarting(self) -> None:
        """Prepare for a restart, which follows."""
        self.upkeep.flush()
        self.upkeep.save()
        self._reminders.leave()

    def end(self) -> dict[str, Any]:
        """End all objects, and return the documents for the last save."""
        self.upkeep.close()
        guarded(self.upkeep.flush, "the last counting")()
        documents = guarded(self._everything, "the last save", dict)()
        guarded(self.history.close, "leaving Moonraker")()
        guarded(self.follower.close, "the file that is read")()
        guarded(self._reminders.leave, "the open dialog")()
        if self.connection is not None:
            silent = self.connection.publisher.silent
            leave = guarded(self.connection.link.close, "leaving the broker")
            leave(say_offline=not silent)
        return documents

    # The printer's status

    def status(self) -> dict[str, Any]:
        """Return the fields of `get_status` of [maintain]."""
        summary = self.upkeep.board.summary()
        status: dict[str, Any] = {
            "due": summary.due,
            "soon": summary.soon,
            "next_task": summary.next_task,
            "problem": summary.problem,
            "tasks": list(self.upkeep.tasks),
            "connected": self.connection is not None and self.connection.link.connected,
        }
        job = self.follower.job
        if job is not None:
            ahead = [each.label for each in job.ahead]
            due, ended = list(job.due), job.ended
            status["job"] = {
                "file": job.file,
                "ahead": ahead,
                "due": due,
                "ended": ended,
            }
        return status

    def warnings(self) -> list[str]:
        """Return the tasks' problems, as sentences for the console."""
        tasks, wrong = self.upkeep.tasks, self.upkeep.counting.report()
        texts = [
            f"[maintain {task.name}]: {tr(ALWAYS_DUE)}"
            for task in tasks.values()
            if any(limit.threshold == 0.0 for limit in task.plan.limits)
        ]
        for slug in self.upkeep.inventory.plans:
            missing = self.upkeep.inventory.missing(slug)
            if missing:
                texts.append(
                    tr(
                        "{section}: This printer has no place '{place}', so the part is"
                        " on the shelf. There are: {places}.",
                        section=f"[maintain_part {tasks[slug].name}]",
                        place=missing,
                        places=", ".join(self.upkeep.inventory.places),
                    )
                )
        for slug, problems in wrong.items():
            section = f"[maintain {tasks[slug].name}]"
            texts += [f"{section}: {problem}" for problem in problems]
        if wrong:
            meters = ", ".join(self.upkeep.counting.meters)
            texts.append(tr("This printer has {meters}.", meters=meters))
        return texts

    # For the publisher

    def _connect_broker(self) -> connection.Connection | None:
        if self._copied.is_open:
            return None
        upkeep, memory = self.upkeep, self._memory
        view = PrinterView(
            info=self._info,
            tasks=tuple(upkeep.tasks),
            seq=memory.next_seq,
            state=upkeep.numbered,
            meters=self._readings,
            summary=lambda: upkeep.board.summary(memory.next_seq()),
            command=self.commands.by_broker,
            say=self._reminders.say,
            clock=self._reactor.monotonic,
            # Each answer comes from the store's thread, and also needs a turn.
            may_work=lambda: self.commands.unsaved < UNSAVED,
            taken=lambda text: self._problems.report(NAME, text),
        )
        return connection.connect(
            self._settings,
            view,
            self._info(),
            upkeep.board.states(),
            memory.documents,
            connection.Entries(
                self._entries.post,
                self._entries.later,
                self._broker_trouble,
                self._copied.taken_over,
            ),
            upkeep.tasks,
        )

    def _broker_trouble(self, text: str) -> None:
        """Report once that the broker fails, and once that it works again."""
        self._problems.report(BROKER, text)
        self._reminders.say(text or tr("The MQTT broker works again."))
        self.upkeep.sum_up()

    def _readings(self) -> Meters:
        readings = self.upkeep.counting.published()
        return Meters(self._memory.next_seq(), round(self._wall(), 3), readings)

    def _info(self) -> Info:
        settings, start_args = self._settings, self._printer.get_start_args()
        return Info(
            uuid=self._memory.uuid,
            name=settings.name,
            tasks=tuple(self.upkeep.tasks),
            meters=self.upkeep.counting.meters,
            model=settings.model,
            version=VERSION,
            host=socket.gethostname(),
            url=settings.web_page,
            klipper_version=str(start_args.get("software_version", "")),
            klipper_state=self._printer.get_state_message()[1],
            commands=settings.allow_commands,
            home_assistant=INTEGRATION if settings.integration else "",
            area=settings.area,
        )
