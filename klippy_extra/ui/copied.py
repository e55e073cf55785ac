"""Asks whether this printer is a copy of another one, most often by a copied card."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ..guard import guarded
from ..identity import Machine, here
from ..klipper_objects import Gcode, GcodeCommand, Printer
from ..language import mark, tr
from . import prompts
from .dialogs import Dialogs

COMMAND = "MAINTENANCE_IDENTITY"
KEY = "identity"
SHOWN_AFTER = 4.0  # seconds, after which screens have connected again
TEXT = mark(
    "The maintenance store was written on another machine. If its card was copied, this"
    " is another printer: press Copy, and it gets an identity of its own with all its"
    " counts. If the same printer has new hardware, press Same. Until then counting"
    " goes on, and nothing is published over MQTT."
)
TAKEN = mark(
    "Another client at the MQTT broker takes the connection of this printer over: most"
    " often a printer with a copy of its card. On the copy press Copy, and it gets an"
    " identity of its own with all its counts; on the other one press Same."
)
HOW = mark("Type {command} NEW=1 for a copy, or {command} SAME=1 for the same printer.")


class Copied:
    """Compares the machine with the store's, asks once, and handles the answer."""

    def __init__(
        self,
        printer: Printer,
        dialogs: Dialogs,
        say: Callable[[str], None],
        report: Callable[[str], None],
        settle: Callable[[bool], str],
    ) -> None:
        """*settle* gives a new identity or keeps the old, and returns a sentence."""
        self._reactor = printer.get_reactor()
        self._dialogs, self._say = dialogs, say
        self._report, self._settle = report, settle
        self._here: Machine | None = None
        self.is_open = False  # true until somebody answers; nothing is published
        self._text = TEXT  # the text of the open question
        self._is_taken = False  # whether the question is about a taken connection
        self._is_answered = False
        gcode: Gcode = printer.lookup_object("gcode")
        through = (printer.command_error,)
        gcode.register_command(
            COMMAND,
            guarded(self._answer, COMMAND, through=through),
            desc=tr("Tell whether this printer is a copy: NEW=1, or the same: SAME=1"),
        )

    def compare(self, documents: Mapping[str, Any], publishes: bool) -> None:
        """Compare the machine with the store's. A copy without a broker is harmless."""
        self._here = here()
        known = Machine.of(documents.get("machine") or {})
        self.is_open = publishes and self._here.is_other(known)
        if self.is_open:
            self._report(self._question())
            show = guarded(lambda eventtime: self._show(), "the question of a copy")
            at = self._reactor.monotonic() + SHOWN_AFTER
            self._reactor.register_callback(show, at)

    def taken_over(self) -> None:
        """Ask once, when another client takes our connection over at the broker.

        The printers cannot know which one is the copy. Both go on until somebody
        answers.
        """
        if self.is_open or self._is_taken or self._is_answered:
            return
        self._text, self._is_taken = TAKEN, True
        guarded(self._show, "the question of a copy")()

    def documents(self, publishes: bool) -> dict[str, Any]:
        """Return the store's document about this machine."""
        if self._here is None or self.is_open or not publishes:
            return {}
        return {"machine": self._here._asdict()}

    def _show(self) -> None:
        if not (self.is_open or self._is_taken):
            return
        self._say(self._question())
        buttons = [
            prompts.Button(tr("Copy"), f"{COMMAND} NEW=1", "warning"),
            prompts.Button(tr("Same"), f"{COMMAND} SAME=1"),
        ]
        title = tr("Is this printer a copy?")
        self._dialogs.show(KEY, prompts.dialog(title, [tr(self._text)], buttons, []))

    def _answer(self, gcmd: GcodeCommand) -> None:
        new = gcmd.get("NEW", "0") not in ("0", "")
        same = gcmd.get("SAME", "0") not in ("0", "")
        if new == same:
            raise gcmd.error(tr("{command} needs NEW=1 or SAME=1.", command=COMMAND))
        if not new and not (self.is_open or self._is_taken):
            gcmd.respond_info(tr("There is no question: it is the same printer."))
            return
        self._dialogs.close(KEY)
        self.is_open = self._is_taken = False
        self._is_answered = True
        self._report("")
        gcmd.respond_info(self._settle(new))

    def _question(self) -> str:
        return f"{tr(self._text)} {tr(HOW, command=COMMAND)}"
