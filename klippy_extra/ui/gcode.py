"""The G-code commands: parameters in, full sentences out.

A wrong parameter is an error that names it; nothing is ever taken silently for
something else.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from .. import wording
from ..contract import DUE, MAX_TEXT, SOON, Command
from ..guard import guarded, unharmed
from ..task import Task
from . import prompts
from .print_start import ANSWERS, PrintStart

BY = "console"
SHOWN = 10  # entries of the log
PATIENCE, PATIENCE_IN_PRINT = 5.0, 0.25  # seconds


class Console:
    """Registers the commands; what they ask for is carried out by the manager."""

    def __init__(self, printer, manager, print_start: PrintStart) -> None:
        self._printer = printer
        self._manager = manager
        self._reactor = printer.get_reactor()
        self._gcode = printer.lookup_object("gcode")
        self._print_start = print_start
        self._refused: set[str] = set()  # counts that a print was told of
        for name, (method, description) in _COMMANDS.items():
            entry = guarded(
                getattr(self, method),
                name,
                self._sorry,
                through=(printer.command_error,),
            )
            self._gcode.register_command(name, entry, desc=description)

    def _sorry(self, gcmd) -> None:
        gcmd.respond_info(
            f"{gcmd.get_command()} failed: klippy.log tells why. Printing goes on."
        )

    # What is asked

    def status(self, gcmd) -> None:
        self._manager.count_now()
        lines = list(self._manager.problems.texts)
        # Where the extra could not be started there is no board.
        states = self._manager.board.states() if self._manager.running else []
        for state in states:
            lines.append(wording.standing(state.label, state))
            lines += [state.message] if state.status == DUE and state.message else []
            lines += [state.problem] if state.problem else []
        if not self._manager.tasks:
            lines.append(
                "There is no maintenance task yet. Write a section [maintain NAME]."
            )
        gcmd.respond_info("\n".join(lines))

    def check(self, gcmd) -> None:
        task = self._task(gcmd)
        self._manager.count_now()
        state = self._manager.board.state(task.slug)
        lines = [wording.standing(state.label, state)]
        lines += [
            f"{limit.meter}: {wording.quantity(limit.used, limit.unit)} used of"
            f" {wording.quantity(limit.threshold, limit.unit)}."
            for limit in state.limits
        ]
        if state.last_done is not None:
            by = f" by {state.last_by}" if state.last_by else ""
            lines.append(f"Last done {wording.day(state.last_done)}{by}.")
        lines += [state.problem] if state.problem else []
        gcmd.respond_info("\n".join(lines + wording.details(state)))

    def log(self, gcmd) -> None:
        name = gcmd.get("NAME", None)
        task = None if name is None else self._task(gcmd).slug
        limit = int(self._number(gcmd, "LIMIT", SHOWN, least=1))
        if gcmd.get("EXPORT", "0") not in ("0", ""):
            self._manager.export(task)
            return
        entries = self._manager.memory.log(task, limit)
        lines = [
            f"{wording.day(entry.time)} {self._label(entry.task)} {entry.event}"
            + (f" by {entry.by}" if entry.by else "")
            + ", used "
            + ", ".join(
                f"{meter} {wording.quantity(used, self._unit(entry.task, meter))}"
                for meter, used in entry.used.items()
            )
            + (f": {entry.note}" if entry.note else "")
            for entry in entries
        ]
        gcmd.respond_info("\n".join(lines) or "Nothing has been logged yet.")

    # What is to change

    def done(self, gcmd) -> None:
        used, hours = self._amounts(gcmd, "USED"), self._amounts(gcmd, "HOURS")
        self._order(
            gcmd,
            "done",
            used=hours if used is None else used,
            at=self._moment(gcmd),
            note=_note(gcmd),
        )
        # With HOURS=, KlipperMaintenance enabled a disabled task again.
        if hours is not None and not self._manager.is_enabled(self._task(gcmd).slug):
            self._order(gcmd, "enable")

    def skip(self, gcmd) -> None:
        self._order(gcmd, "skip", note=_note(gcmd))

    def snooze(self, gcmd) -> None:
        hours = self._number(gcmd, "HOURS", prompts.LATER, least=0.0)
        if hours:
            self._order(gcmd, "snooze", hours=hours)
        else:
            self._order(gcmd, "unsnooze")

    def enable(self, gcmd) -> None:
        self._order(gcmd, "enable")

    def disable(self, gcmd) -> None:
        self._order(gcmd, "disable")

    def set(self, gcmd) -> None:
        threshold = self._amounts(gcmd, "THRESHOLD")
        warn_at = self._amounts(gcmd, "WARN")
        if threshold is None and warn_at is None:
            raise gcmd.error("SET_MAINTENANCE needs THRESHOLD= or WARN=.")
        self._order(gcmd, "set", threshold=threshold, warn_at=warn_at)

    def adjust(self, gcmd) -> None:
        used = self._amounts(gcmd, "USED")
        if used is None:
            raise gcmd.error(
                "ADJUST_MAINTENANCE needs USED=: how much was used so far."
            )
        self._order(gcmd, "adjust", used=used)

    def count(self, gcmd) -> None:
        by = self._number(gcmd, "BY", 1.0, least=0.0)
        name, to = gcmd.get("NAME"), gcmd.get("RENAME", None)
        try:
            if to is not None or gcmd.get("REMOVE", "0") not in ("0", ""):
                text = self._manager.change_count(name, to)
            else:
                meter = self._manager.counting.move(name, by)
                text = f"{meter} counts {wording.amount(by)} more."
        except ValueError as error:
            # An error would end a print over a macro that counts for nobody.
            if not self._manager.reminders.busy(self._reactor.monotonic()):
                raise gcmd.error(str(error)) from None
            text = str(error)
            if text in self._refused:
                return
            self._refused.add(text)
        gcmd.respond_info(text)

    def material(self, gcmd) -> None:
        name = gcmd.get("MATERIAL").strip()
        self._manager.set_material(name)
        gcmd.respond_info(
            f"Wear is counted for {name} from now on."
            if name
            else "Wear is counted for no particular material from now on."
        )

    # Print start

    def gate(self, gcmd) -> None:
        """MAINTENANCE_CHECK, for PRINT_START: warn, ask, or refuse."""
        answer = gcmd.get("ANSWER", None)
        if answer in ANSWERS:
            self._print_start.answer(gcmd, answer)
        elif answer is not None:
            raise gcmd.error(f"ANSWER={answer} must be 'print' or 'stop'.")
        else:
            self._print_start.check(gcmd, self._due(gcmd))

    def _due(self, gcmd) -> dict[str, list[str]]:
        """What is due, in sentences, by what is to happen then."""
        self._manager.count_now()
        board = self._manager.board
        if gcmd.get("NAME", None) is not None:
            states = [board.state(self._task(gcmd).slug)]
        else:
            states = board.states()
        due: dict[str, list[str]] = {}
        for state in states:
            if state.status == DUE:
                action = self._manager.tasks[state.task].at_print_start
                due.setdefault(action, []).append(wording.standing(state.label, state))
        return due

    # Dialogs

    def prompt(self, gcmd) -> None:
        if gcmd.get("CLOSE", "0") not in ("0", ""):
            self._manager.reminders.close()
            return
        if gcmd.get("NAME", None) is not None:
            state = self._manager.board.state(self._task(gcmd).slug)
        else:
            states = [
                s for s in self._manager.board.states() if s.status in (DUE, SOON)
            ]
            if not states:
                gcmd.respond_info("No maintenance is due.")
                return
            state = max(states, key=lambda s: (s.status == DUE, s.deciding.percent))
        self._manager.reminders.show(state)

    # Parameters

    def _order(self, gcmd, word: str, **arguments: Any) -> None:
        """Give an order, and answer when what it changed is on disk.

        Waiting holds up other G-code, nothing else; in a print only as long as the
        moves that are planned already last.
        """
        task = self._task(gcmd)
        command = Command(command=word, by=gcmd.get("BY", BY)[:MAX_TEXT], **arguments)
        written = self._reactor.completion()
        refused: list[str] = []

        def tell(text: str) -> None:
            self._manager.reminders.say(f'Maintenance "{task.label}" {text}')
            written.complete(text)

        self._manager.orders.give(task.slug, command, refused.append, tell)
        if refused:
            raise gcmd.error(f'"{task.label}": {refused[0]}')
        now = self._reactor.monotonic()
        busy = self._manager.reminders.busy(now)
        until = now + (PATIENCE_IN_PRINT if busy else PATIENCE)
        unharmed(lambda: written.wait(until, ""))

    def _label(self, task: str) -> str:
        """The label of a task, and its slug where it is configured no more."""
        made = self._manager.tasks.get(task)
        return task if made is None else made.label

    def _unit(self, task: str, meter: str) -> str:
        """The unit of a limit, "" where the task is configured no more."""
        made = self._manager.tasks.get(task)
        limits = () if made is None else made.plan.limits
        return next((limit.unit for limit in limits if limit.name == meter), "")

    def _task(self, gcmd) -> Task:
        name = gcmd.get("NAME")
        task: Task | None = self._manager.find(name)
        if task is None:
            names = ", ".join(each.name for each in self._manager.tasks.values())
            raise gcmd.error(
                f"There is no maintenance task '{name}'. "
                + (f"There are: {names}." if names else "There is none at all.")
            )
        return task

    def _number(self, gcmd, name: str, default: float, least: float) -> float:
        value = gcmd.get(name, None)
        return default if value is None else _number(gcmd, name, value, least)

    def _amounts(self, gcmd, name: str) -> Any:
        """A number, or `print_time=10,time=200` for a task with several limits."""
        value = gcmd.get(name, None)
        if value is None:
            return None
        if "=" not in value:
            return _number(gcmd, name, value)
        amounts = {}
        for part in value.split(","):
            meter, _, number = part.partition("=")
            amounts[meter.strip()] = _number(gcmd, name, number)
        return amounts

    def _moment(self, gcmd) -> int | None:
        """`AT=2026-11-20T18:00`, by the printer's own clock unless it has an offset."""
        value = gcmd.get("AT", None)
        if value is None:
            return None
        try:
            text = value[:-1] + "+00:00" if value[-1:] in "zZ" and value else value
            return math.floor(datetime.fromisoformat(text).astimezone().timestamp())
        except (ValueError, OverflowError):
            raise gcmd.error(
                f"AT={value} is no time: write 2026-11-20 or 2026-11-20T18:00."
            ) from None


