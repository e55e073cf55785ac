"""What front-ends make of the lines of Klipper's console, by their own rules.

The rules are those of Mainsail 2.18, Fluidd 1.37, KlipperScreen of 2026 and OctoPrint
1.11.
"""

from __future__ import annotations

ACTION = "// action:"
LETTERS = 28  # letters of a title that Mainsail shows


class Screen:
    """Mainsail and Fluidd: a dialog stays open until a line closes it."""

    keeps_every_text = True

    def __init__(self):
        self.title = ""  # of the open dialog
        self.texts = []
        self.buttons = {}  # G-code by label
        self._next = None

    def receive(self, line):
        if not line.startswith(ACTION + "prompt_"):
            return
        word, _, rest = line[len(ACTION + "prompt_") :].partition(" ")
        getattr(self, f"_{word}", lambda rest: None)(rest)

    def press(self, label):
        """Return the G-code that the button sends."""
        return self.buttons[label]

    def _begin(self, title):
        self._next = (title, [], {})

    def _text(self, text):
        if not self.keeps_every_text:
            self._next[1].clear()
        self._next[1].append(text)

    def _button(self, rest):
        label, gcode, _ = rest.split("|")
        self._next[2][label] = gcode

    _footer_button = _button

    def _show(self, rest):
        self.title, self.texts, self.buttons = self._next

    def _end(self, rest):
        self.title, self.texts, self.buttons = "", [], {}


class KlipperScreen(Screen):
    """Keeps only the last text, and drops a dialog when a print begins."""

    keeps_every_text = False

    def _show(self, rest):
        if not self.title:  # An open dialog is not replaced: it has to be closed first.
            super()._show(rest)

    def prints(self):
        """The state of the printer has become `printing`."""
        self._end("")


class OctoPrint:
    """Cancels its job at a certain line, and stops the printer at an alarm."""

    def __init__(self):
        self.cancelled = False
        self.stopped = False

    def receive(self, line):
        self.cancelled |= line.startswith(ACTION + "cancel")
        self.stopped |= line.startswith("!!")
