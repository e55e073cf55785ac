"""The start of a print, and whether the printer has changed since then.

While a macro waits without the G-code mutex, other commands can run. They may cancel
the print, pause it, or switch heaters off.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable

from ..klipper_objects import Printer
from ..language import mark

CANCEL = "// action:cancel"

# Why a print does not start.
SHUT_DOWN = mark("The print is not started: the printer has shut down.")
CANCELLED = mark("The print is not started: it was cancelled.")
HEATER_OFF = mark("The print is not started: a heater was switched off meanwhile.")
MOTORS_OFF = mark("The print is not started: the motors were switched off meanwhile.")


class Start:
    """The state of a running print start when this object was made."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._now: Callable[[], float] = printer.get_reactor().monotonic
        card = printer.lookup_object("virtual_sdcard", None)
        of_file = card is not None and card.is_active() and card.is_cmd_from_sd()
        self._card = card if of_file else None
        self._file = self._open_file()
        self.of_stream = not of_file and _comes_from_stream(printer)
        self._heated = self._heated_now()
        self._homed = self._homed_now()
        self._is_cancelled = False

    # The printer's state

    def over(self) -> str:
        """Return why this start must not go on, as a marked text, or ""."""
        if self._printer.is_shutdown():
            return SHUT_DOWN
        if self._is_cancelled or self._open_file() != self._file:
            return CANCELLED
        if self._heated - self._heated_now():
            return HEATER_OFF
        if self._homed - self._homed_now():
            return MOTORS_OFF
        return ""

    def paused(self) -> bool:
        """Whether somebody has paused the starting print."""
        pauses = self._printer.lookup_object("pause_resume", None)
        if pauses is not None and pauses.get_status(self._now())["is_paused"]:
            return True
        return self._card is not None and bool(
            getattr(self._card, "must_pause_work", False)
        )

    def heard(self, text: str) -> None:
        """Read the console's output, in which a word cancels the job of a stream."""
        if not self._card and CANCEL in text:
            self._is_cancelled = True

    def active(self) -> bool:
        """Whether the file's line or its end is still being carried out."""
        return self._card is not None and bool(self._card.is_active())

    # Changes

    def hold(self) -> None:
        """Let people also resume a print that was paused meanwhile.

        The file waits inside of one of its lines, where Klipper refuses to resume it
        with "SD busy". It is enough to remove the order to stop after this line.
        """
        card = self._card
        if card is not None:

            def resume() -> None:
                card.must_pause_work = False

            card.do_resume = resume

    def release(self) -> None:
        if self._card is not None:
            vars(self._card).pop("do_resume", None)

    def cancel(self) -> None:
        """End the job as cancelled, since an error would end it as failed."""
        if self._card is not None:
            self._card.do_cancel()

    # Comparison

    def _open_file(self) -> Any:
        if self._card is None:
            return None
        return self._card.get_status(self._now())["file_path"]

    def _heated_now(self) -> frozenset[str]:
        heaters = self._printer.lookup_object("heaters", None)
        names = () if heaters is None else heaters.get_all_heaters()
        status = ((name, self._printer.lookup_object(name, None)) for name in names)
        return frozenset(
            name
            for name, heater in status
            if heater is not None and heater.get_status(self._now()).get("target")
        )

    def _homed_now(self) -> frozenset[str]:
        toolhead = self._printer.lookup_object("toolhead", None)
        if toolhead is None:
            return frozenset()
        return frozenset(toolhead.get_status(self._now()).get("homed_axes", ""))


def _comes_from_stream(printer: Printer) -> bool:
    """Return whether this command is in a line from the pseudo-terminal.

    Klipper does not tell a command where it comes from. Lines of the terminal that are
    in work prove nothing, since they may wait for another command.
    """
    terminal = printer.lookup_object("gcode_io", None)
    frame = inspect.currentframe()
    while terminal is not None and frame is not None:
        if frame.f_locals.get("self") is terminal:
            return True
        frame = frame.f_back
    return False
