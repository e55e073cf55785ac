"""The dialog of the screens, which show one dialog at a time.

Web interfaces keep a dialog over reloads and restarts until a line on the console ends
it. The extra writes such a line, and a web interface does if a user presses the X.
"""

from __future__ import annotations

from typing import Callable, Sequence

from ..guard import guarded
from ..klipper_objects import Gcode, Printer
from .prompts import END

# Seconds after which a dialog counts as closed, since some screens close silently.
OPEN = 600.0
STALE_AFTER = 2.0  # seconds after the start when an earlier Klippy's dialog is closed


class Dialogs:
    """Knows which dialog is open, by the key under which it was shown."""

    def __init__(self, printer: Printer) -> None:
        self._reactor = printer.get_reactor()
        self._gcode: Gcode = printer.lookup_object("gcode")
        self._key = ""
        self._since = 0.0
        self._closed: Callable[[], None] | None = None
        self._is_speaking = False
        self._has_spoken = False
        self._gcode.register_output_handler(guarded(self._heard, "the console"))

    def tidy(self) -> None:
        """Soon close a dialog from before this start, if no dialog is shown then."""

        def close(eventtime: float) -> None:
            if not self._has_spoken:
                self._say([END])

        close = guarded(close, "the dialogs of an earlier life")
        self._reactor.register_callback(close, self._reactor.monotonic() + STALE_AFTER)

    @property
    def key(self) -> str:
        """Return the key of the open dialog, or ""."""
        if self._key and self._reactor.monotonic() - self._since > OPEN:
            self._key = ""
        return self._key

    def show(
        self,
        key: str,
        lines: Sequence[str],
        closed: Callable[[], None] | None = None,
    ) -> None:
        """Show a dialog. *closed* is called when somebody closes it by its X."""
        self._key, self._closed = key, closed
        self._since = self._reactor.monotonic()
        self._say(lines)

    def close(self, key: str = "") -> None:
        """Close the dialog of *key*, or any dialog."""
        if not key or key == self._key:
            self._key, self._closed = "", None
            self._say([END])

    def _say(self, lines: Sequence[str]) -> None:
        self._has_spoken = self._is_speaking = True
        try:
            for line in lines:
                self._gcode.respond_raw(line)
        finally:
            self._is_speaking = False

    def _heard(self, text: str) -> None:
        if self._is_speaking or not self._key or END not in text:
            return
        closed, self._key, self._closed = self._closed, "", None
        if closed is not None:
            call = guarded(lambda eventtime: closed(), "a dialog that was closed")
            self._reactor.register_callback(call)
