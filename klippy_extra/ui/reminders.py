"""Reminders on the console, on the display, and as dialogs of screens."""

from __future__ import annotations

import logging
from typing import Any, Callable, Mapping, Sequence

from .. import wording
from ..contract import DUE, SOON, State, Suggestion
from ..guard import guarded
from ..klipper_objects import Gcode, HasStatus, Printer, Template
from ..language import tr
from ..ledger.ledger import Ledger
from ..ledger.records import Record
from ..settings import Settings
from ..task import Task
from . import prompts
from .dialogs import Dialogs
from .display import Display
from .notes import Notes

HOUR = 3600.0
PAUSED = ("printing", "paused")


def how_to_set(task: str) -> str:
    return tr("(MAINTENANCE_LEARN NAME={task} SET=1)", task=task)


class Reminders:
    """Reminds of due tasks at once and at each interval, but never during a print."""

    def __init__(
        self,
        printer: Printer,
        settings: Settings,
        tasks: Mapping[str, Task],
        dialogs: Dialogs,
        display: Display,
        is_asking: Callable[[], bool],
    ) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._gcode: Gcode = printer.lookup_object("gcode")
        self._settings = settings
        self._tasks = tasks
        self._dialogs, self._display = dialogs, display
        self._notes = Notes(printer, settings.notify, self.say)
        self._state_of: Callable[[str], State] | None = None
        self._waiting: list[str] = []  # tasks whose dialogs must still be shown
        self._failed: set[str] = set()  # tasks whose expired_gcode failed
        self._missed: set[str] = set()  # tasks whose expired_gcode had no turn
        self._is_asking = is_asking  # whether a print start waits for an answer

    def start(self, state_of: Callable[[str], State]) -> None:
        """Begin to show dialogs. *state_of* returns the state of a task."""
        self._state_of = state_of
        self._dialogs.tidy()

    def leave(self) -> None:
        """Close the open dialog, since nobody can close it after Klipper's end."""
        self._waiting.clear()
        if self._dialogs.key:
            self._dialogs.close()

    def busy(self, eventtime: float) -> bool:
        """Return whether the printer prints from any source, or is paused."""
        stats = self._status("print_stats", eventtime)
        if stats.get("state") in PAUSED or self._is_asking():
            return True
        if self._status("pause_resume", eventtime).get("is_paused"):
            return True
        return self._status("idle_timeout", eventtime).get("state") == "Printing"

    def _status(self, name: str, eventtime: float) -> Mapping[str, Any]:
        thing: HasStatus | None = self._printer.lookup_object(name, None)
        return {} if thing is None else thing.get_status(eventtime)

    def remind(self, book: Ledger, state: State, busy: bool) -> Record:
        """Remind of one task if it is time; return its record with a note of that."""
        record = book.records[state.task]
        if state.status not in (SOON, DUE) or not self._settings.remind:
            self._missed.discard(state.task)
            return record
        calendar = book.calendar
        quiet = busy and not self._settings.remind_while_printing
        if not quiet and self._is_time(record.reminded, calendar, state.status):
            self._remind(state)
            record = record._replace(reminded=calendar)
        return self._expired(state, record, calendar)

    def _is_time(self, last: float | None, calendar: float, status: str) -> bool:
        if last is None:
            return True
        interval = self._settings.remind_interval / HOUR
        return status == DUE and calendar - last >= interval

    def _remind(self, state: State) -> None:
        title = tr("Maintenance: {text}", text=wording.standing(state.label, state))
        self.say("\n".join([title, *wording.details(state)]))
        if state.status != DUE:
            return
        self._display.show(tr("Maintenance: {text}", text=state.label))
        self._notes.add(state.label)
        if self._dialogs.key in ("", state.task):
            self.show(state)
        elif state.task not in self._waiting:
            self._waiting.append(state.task)

    def _expired(self, state: State, record: Record, calendar: float) -> Record:
        """Run the task's own G-code, which does not replace the message."""
        task = self._tasks[state.task]
        if task.expired_gcode is None or state.status != DUE:
            return record
        again = task.slug in self._missed
        if not (again or self._is_time(record.ran, calendar, DUE)):
            return record
        if self._occupied(task, self._reactor.monotonic()):
            return record
        self._missed.discard(task.slug)
        self.run(task.slug, task, task.expired_gcode)
        return record._replace(ran=calendar)

    def _occupied(self, task: Task, eventtime: float) -> bool:
        """Return whether a task's G-code would disturb what somebody does now.

        A command that waits for a temperature has the mutex for minutes. A person who
        adjusts a nozzle by hand does not have it, and a moving nozzle would hurt.
        """
        if self._printer.is_shutdown():
            return True
        if task.expired_gcode_while_printing:
            return False
        if self.busy(eventtime) or self._gcode.get_mutex().test():
            return True
        return bool(self._status("manual_probe", eventtime).get("is_active"))

    def run(self, slug: str, task: Task, template: Template) -> None:
        """Run a task's G-code in its own callback, where it may wait.

        A command that began between the decision and the callback goes first.
        """

        def run(eventtime: float) -> None:
            if self._occupied(task, eventtime):
                self._missed.add(slug)
                return
            self._run_now(slug, template)

        self._reactor.register_callback(guarded(run, f"the G-code for {slug!r}"))

    def _run_now(self, slug: str, template: Template) -> None:
        try:
            self._gcode.run_script(template.render())
            self._failed.discard(slug)
        except self._printer.command_error as error:
            if slug not in self._failed:
                self._failed.add(slug)
                self.say(
                    tr(
                        "Maintenance: the G-code for '{task}' failed: {error}",
                        task=slug,
                        error=str(error),
                    )
                )

    # Dialogs

    def show(self, state: State) -> None:
        """Show the dialog for a task."""
        self._waiting = [task for task in self._waiting if task != state.task]
        texts = [*wording.details(state), wording.standing(state.label, state)]
        lines = prompts.reminder(state.task, state.label, texts, self._settings.learn)
        self._dialogs.show(state.task, lines, self._show_next)

    def settled(self, task: str, by: str) -> None:
        """Close the task's dialog, also after a restart, and show the next."""
        if task in self._waiting:
            self._waiting.remove(task)
        self._display.clear()
        if by == prompts.SCREEN or self._dialogs.key == task:
            self.close()

    def suggest(self, state: State, suggestion: Suggestion) -> None:
        """Offer another threshold, if no other dialog is shown."""
        amount = wording.quantity(suggestion.threshold, suggestion.unit)
        self.say(f"{state.label}: {suggestion.text} {how_to_set(state.task)}")
        if not self._dialogs.key:
            lines = prompts.suggestion(state.task, state.label, suggestion.text, amount)
            self._dialogs.show(state.task, lines, self._show_next)

    def moved(self, fitted: Sequence[str], removed: Sequence[str]) -> None:
        """Run the G-code of the sections of parts that were fitted or taken off."""
        for slug in removed:
            self._run_template(slug, self._tasks[slug].templates.on_remove)
        for slug in fitted:
            self._run_template(slug, self._tasks[slug].templates.on_fit)

    def _run_template(self, slug: str, template: Template | None) -> None:
        """Run G-code in its own callback, when other G-code has ended."""
        if template is None:
            return

        def run(eventtime: float) -> None:
            if not self._printer.is_shutdown():
                self._run_now(slug, template)

        self._reactor.register_callback(guarded(run, f"the G-code of {slug!r}"))

    def close(self) -> None:
        """Close any open dialog, and show the next one."""
        self._dialogs.close()
        self._show_next()

    def _show_next(self) -> None:
        while self._waiting and self._state_of is not None:
            state = self._state_of(self._waiting.pop(0))
            if state.status == DUE:
                self.show(state)
                return

    def say(self, text: str) -> None:
        try:
            self._gcode.respond_info(text)
        except Exception:
            logging.exception("maintain: unable to say %r", text)
