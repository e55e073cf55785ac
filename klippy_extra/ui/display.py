"""The display's line (M117). It is cleared only if it still has the extra's text."""

from __future__ import annotations

import logging
from typing import Any

from ..guard import guarded
from ..klipper_objects import Gcode, Printer


class Display:
    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._gcode: Gcode = printer.lookup_object("gcode")
        self._ours = ""
        self._failed = False

    def show(self, text: str) -> None:
        """Show *text* when G-code can run. Without a display, do nothing."""
        self._ours = plain(text)
        self._later(lambda: f"M117 {self._ours}" if self._ours else "")

    def clear(self) -> None:
        """Clear the line, unless another text has replaced the extra's meanwhile."""
        ours, self._ours = self._ours, ""
        if ours:
            self._later(lambda: "M117" if self._shown() == ours else "")

    def _shown(self) -> str:
        display = self._printer.lookup_object("display_status", None)
        if display is None:
            return ""
        status = display.get_status(self._reactor.monotonic())
        return str(status.get("message") or "")

    def _later(self, script: Any) -> None:
        if self._printer.lookup_object("display_status", None) is None or self._failed:
            return

        def run(eventtime: float) -> None:
            text = script()
            if not text:
                return
            try:
                self._gcode.run_script(text)
            except self._printer.command_error as error:
                self._failed = True  # M117 may be a macro; the error is logged once
                logging.warning("maintain: M117 failed: %s", error)

        self._reactor.register_callback(guarded(run, "the display"))


def plain(text: str) -> str:
    """Return *text* without characters that would end a G-code line."""
    return " ".join(text.replace(";", ",").replace("#", " ").split())
