"""MAINTENANCE_CHECK: checks due tasks, and those that a print will make due."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import klipper, wording
from ..contract import DUE
from ..guard import unharmed
from ..language import tr
from ..outlook import sentences
from ..outlook.reading import Reading
from ..paths import path_of, shown
from . import parameters
from .print_start import ANSWERS, PrintStart

if TYPE_CHECKING:
    from ..klipper_objects import GcodeCommand, Printer
    from ..upkeep.registry import Running, TaskRegistry

PATIENCE = 5.0  # seconds for the two ends of a file


class MaintenanceCheck:
    """Collects the due tasks, and the tasks that the print will make due.

    `PrintStart` decides what follows from them.
    """

    def __init__(
        self, printer: Printer, registry: TaskRegistry, print_start: PrintStart
    ) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._registry = registry
        self._print_start = print_start

    def check(self, gcmd: GcodeCommand, running: Running) -> None:
        """Warn, ask or refuse, for PRINT_START. With FILE=, only show the tasks."""
        answer = parameters.optional(gcmd, "ANSWER")
        file = parameters.optional(gcmd, "FILE")
        if answer is not None and answer not in ANSWERS:
            text = tr("ANSWER={answer} must be 'print' or 'stop'.", answer=answer)
            raise gcmd.error(text)
        if answer is not None:
            self._print_start.answer(gcmd, answer)
        elif file is not None:
            self._foretell(gcmd, running, file)
        else:
            due = self._due(gcmd, running)
            self._print_start.check(gcmd, due, self._ahead(gcmd, running))

    def _due(self, gcmd: GcodeCommand, running: Running) -> dict[str, list[str]]:
        """Return sentences about due tasks, by the action that follows."""
        running.upkeep.count_now()
        board = running.upkeep.board
        name = self._name(gcmd)
        states = board.states() if name is None else [board.state(name)]
        due: dict[str, list[str]] = {}
        for state in states:
            if state.status == DUE:
                action = self._registry.tasks[state.task].at_print_start.now
                due.setdefault(action, []).append(wording.standing(state.label, state))
        return due

    def _name(self, gcmd: GcodeCommand) -> str | None:
        if parameters.optional(gcmd, "NAME") is None:
            return None
        return parameters.task(gcmd, self._registry).slug

    # Ahead

    def _ahead(self, gcmd: GcodeCommand, running: Running) -> dict[str, list[str]]:
        """Return sentences about tasks that this print will make due, by the action."""
        follower, outlook = running.follower, running.follower.outlook
        card = self._printer.lookup_object("virtual_sdcard", None)
        path = follower.file()
        if not outlook.is_wanted or path is None or not card.is_active():
            return {}
        reading = self._read(running, path)
        prediction = reading.prediction
        if not prediction:
            if not follower.has_told:
                gcmd.respond_info(_nothing(reading, path))
            follower.has_told = True
            return {}
        name = self._name(gcmd)
        ahead: dict[str, list[str]] = {}
        for each in outlook.due_in_print(prediction, running.follower.rest):
            action = outlook.action(each.task)
            if name in (None, each.task) and not (
                action == "warn" and follower.has_told
            ):
                sentence = outlook.sentence(each, prediction)
                ahead.setdefault(action, []).append(sentence)
        follower.has_told = follower.has_told or name is None
        return ahead

    def _foretell(self, gcmd: GcodeCommand, running: Running, file: str) -> None:
        """Show which tasks are due, and which tasks a file would make due."""
        path = self._path(gcmd, file)
        reading = self._read(running, path)
        lines = [text for texts in self._due(gcmd, running).values() for text in texts]
        prediction, outlook = reading.prediction, running.follower.outlook
        if not prediction:
            lines.append(_nothing(reading, path))
        else:
            name = self._name(gcmd)
            made = [
                outlook.sentence(each, prediction)
                for each in outlook.due_in_print(
                    prediction, running.follower.rest, every=True
                )
                if name in (None, each.task)
            ]
            lines += made or [sentences.passes_nothing(prediction)]
        gcmd.respond_info("\n".join(lines))

    def _path(self, gcmd: GcodeCommand, file: str) -> Path:
        folder = klipper.file_folder(self._printer)
        if folder is None:
            raise gcmd.error(
                tr("This printer has no [virtual_sdcard] to find files in.")
            )
        inside = Path(file.strip().lstrip("/"))
        if not inside.parts or ".." in inside.parts:
            raise gcmd.error(
                tr(
                    "FILE={file} is no file in the folder of [virtual_sdcard].",
                    file=file,
                )
            )
        return path_of(f"{folder}/{inside}")

    def _read(self, running: Running, path: Path) -> Reading:
        """Read *path* in a thread. The reactor continues, and other G-code waits."""
        read = self._reactor.completion()
        running.follower.read(path, read.complete)
        until = self._reactor.monotonic() + PATIENCE
        late = Reading(
            problem=tr("'{file}' is still being read.", file=shown(path.name))
        )
        return unharmed(lambda: read.wait(until, late)) or late


def _nothing(reading: Reading, path: Path) -> str:
    return reading.problem or sentences.tells_nothing(shown(path.name))
