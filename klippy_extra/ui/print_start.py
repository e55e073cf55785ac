"""MAINTENANCE_CHECK in PRINT_START warns, asks or refuses if a task is due."""

from __future__ import annotations

from typing import Mapping, Sequence

from ..guard import guarded
from ..klipper_objects import Gcode, GcodeCommand, Printer
from ..language import tr
from . import prompts
from .dialogs import Dialogs
from .display import Display
from .question import AHEAD, NOW, PRINT, STOP, Question, Words
from .refusal import Refusal
from .start import SHUT_DOWN, Start

ANSWERS = (PRINT, STOP)

Texts = Mapping[str, Sequence[str]]  # sentences, by the action that follows


class PrintStart:
    """Lets a print start, or ends it without harm."""

    def __init__(
        self, printer: Printer, dialogs: Dialogs, display: Display, seconds: float
    ) -> None:
        self._printer = printer
        self._dialogs, self._display = dialogs, display
        self._seconds = seconds
        gcode: Gcode = printer.lookup_object("gcode")
        self._refusal = Refusal(gcode)
        self._question: Question | None = None
        self._start: Start | None = None
        gcode.register_output_handler(guarded(self._heard, "the console"))
        for event, handler in (
            ("klippy:shutdown", self._shut_down),
            ("gcode:request_restart", self._restarting),
        ):
            printer.register_event_handler(event, guarded(handler, event))

    @property
    def is_asking(self) -> bool:
        return self._question is not None

    def check(self, gcmd: GcodeCommand, due: Texts, ahead: Texts) -> None:
        """Let the print start, or raise the error that ends the macro.

        *due* are sentences about due tasks, and *ahead* about tasks that this print
        will make due, both by the action that follows.
        """
        texts = {
            action: [*due.get(action, ()), *ahead.get(action, ())]
            for action in ("warn", "block", "confirm")
        }
        for text in texts["warn"]:
            gcmd.respond_info(tr("Maintenance: {text}", text=text))
        if (texts["block"] or texts["confirm"]) and self._question is not None:
            why = tr("Another print start waits for an answer already.")
            raise self._refusal.error(gcmd, why)
        if texts["block"]:
            self._block(gcmd, texts["block"])
        if texts["confirm"]:
            words = NOW if due.get("confirm") else AHEAD
            self._confirm(gcmd, texts["confirm"], words)

    def _block(self, gcmd: GcodeCommand, texts: Sequence[str]) -> None:
        lines = prompts.notice(tr("Maintenance comes first"), texts)
        self._dialogs.show("block", lines)
        why = tr("The print is not started: maintenance comes first.")
        raise self._refusal.end(gcmd, Start(self._printer), " ".join([why, *texts]))

    def _confirm(self, gcmd: GcodeCommand, texts: Sequence[str], words: Words) -> None:
        start = self._start = Start(self._printer)
        self._question = Question(
            self._printer,
            start,
            self._dialogs,
            self._display,
            texts,
            self._seconds,
            words,
        )
        try:
            ended = self._question.ask()
        finally:
            self._question = self._start = None
        if ended:
            raise self._refusal.end(gcmd, start, tr(ended))

    def answer(self, gcmd: GcodeCommand, answer: str) -> None:
        """Handle a person's answer, from a button or from the console."""
        self._dialogs.close()
        if self._question is None:
            gcmd.respond_info(tr("No print start waits for an answer."))
        else:
            self._question.answer(answer)

    # Events while a question waits

    def _heard(self, text: str) -> None:
        if self._start is not None:
            self._start.heard(text)

    def _shut_down(self) -> None:
        if self._question is not None:
            self._question.end(SHUT_DOWN)

    def _restarting(self, print_time: float) -> None:
        if self._question is not None:
            self._question.hand_over()
