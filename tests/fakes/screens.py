"""What front-ends make of the lines of Klipper's console, by their own rules.

As seen of Mainsail 2.18, Fluidd 1.37, KlipperScreen of 2026 and OctoPrint 1.11.
"""

from __future__ import annotations

ACTION = "// action:"
LETTERS = 28  # of a title that Mainsail shows


class Screen:
    """Mainsail and Fluidd: a dialog stands until somebody says that it has ended."""

    keeps_every_text = True

    def __init__(self):
        self.title = ""  # of the dialog that stands
        self.texts = []
        self.buttons = {}  # G-code by label
        self._next = None

    def hear(self, line):
        if not line.startswith(ACTION + "prompt_"):
            return
        word, _, rest = line[len(ACTION + "prompt_") :].partition(" ")
        getattr(self, f"_{word}", lambda rest: None)(rest)

    def press(self, label):
        """The G-code that the button sends."""
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
    """Keeps the last text alone, and drops a dialog as a print begins."""

    keeps_every_text = False

    def _show(self, rest):
        if not self.title:  # a dialog that stands is not replaced: it has to end
            super()._show(rest)

    def prints(self):
        """The printer's state became `printing`."""
        self._end("")


class OctoPrint:
    """Cancels its job at a word, and stops the printer at an alarm."""

    def __init__(self):
        self.cancelled = False
        self.stopped = False

    def hear(self, line):
        self.cancelled |= line.startswith(ACTION + "cancel")
        self.stopped |= line.startswith("!!")
