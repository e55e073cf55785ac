"""The question at a print's start: print although maintenance is due?

The buttons' G-code must run while the macro waits. So the G-code mutex, which would
prevent that, is given back meanwhile. Before the start goes on, all changes by other
commands are checked.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence

from ..guard import unharmed
from ..klipper_objects import Printer
from ..language import mark, tr
from . import prompts
from .dialogs import Dialogs
from .display import Display
from .start import Start

PRINT, STOP = "print", "stop"
KEY = "question"
TICK = 0.25  # seconds between two checks of the printer
SHOWN_AFTER = 2.0  # seconds; KlipperScreen drops a dialog at the begin of a print
AGAIN_AFTER = 3.0  # seconds until a dialog that was closed by its X is shown again
COUNT_EVERY = 5.0  # seconds between two numbers on the display
AWAKE_EVERY = 10.0  # seconds, or a third of a short idle timeout
HAND_OVER_WITHIN = 2.0  # seconds
RESTARTS = mark("The print is not started: Klipper restarts.")
ENDS = mark("The print is not started: Klipper ends.")


class Words(NamedTuple):
    """The marked texts of a question about due tasks, or about tasks ahead."""

    title: str
    intro: str
    display: str
    stopped: str


NOW = Words(
    mark("Maintenance is due. Print?"),
    mark("Maintenance is due."),
    mark("Maintenance due."),
    mark("The print is not started: maintenance is due."),
)
AHEAD = Words(
    mark("Maintenance ahead. Print?"),
    mark("Maintenance comes due in this print."),
    mark("Maintenance soon due."),
    mark("The print is not started: maintenance would come due in it."),
)


class Question:
    """One question. `ask` waits in the greenlet of the macro."""

    def __init__(
        self,
        printer: Printer,
        start: Start,
        dialogs: Dialogs,
        display: Display,
        texts: Sequence[str],
        seconds: float,
        words: Words = NOW,
    ) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._mutex = printer.lookup_object("gcode").get_mutex()
        self._say: Callable[[str], None] = printer.lookup_object("gcode").respond_info
        self._start, self._dialogs, self._display = start, dialogs, display
        self._texts, self._seconds, self._words = texts, seconds, words
        self._bell = self._reactor.completion()
        self._answer = ""
        self._ended = ""  # the reason why the question has ended
        self._without_mutex = False
        now = self._reactor.monotonic()
        self._deadline = now + seconds
        self._show_at: float | None = now + SHOWN_AFTER
        self._count_at = self._awake_at = now

    # Events from outside

    def answer(self, answer: str) -> None:
        self._answer = answer
        if answer == PRINT and self._start.paused():
            self._say(tr("The print is paused: it starts when it is resumed."))
        self._ring()

    def end(self, why: str) -> None:
        self._ended = self._ended or why
        self._ring()

    def hand_over(self) -> None:
        """End the question with the mutex of the command that restarts Klipper.

        That command has the mutex until Klipper ends. If the macro waited for it here,
        it would be ended in its middle, as a fault.
        """
        held = self._without_mutex = self._mutex.test()
        self.end(RESTARTS)
        until = self._reactor.monotonic() + HAND_OVER_WITHIN
        while self._mutex.test() or self._start.active():
            now = self._reactor.monotonic()
            if now >= until:
                return
            self._reactor.pause(now + 0.02)
        if held:
            self._mutex.lock()

    def _ring(self) -> None:
        self._bell.complete(True)

    # The macro's greenlet

    def ask(self) -> str:
        """Return why the start must end, as a marked text, or ""."""
        wait = tr("The print starts by itself in {seconds} s.", seconds=self._seconds)
        self._say("\n".join([tr(self._words.intro), *self._texts, wait]))
        self._start.hold()
        try:
            while True:
                self._wait_outside()
                ended = self._why_not()
                # Somebody may have paused the print during the wait for the mutex.
                if ended or not self._start.paused():
                    return ended
        finally:
            self._start.release()
            self._dialogs.close(KEY)
            self._display.clear()

    def _why_not(self) -> str:
        if self._answer == STOP:
            return self._words.stopped
        return self._ended or self._start.over()

    def _wait_outside(self) -> None:
        """Give the mutex back until the question is settled."""
        held = self._mutex.test()
        if held:
            self._mutex.unlock()
        try:
            while not self._is_settled(self._reactor.monotonic()):
                self._sleep()
        finally:
            if held and not self._without_mutex:
                self._mutex.lock()

    def _sleep(self) -> None:
        """Wait for an event, or until it is time to check the printer again."""
        bell = self._bell = self._reactor.completion()
        until = self._reactor.monotonic() + TICK
        if unharmed(lambda: bell.wait(until, False)) is None:
            # Klipper has ended, and so the mutex will never be free.
            self._ended, self._without_mutex = ENDS, True

    def _is_settled(self, now: float) -> bool:
        if self._why_not():
            return True
        if self._start.paused():
            # A paused printer may go idle like any other, since perhaps nobody is near.
            self._deadline = now + self._seconds
        elif self._answer or now >= self._deadline:
            return True
        else:
            self._keep_awake(now)
        self._show(now)
        return False

    # During the wait

    def _keep_awake(self, now: float) -> None:
        """Prevent the idle timeout from switching heaters and motors off."""
        if now < self._awake_at or self._mutex.test():
            return
        idle = self._printer.lookup_object("idle_timeout", None)
        timeout = getattr(idle, "idle_timeout", 0.0) or 3 * AWAKE_EVERY
        self._awake_at = now + min(AWAKE_EVERY, timeout / 3)
        with self._mutex:
            self._printer.lookup_object("toolhead").dwell(0.001)

    def _show(self, now: float) -> None:
        if self._show_at is not None and now >= self._show_at:
            self._show_at = None
            lines = prompts.question(
                tr(self._words.title), [*self._texts, self._rest(now)]
            )
            self._dialogs.show(KEY, lines, self._closed)
        if now >= self._count_at:
            self._count_at = now + COUNT_EVERY
            self._display.show(f"{tr(self._words.display)} {self._rest(now)}")

    def _rest(self, now: float) -> str:
        if self._start.paused():
            return tr("The print is paused.")
        left = round(max(0.0, self._deadline - now))
        return tr("The print starts in {seconds} s.", seconds=left)

    def _closed(self) -> None:
        """Show the dialog again, since it was closed by its X without an answer."""
        self._show_at = self._reactor.monotonic() + AGAIN_AFTER
