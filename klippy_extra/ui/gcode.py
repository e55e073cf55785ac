"""The G-code commands: they read parameters, and answer with complete sentences.

A wrong parameter is an error that names it. No wrong value is silently replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from .. import wording
from ..contract import DUE, SOON, Command
from ..guard import guarded, unharmed
from ..language import mark, tr
from ..outlook import habits
from . import parameters, prompts
from .maintenance_check import MaintenanceCheck
from .parameters import BY
from .reminders import how_to_set

if TYPE_CHECKING:
    from ..contract import Entry, State
    from ..klipper_objects import Gcode, GcodeCommand, Printer
    from ..storage.export import Export
    from ..task import Task
    from ..upkeep.registry import Running, TaskRegistry
    from .print_start import PrintStart
    from .reminders import Reminders

Handler = Callable[["GcodeCommand", "Running"], None]

NOT_RUNNING = mark("Maintenance is not counted while the printer is not ready.")
NO_TASK = mark("There is no maintenance task yet. Write a section [maintain NAME].")
LAST_DONE = mark("Last done {moment}.")
LAST_DONE_BY = mark("Last done {moment} by {by}.")
LOGGED = mark("{moment} {label} {event}, used {used}")
LOGGED_BY = mark("{moment} {label} {event} by {by}, used {used}")
SHOWN = 10  # entries of the log
PATIENCE, PATIENCE_IN_PRINT = 5.0, 0.25  # seconds


class Console:
    """Registers the commands, and carries them out."""

    def __init__(
        self,
        printer: Printer,
        registry: TaskRegistry,
        reminders: Reminders,
        print_start: PrintStart,
        export: Export,
    ) -> None:
        self._registry = registry
        self._reminders = reminders
        self._check = MaintenanceCheck(printer, registry, print_start)
        self._export = export
        self._reactor = printer.get_reactor()
        self._command_error = printer.command_error
        self._refused: set[str] = set()  # counts whose refusal was already shown
        gcode: Gcode = printer.lookup_object("gcode")
        for name, handler in self._handlers().items():
            gcode.register_command(
                name, self.entry(name, handler), desc=tr(DESCRIPTIONS[name])
            )

    def say(self, text: str) -> None:
        """Show *text* on the console, perhaps later than its command."""
        self._reminders.say(text)

    def entry(self, name: str, handler: Handler) -> Callable[[GcodeCommand], None]:
        """Wrap *handler* for Klipper. Only errors for the user escape."""
        return guarded(
            self._with_upkeep(handler),
            name,
            self._sorry,
            through=(self._command_error,),
        )

    def _with_upkeep(self, handler: Handler) -> Callable[[GcodeCommand], None]:
        """Call *handler* if the upkeep is running; otherwise answer that it is not."""

        def entry(gcmd: GcodeCommand) -> None:
            running = self._registry.running
            if running is None:
                # This is no error: an error would end a print whose macro calls this.
                gcmd.respond_info(self._registry.problems.summary or tr(NOT_RUNNING))
            else:
                handler(gcmd, running)

        return entry

    def _sorry(self, gcmd: GcodeCommand) -> None:
        gcmd.respond_info(
            tr(
                "{command} failed: klippy.log tells why. Printing goes on.",
                command=gcmd.get_command(),
            )
        )

    # Questions

    def status(self, gcmd: GcodeCommand, running: Running) -> None:
        upkeep = running.upkeep
        upkeep.count_now()
        lines = list(self._registry.problems.texts)
        for state in upkeep.board.states():
            lines.append(wording.standing(state.label, state))
            lines += [state.message] if state.status == DUE and state.message else []
            lines += [state.problem] if state.problem else []
        if not self._registry.tasks:
            lines.append(tr(NO_TASK))
        gcmd.respond_info("\n".join(lines))

    def check(self, gcmd: GcodeCommand, running: Running) -> None:
        task = self._task(gcmd)
        running.upkeep.count_now()
        state = running.upkeep.board.state(task.slug)
        lines = [wording.standing(state.label, state)]
        lines += [
            tr(
                "{meter}: {used} used of {threshold}.",
                meter=limit.meter,
                used=wording.quantity(limit.used, limit.unit),
                threshold=wording.quantity(limit.threshold, limit.unit),
            )
            for limit in state.limits
        ]
        if state.last_done is not None:
            text = LAST_DONE_BY if state.last_by else LAST_DONE
            moment = wording.moment(state.last_done)
            lines.append(tr(text, moment=moment, by=state.last_by))
        lines += [state.problem] if state.problem else []
        if state.habit is not None:
            lines += self._learnt(running, state.task)
        gcmd.respond_info("\n".join(lines + wording.details(state)))

    def learn(self, gcmd: GcodeCommand, running: Running) -> None:
        """Show the habits of a task from its log, or set the suggested threshold."""
        if parameters.flag(gcmd, "SET"):
            self.order(gcmd, running, Command("learn"))
            return
        task = self._task(gcmd).slug
        gcmd.respond_info("\n".join(self._learnt(running, task)))

    def _learnt(self, running: Running, task: str) -> list[str]:
        learning = running.upkeep.learning
        habit, suggestion = learning.habit(task), learning.suggestion(task)
        if habit is None:
            return [
                tr("The task must be done twice before the log can tell its usual use.")
            ]
        lines = habits.sentences(habit, learning.unit(task, habit.meter))
        if suggestion is not None:
            lines.append(f"{suggestion.text} {how_to_set(task)}")
        return lines

    def log(self, gcmd: GcodeCommand, running: Running) -> None:
        memory = running.upkeep.memory
        named = parameters.optional(gcmd, "NAME") is not None
        task = self._task(gcmd).slug if named else None
        limit = int(parameters.number(gcmd, "LIMIT", SHOWN, least=1))
        if parameters.flag(gcmd, "EXPORT"):
            memory.whole_log(
                task, lambda entries: self._export.write(entries, self.say)
            )
            return
        lines = [self._line(entry) for entry in memory.log(task, limit)]
        gcmd.respond_info("\n".join(lines) or tr("Nothing has been logged yet."))

    def _line(self, entry: Entry) -> str:
        """Return a line for an entry of the log."""
        # The task may have been removed from the configuration.
        task = self._registry.tasks.get(entry.task)
        limits = () if task is None else task.plan.limits
        units = {limit.name: limit.unit for limit in limits}
        used = ", ".join(
            f"{meter} {wording.quantity(amount, units.get(meter, ''))}"
            for meter, amount in entry.used.items()
        )
        text = tr(
            LOGGED_BY if entry.by else LOGGED,
            moment=wording.moment(entry.time),
            label=entry.task if task is None else task.label,
            event=wording.event(entry),
            by=entry.by,
            used=used,
        )
        return f"{text}: {entry.note}" if entry.note else text

    # Changes

    def done(self, gcmd: GcodeCommand, running: Running) -> None:
        used = parameters.amounts(gcmd, "USED")
        hours = parameters.amounts(gcmd, "HOURS")
        command = Command(
            "done",
            used=hours if used is None else used,
            at=parameters.moment(gcmd, "AT"),
            note=parameters.text(gcmd, "NOTE"),
            condition=parameters.condition(gcmd, "CONDITION"),
        )
        self.order(gcmd, running, command)
        # KlipperMaintenance enabled a disabled task with HOURS=, so this does too.
        task = self._task(gcmd).slug
        if hours is not None and not running.upkeep.is_enabled(task):
            self.order(gcmd, running, Command("enable"))

    def skip(self, gcmd: GcodeCommand, running: Running) -> None:
        note = parameters.text(gcmd, "NOTE")
        self.order(gcmd, running, Command("skip", note=note))

    def snooze(self, gcmd: GcodeCommand, running: Running) -> None:
        hours = parameters.number(gcmd, "HOURS", prompts.LATER)
        command = Command("snooze", hours=hours) if hours else Command("unsnooze")
        self.order(gcmd, running, command)

    def enable(self, gcmd: GcodeCommand, running: Running) -> None:
        self.order(gcmd, running, Command("enable"))

    def disable(self, gcmd: GcodeCommand, running: Running) -> None:
        self.order(gcmd, running, Command("disable"))

    def set(self, gcmd: GcodeCommand, running: Running) -> None:
        threshold = parameters.amounts(gcmd, "THRESHOLD")
        warn_at = parameters.amounts(gcmd, "WARN")
        if threshold is None and warn_at is None:
            raise gcmd.error(tr("SET_MAINTENANCE needs THRESHOLD= or WARN=."))
        command = Command("set", threshold=threshold, warn_at=warn_at)
        self.order(gcmd, running, command)

    def adjust(self, gcmd: GcodeCommand, running: Running) -> None:
        used = parameters.amounts(gcmd, "USED")
        if used is None:
            raise gcmd.error(
                tr("ADJUST_MAINTENANCE needs USED=: how much was used so far.")
            )
        self.order(gcmd, running, Command("adjust", used=used))

    def count(self, gcmd: GcodeCommand, running: Running) -> None:
        by = parameters.number(gcmd, "BY", 1.0)
        name = parameters.required(gcmd, "NAME")
        to = parameters.optional(gcmd, "RENAME")
        upkeep = running.upkeep
        try:
            if to is not None or parameters.flag(gcmd, "REMOVE"):
                text = upkeep.change_count(name, to)
            else:
                meter = upkeep.counting.move(name, by)
                text = tr("{meter} counts {amount} more.", meter=meter, amount=by)
        except ValueError as error:
            # An error would end a print only because no task uses a macro's count.
            if not self._reminders.busy(self._reactor.monotonic()):
                raise gcmd.error(str(error)) from None
            text = str(error)
            if text in self._refused:
                return
            self._refused.add(text)
        gcmd.respond_info(text)

    def material(self, gcmd: GcodeCommand, running: Running) -> None:
        name = parameters.required(gcmd, "MATERIAL").strip()
        running.upkeep.set_material(name)
        gcmd.respond_info(
            tr("Wear is counted for {material} from now on.", material=name)
            if name
            else tr("Wear is counted for no particular material from now on.")
        )

    # Dialogs

    def prompt(self, gcmd: GcodeCommand, running: Running) -> None:
        board = running.upkeep.board
        if parameters.flag(gcmd, "CLOSE"):
            self._reminders.close()
        elif parameters.optional(gcmd, "NAME") is not None:
            self._reminders.show(board.state(self._task(gcmd).slug))
        else:
            states = [each for each in board.states() if each.status in (DUE, SOON)]
            if states:
                self._reminders.show(max(states, key=_urgency))
            else:
                gcmd.respond_info(tr("No maintenance is due."))

    # Parameters

    def order(
        self,
        gcmd: GcodeCommand,
        running: Running,
        command: Command,
        task: Task | None = None,
        saved: Callable[[], None] | None = None,
    ) -> None:
        """Give a command, and answer when its changes are on disk.

        *saved* is called only if they are, perhaps after this has returned.

        The wait delays only other G-code. In a print, it ends before the planned moves
        do.
        """
        task = task or self._task(gcmd)
        command = command._replace(by=parameters.text(gcmd, "BY", BY))
        written = self._reactor.completion()
        refused: list[str] = []

        def tell(text: str) -> None:
            self._reminders.say(
                wording.happened(task.label, text, bool(task.plan.kind))
            )
            written.complete(text)

        running.commands.give(task.slug, command, refused.append, tell, saved)
        if refused:
            raise gcmd.error(f'"{task.label}": {refused[0]}')
        now = self._reactor.monotonic()
        busy = self._reminders.busy(now)
        until = now + (PATIENCE_IN_PRINT if busy else PATIENCE)
        unharmed(lambda: written.wait(until, ""))

    def _task(self, gcmd: GcodeCommand) -> Task:
        return parameters.task(gcmd, self._registry)

    def _handlers(self) -> dict[str, Handler]:
        return {
            "MAINTAIN_STATUS": self.status,
            "CHECK_MAINTENANCE": self.check,
            "UPDATE_MAINTENANCE": self.done,
            "MAINTENANCE_DONE": self.done,
            "SKIP_MAINTENANCE": self.skip,
            "SNOOZE_MAINTENANCE": self.snooze,
            "ENABLE_MAINTENANCE": self.enable,
            "DISABLE_MAINTENANCE": self.disable,
            "SET_MAINTENANCE": self.set,
            "ADJUST_MAINTENANCE": self.adjust,
            "MAINTENANCE_LOG": self.log,
            "MAINTENANCE_LEARN": self.learn,
            "MAINTENANCE_COUNT": self.count,
            "SET_MAINTENANCE_MATERIAL": self.material,
            "MAINTENANCE_CHECK": self._check.check,
            "MAINTENANCE_PROMPT": self.prompt,
        }


def _urgency(state: State) -> tuple[bool, float]:
    return state.status == DUE, state.deciding.percent


DESCRIPTIONS = {
    "MAINTAIN_STATUS": mark("Show how all maintenance tasks stand"),
    "CHECK_MAINTENANCE": mark(
        "Show how one maintenance task stands: NAME= (not MAINTENANCE_CHECK, which is"
        " for PRINT_START)"
    ),
    "UPDATE_MAINTENANCE": mark(
        "Mark a maintenance task done: NAME= [NOTE=] [BY=] [AT=] [HOURS=|USED=]"
        " [CONDITION=]"
    ),
    "MAINTENANCE_DONE": mark(
        "Mark a maintenance task done: NAME= [NOTE=] [BY=] [AT=] [USED=] [CONDITION=]"
    ),
    "SKIP_MAINTENANCE": mark("Skip a maintenance task once: NAME= [NOTE=] [BY=]"),
    "SNOOZE_MAINTENANCE": mark(
        "Be reminded of a maintenance task later: NAME= [HOURS=24]; 0 ends it"
    ),
    "ENABLE_MAINTENANCE": mark("Enable a maintenance task again: NAME="),
    "DISABLE_MAINTENANCE": mark("Disable a maintenance task: NAME="),
    "SET_MAINTENANCE": mark("Change a maintenance task: NAME= [THRESHOLD=] [WARN=]"),
    "ADJUST_MAINTENANCE": mark(
        "Correct what was used of a maintenance task: NAME= USED="
    ),
    "MAINTENANCE_LOG": mark(
        "Show what was done: [NAME=] [LIMIT=10], or write it to a file: EXPORT=1"
    ),
    "MAINTENANCE_LEARN": mark(
        "Show at how much use a maintenance task is really done, or set the "
        "suggested threshold: NAME= [SET=1]"
    ),
    "MAINTENANCE_COUNT": mark(
        "Move a count meter: NAME= [BY=1], or change it: [REMOVE=1|RENAME=]"
    ),
    "SET_MAINTENANCE_MATERIAL": mark("Tell which material is loaded: MATERIAL="),
    "MAINTENANCE_CHECK": mark(
        "For PRINT_START only: warn, ask or refuse if maintenance is due: "
        "[NAME=]; or show which tasks a file would make due, without a print: "
        "FILE="
    ),
    "MAINTENANCE_PROMPT": mark("Show the maintenance dialog: [NAME=]"),
}
