"""The `[maintain]` section: its objects before "ready", and Klippy's events.

Only the reactor uses this state. When the printer is ready, `life` makes the objects
that count and publish.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable

from . import language, settings
from .entries import Entries
from .guard import guarded
from .language import mark, tr
from .life import Life
from .mqtt.connection import require_paho
from .settings import refusal
from .storage.export import Export
from .storage.memory import Memory
from .task import PART, Task
from .ui.copied import Copied
from .ui.dialogs import Dialogs
from .ui.display import Display
from .ui.gcode import Console
from .ui.parts import Links, Parts
from .ui.print_start import PrintStart
from .ui.reminders import Reminders
from .ui.webhooks import Web
from .upkeep.problems import BROKER, COUNTING, STORE, Problems
from .upkeep.registry import Running, TaskRegistry

if TYPE_CHECKING:
    from .klipper_objects import Config

NOT_STARTED = mark(
    "Maintenance is not counted: it could not be started. klippy.log tells why."
)
NOT_READY = mark("The printer is not ready. Type the command again when it is.")


class Manager:
    """Handles Klippy's events. Other objects count and publish."""

    def __init__(self, config: Config, wall: Callable[[], float] | None = None) -> None:
        self.settings = settings.read(config)
        unspoken = language.current.use(self.settings.language)
        require_paho(config, self.settings)
        self._wall = wall or time.time
        self._printer = printer = config.get_printer()
        self._entries = Entries(printer.get_reactor())
        self.problems = Problems()
        self.registry = TaskRegistry(self.problems)
        self.memory = Memory(
            str(self.settings.store),
            self._entries.post,
            f"which runs {printer.get_start_args().get('config_file')}",
            self._wall,
            lambda text: self.problems.report(STORE, text),
            self._note,
        )
        dialogs, display = Dialogs(printer), Display(printer)
        seconds = self.settings.confirm_timeout
        print_start = PrintStart(printer, dialogs, display, seconds)
        self.reminders = Reminders(
            printer,
            self.settings,
            self.registry.tasks,
            dialogs,
            display,
            lambda: print_start.is_asking,
        )
        self.copied = Copied(
            printer,
            dialogs,
            self.reminders.say,
            lambda text: self.problems.report(BROKER, text),
            self._settle,
        )
        self._export = Export(self.settings.export, self._entries.post)
        self._is_loaded = False  # whether the store was read
        self.life: Life | None = None
        # Sentences for the console, which are shown when there is one.
        self._notes = [unspoken] if unspoken else []
        self._status = guarded(self._tell_status, "the status of [maintain]", dict)
        console = Console(
            printer, self.registry, self.reminders, print_start, self._export
        )
        self._add_parts(config)
        if self.registry.tasks:
            links = Links(self.settings.page, self.settings.slug)
            Parts(printer, self.registry, console, self._export, links)
        Web(printer, self.registry)
        for event, handler in (
            ("klippy:connect", self._connect),
            ("klippy:shutdown", self._shutdown),
            ("klippy:disconnect", self._disconnect),
            ("gcode:request_restart", self._restarting),
        ):
            printer.register_event_handler(event, guarded(handler, event))
        ready = guarded(self._ready, "klippy:ready", self._not_started)
        printer.register_event_handler("klippy:ready", ready)

    def add(self, config: Config) -> Task:
        """Make the task of a `[maintain NAME]` section."""
        task = Task(config, self.settings.moonraker, self.settings.at_print_start)
        self.registry.tasks[task.slug] = task
        return task

    def _add_parts(self, config: Config) -> None:
        """Make the parts, since Klipper finds no module for `[maintain_part NAME]`."""
        taken: dict[tuple[str, str], str] = {}
        for section in config.get_prefix_sections(PART):
            part = Task(section, policy=self.settings.at_print_start)
            slot = part.plan.kind, part.plan.home
            if part.plan.home and slot in taken:
                raise refusal(
                    section,
                    "place",
                    f"is {part.plan.home!r}, where '{taken[slot]}' already is: only one"
                    f" {part.plan.kind} can be fitted there, so leave the place of the"
                    " other one out, and it begins on the shelf",
                )
            taken[slot] = part.name
            self.registry.tasks[part.slug] = part
            self._printer.add_object(section.get_name(), part)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        """Return a new dict each time: subscribers see no change inside of a dict."""
        return self._status()

    def _tell_status(self) -> dict[str, Any]:
        if self.life is None:
            return {"problem": self.problems.summary}
        return self.life.status()

    # Klippy's events

    def _connect(self) -> None:
        """Read the store. Before "ready", the reactor may wait for the disk."""
        self.memory.load()
        self._is_loaded = True

    def _ready(self) -> None:
        """Make and start the objects that need a ready printer."""
        if not self._is_loaded:
            self._not_started()
            return
        life = Life(
            self._printer,
            self.settings,
            self.registry.tasks,
            self.memory,
            self.problems,
            self.reminders,
            self.copied,
            self._entries,
            self._wall,
        )
        self.life = life
        self.registry.running = Running(life.upkeep, life.commands, life.follower)
        life.start()
        for text in [*self._notes, *life.warnings()]:
            self.reminders.say(text)

    def _not_started(self) -> None:
        self.problems.report(COUNTING, tr(NOT_STARTED))
        self.reminders.say(tr(NOT_STARTED))

    def _shutdown(self) -> None:
        if self.life is not None:
            self.life.shut_down()

    def _restarting(self, print_time: float) -> None:
        if self.life is not None:
            self.life.restarting()

    def _disconnect(self) -> None:
        """End all objects. This is the last event that an extra gets."""
        life, self.life = self.life, None
        self.registry.running = None
        documents: dict[str, Any] = {} if life is None else life.end()
        self._export.close()
        self.memory.close(documents)

    def _settle(self, new: bool) -> str:
        """Go on as another printer, or as the same on another machine."""
        return tr(NOT_READY) if self.life is None else self.life.settle(new)

    def _note(self, text: str) -> None:
        """Show *text* on the console as soon as there is one."""
        if self.life is not None:
            self.reminders.say(text)
        else:
            self._notes.append(text)