def _number(gcmd, name: str, value: str, least: float = 0.0) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise gcmd.error(
            f"{name}={value.strip()} must be a number, {wording.amount(least)} or more."
        )
    return number


def _note(gcmd) -> str:
    note: str = gcmd.get("NOTE", "")
    return note[:MAX_TEXT]


_COMMANDS: dict[str, tuple[str, str]] = {
    "MAINTAIN_STATUS": ("status", "Show how all maintenance tasks stand"),
    "CHECK_MAINTENANCE": (
        "check",
        "Show how one maintenance task stands: NAME= (MAINTENANCE_CHECK is another)",
    ),
    "UPDATE_MAINTENANCE": (
        "done",
        "Mark a maintenance task done: NAME= [NOTE=] [BY=] [AT=] [HOURS=|USED=]",
    ),
    "MAINTENANCE_DONE": (
        "done",
        "Mark a maintenance task done: NAME= [NOTE=] [BY=] [AT=] [USED=]",
    ),
    "SKIP_MAINTENANCE": ("skip", "Skip a maintenance task once: NAME= [NOTE=] [BY=]"),
    "SNOOZE_MAINTENANCE": (
        "snooze",
        "Be reminded of a maintenance task later: NAME= [HOURS=24]; 0 ends it",
    ),
    "ENABLE_MAINTENANCE": ("enable", "Count for a maintenance task again: NAME="),
    "DISABLE_MAINTENANCE": ("disable", "Stop counting for a maintenance task: NAME="),
    "SET_MAINTENANCE": (
        "set",
        "Change a maintenance task: NAME= [THRESHOLD=] [WARN=]",
    ),
    "ADJUST_MAINTENANCE": (
        "adjust",
        "Correct what was used of a maintenance task: NAME= USED=",
    ),
    "MAINTENANCE_LOG": (
        "log",
        "Show what was done: [NAME=] [LIMIT=10], or write it to a file: EXPORT=1",
    ),
    "MAINTENANCE_COUNT": (
        "count",
        "Move a count meter: NAME= [BY=1], or change it: [REMOVE=1|RENAME=]",
    ),
    "SET_MAINTENANCE_MATERIAL": (
        "material",
        "Tell which material is loaded: MATERIAL=",
    ),
    "MAINTENANCE_CHECK": (
        "gate",
        "For PRINT_START alone: warn, ask or refuse if maintenance is due: [NAME=]",
    ),
    "MAINTENANCE_PROMPT": ("prompt", "Show the maintenance dialog: [NAME=]"),
}
