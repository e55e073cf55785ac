"""The present problems, for all places that show them. Pure.

Each part of the extra reports a problem under its own name, as a complete sentence, and
clears it when it works again. Only the reactor's thread uses this.
"""

from __future__ import annotations

# The parts that report a problem of the printer as a whole, in the order of the text.
COUNTING, STORE, BROKER = "counting", "store", "broker"
MOONRAKER, NAME = "moonraker", "name"
SOURCES = (COUNTING, MOONRAKER, STORE, BROKER, NAME)


class Problems:
    """The problems of the printer as a whole, by source, and those of its tasks."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._tasks: dict[str, str] = {}

    def report(self, source: str, text: str) -> None:
        """Keep *text*, a sentence, as the problem of *source*; "" clears it."""
        _keep(self._texts, source, text)

    def clear(self, source: str) -> None:
        """Forget the problem of *source*, which works again."""
        self.report(source, "")

    def report_task(self, task: str, text: str) -> None:
        """Keep why *task* (a slug) is not, or not fully, counted; "" clears it."""
        _keep(self._tasks, task, text)

    @property
    def texts(self) -> list[str]:
        """Return the sentences about the printer as a whole."""
        return [self._texts[source] for source in SOURCES if source in self._texts]

    @property
    def summary(self) -> str | None:
        """Return the problems of the printer as a whole as one text, or None."""
        return " ".join(self.texts) or None

    def task(self, task: str) -> str | None:
        """Return why *task* is not counted, or None if it is."""
        return self._tasks.get(task)


def _keep(texts: dict[str, str], name: str, text: str) -> None:
    if text:
        texts[name] = text
    else:
        texts.pop(name, None)
