"""Reminders where people look: the console, the display and the dialogs of screens."""

from __future__ import annotations

import logging
from typing import Any, Mapping

from . import prompts, words
from .contract import DUE, SOON, State
from .guard import guarded
from .ledger import Ledger, Record
from .settings import Settings
from .task import Task

HOUR = 3600.0
OPEN = 600.0  # seconds for which a dialog is taken to be open


class Reminders:
    """Tells of what is due: at once, then at the interval, never into a print."""

    def __init__(self, printer, settings: Settings, tasks: Mapping[str, Task]) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._gcode = printer.lookup_object("gcode")
        self._settings = settings
        self._tasks = tasks
        self._shown: str | None = None  # the task whose dialog is open
        self._shown_at = 0.0
        self._waiting: list[str] = []  # tasks whose dialogs follow
        self._failed: set[str] = set()  # tasks whose expired_gcode failed

    def busy(self, eventtime: float) -> bool:
        """Whether the printer prints, from its card or from elsewhere."""
        stats = self._printer.lookup_object("print_stats", None)
        state = "" if stats is None else stats.get_status(eventtime)["state"]
        if state in ("printing", "paused"):
            return True
        idle = self._printer.lookup_object("idle_timeout", None)
        return idle is not None and idle.get_status(eventtime)["state"] == "Printing"

    def look(self, book: Ledger, state: State, busy: bool) -> Record:
        """Remind of one task if it is time to; return its record with that noted."""
        record = book.records[state.task]
        if state.status not in (SOON, DUE) or not self._settings.remind:
            return record
        calendar = book.calendar
        quiet = busy and not self._settings.remind_while_printing
        if not quiet and self._is_time(record.reminded, calendar, state.status):
            self._remind(state)
            record = record._replace(reminded=calendar)
        return self._expired(state, record, calendar, busy)

    def _is_time(self, last: float | None, calendar: float, status: str) -> bool:
        if last is None:
            return True
        interval = self._settings.remind_interval / HOUR
        return status == DUE and calendar - last >= interval

    def _remind(self, state: State) -> None:
        title = words.standing(state.label, state)
        self.say("\n".join(["Maintenance: " + title, *words.details(state)]))
        if state.status != DUE:
            return
        if self._printer.lookup_object("display_status", None) is not None:
            self._run(f"M117 Maintenance: {_plain(state.label)}", "the display")
        # A screen may close a dialog without a word: so it is not open for ever.
        forgotten = self._reactor.monotonic() - self._shown_at > OPEN
        if forgotten or self._shown in (None, state.task):
            self.show(state)
        elif state.task not in self._waiting:
            self._waiting.append(state.task)

    def _expired(
        self, state: State, record: Record, calendar: float, busy: bool
    ) -> Record:
        """Run the task's own G-code, which does not replace the message."""
        task = self._tasks[state.task]
        if task.expired_gcode is None or state.status != DUE:
            return record
        if not self._is_time(record.ran, calendar, DUE):
            return record
        # A command that waits for a temperature holds the mutex for minutes.
        occupied = busy or self._gcode.get_mutex().test()
        if occupied and not task.expired_gcode_while_printing:
            return record
        self._run(task, task.slug)
        return record._replace(ran=calendar)

    def _run(self, script: Any, who: str) -> None:
        """Run G-code in a callback of its own: there it may wait for its turn."""

        def run(eventtime: float) -> None:
            try:
                text = (
                    script if isinstance(script, str) else script.expired_gcode.render()
                )
                self._gcode.run_script(text)
                self._failed.discard(who)
            except self._printer.command_error as error:
                if who not in self._failed:
                    self._failed.add(who)
                    self.say(f"Maintenance: the G-code for '{who}' failed: {error}")

        self._reactor.register_callback(guarded(run, f"the G-code for {who!r}"))

    # Dialogs

    def show(self, state: State) -> None:
        """Show the dialog for a task."""
        self._shown = state.task
        self._waiting = [task for task in self._waiting if task != state.task]
        self._shown_at = self._reactor.monotonic()
        title = f"Maintenance: {state.label}"
        texts = [words.standing(state.label, state), *words.details(state)]
        self.lines(prompts.reminder(state.task, title, texts))

    def settled(self, task: str) -> str | None:
        """Close the task's dialog; return the task whose turn is next."""
        if task in self._waiting:
            self._waiting.remove(task)
        return self.close() if self._shown == task else None

    def close(self) -> str | None:
        """Close the dialog; return the task whose turn is next."""
        if self._shown is not None:
            self._shown = None
            self.lines([prompts.END])
        return self._waiting.pop(0) if self._waiting else None

    def lines(self, lines: list[str]) -> None:
        for line in lines:
            self._gcode.respond_raw(line)

    def say(self, text: str) -> None:
        try:
            self._gcode.respond_info(text)
        except Exception:
            logging.exception("maintain: unable to say %r", text)


def _plain(text: str) -> str:
    """Text that ends no G-code line early."""
    return " ".join(text.replace(";", ",").replace("#", " ").split())
