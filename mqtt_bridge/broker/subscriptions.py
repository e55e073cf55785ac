"""Which topic filters a connection subscribes to, and which the broker refuses. Pure.

A SUBSCRIBE has at most eight filters, as AWS IoT Core allows. A filter that is refused
costs only what it was for. Some brokers end the connection instead of refusing: after
that has happened twice, filters are subscribed to one by one, and the one at which the
connection ends again is left out from then on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

STATES = ("availability", "info", "meters", "summary", "tasks/+")
MOMENTS = ("results", "events")  # never retained, none may be lost
MOST = 8  # filters in one SUBSCRIBE
CUTS = 2  # connections that ended during a SUBSCRIBE until filters go one by one

PURPOSES = {
    "availability": "whether printers are online",
    "info": "which printers there are",
    "meters": "the printers' meters",
    "summary": "the printers' summaries",
    "tasks/+": "the tasks' states",
    "results": "what became of commands",
    "events": "what happens, which messages to people need",
}


class Subscriptions:
    """The filters of one link, over all its connections."""

    def __init__(
        self, bases: Sequence[str], printers: Sequence[str], mark: str
    ) -> None:
        """*printers* are slugs, or "+" for all; *mark* is the topic of the marks."""
        self._bases = tuple(bases)
        self._printers = tuple(printers)
        self._mark = mark
        self._waiting: deque[tuple[str, ...]] = deque()
        self._sent: dict[int, tuple[str, ...]] = {}
        self._cuts = 0
        self.left_out: list[str] = []  # filters at which the broker ends connections
        self.refused: list[str] = []  # filters that it refuses, on this connection

    @property
    def pending(self) -> bool:
        """Whether a SUBSCRIBE of the beginning has no answer yet."""
        return bool(self._waiting or self._sent)

    def begin(self, *, wildcards: bool = True) -> None:
        """A connection is there: all filters are to be subscribed to.

        Without *wildcards* the broker takes no filter with a "+".
        """
        self._sent.clear()
        self.refused = []
        size = 1 if self._cuts >= CUTS else MOST
        wanted = [each for each in self.standing if each not in self.left_out]
        if not wildcards:
            self.refused = [each for each in wanted if "+" in each]
            wanted = [each for each in wanted if "+" not in each]
        self._waiting = deque(groups(wanted, size))

    @property
    def standing(self) -> list[str]:
        """What is subscribed to for as long as a connection lasts."""
        # Events and results first: none may be lost between a state and its event.
        return [
            *self.filters(self._printers, MOMENTS),
            self._mark,
            *self.filters(self._printers, STATES),
        ]

    def next(self) -> tuple[str, ...]:
        """Return the filters of the next SUBSCRIBE; empty: there is none now.

        After connections that ended in between each waits for the one before it.
        """
        if not self._waiting or (self._sent and self._cuts >= CUTS):
            return ()
        return self._waiting.popleft()

    def sent(self, mid: int, filters: tuple[str, ...]) -> None:
        self._sent[mid] = filters

    def answered(self, mid: int, failures: Sequence[bool]) -> list[str]:
        """Take a SUBACK; return the filters of it that are refused."""
        filters = self._sent.pop(mid, ())
        refused = [
            each for each, failed in zip(filters, failures, strict=False) if failed
        ]
        self.refused += refused
        if not self.pending:
            self._cuts = 0
        return refused

    def cut(self) -> str:
        """The connection ended. Return the filter that is left out now, or ""."""
        unanswered, self._sent = list(self._sent.values()), {}
        self._waiting.clear()
        if not unanswered:
            return ""
        self._cuts += 1
        if self._cuts <= CUTS or len(unanswered[0]) != 1:
            return ""
        [filter_] = unanswered[0]
        self.left_out.append(filter_)
        return filter_

    def filters(self, printers: Iterable[str], kinds: Iterable[str]) -> list[str]:
        printers = tuple(printers)
        return [
            f"{base}/{printer}/{kind}"
            for kind in kinds
            for base in self._bases
            for printer in printers
        ]


def groups(filters: Sequence[str], size: int = MOST) -> list[tuple[str, ...]]:
    return [tuple(filters[at : at + size]) for at in range(0, len(filters), size)]


def purpose(filter_: str) -> str:
    """Say what the bridge does not get without *filter_*."""
    for kind, text in PURPOSES.items():
        if filter_.endswith(f"/{kind}"):
            return text
    return "the marks that tell when everything retained has arrived"
