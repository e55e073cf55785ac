"""Ends a print start with a message, and without an alarm.

Only an error ends a macro. Klipper shows each error as a line with `!!`, and OctoPrint
answers such a line with an emergency stop. So these lines are not sent for the extra's
own errors, and their text is sent as information.
"""

from __future__ import annotations

from typing import Callable

from ..klipper_objects import Gcode, GcodeCommand
from .start import CANCEL, Start


class Refusal:
    """Makes the errors that end a print start."""

    def __init__(self, gcode: Gcode) -> None:
        self._gcode = gcode
        self._respond: Callable[[str], None] | None = None
        self._muted = ""

    def end(self, gcmd: GcodeCommand, start: Start, text: str) -> Exception:
        """End the job of *start* as cancelled. The caller raises the returned error."""
        if start.of_stream:
            self._gcode.respond_raw(CANCEL)
        start.cancel()
        return self.error(gcmd, text)

    def error(self, gcmd: GcodeCommand, text: str) -> Exception:
        """Show *text*, and return the error that ends the macro without an alarm."""
        text = " ".join(text.split())
        gcmd.respond_info(text)
        self._mute(text)
        error: Exception = gcmd.error(text)
        return error

    def _mute(self, text: str) -> None:
        self._muted = f"!! {text}"
        if self._respond is None:
            self._respond = self._gcode.respond_raw
            self._gcode.respond_raw = self._filtered

    def _filtered(self, line: str) -> None:
        if line != self._muted and self._respond is not None:
            self._respond(line)
