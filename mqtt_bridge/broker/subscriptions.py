"""Which topic filters a connection subscribes to, and which the broker refuses. Pure.

A SUBSCRIBE has at most eight filters, since AWS IoT Core allows no more. A refused
filter does no harm to the other filters. Some brokers end the connection instead of a
refusal. After two such ends, filters are subscribed to one by one, and the filter at
which the connection ends again is left out from then on. If the connection ends at a
later request for missing messages, that whole SUBSCRIBE is left out. After a few of
these, nothing is requested any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

STATES = ("availability", "info", "meters", "summary", "tasks/+")
# Messages of these levels are never retained, and none of them may be lost.
MOMENTS = ("results", "events")
MOST = 8  # filters in one SUBSCRIBE
CUTS = 2  # connections that ended at a SUBSCRIBE, until filters are sent one by one
MOST_LEFT_OUT = 3  # requests at which connections ended, until none is sent any more

PURPOSES = {
    "standby": "the state of its standby",
    "availability": "the state of the printers' connections",
    "info": "the list of printers",
    "meters": "the printers' meters",
    "summary": "the printers' summaries",
    "tasks/+": "the tasks' states",
    "results": "the results of commands",
    "events": "the events that it sends to people",
}


class Subscriptions:
    """The topic filters of one link, for all its connections."""

    def __init__(
        self, bases: Sequence[str], printers: Sequence[str], own: Sequence[str]
    ) -> None:
        """*printers* are slugs, or "+" for all; *own* are topics of bridges."""
        self._bases = tuple(bases)
        self._printers = tuple(printers)
        self._own = tuple(own)
        self._waiting: deque[tuple[str, ...]] = deque()
        self._sent: dict[int, tuple[str, ...]] = {}
        self._requested: dict[int, tuple[str, ...]] = {}
        self._cuts = self._request_cuts = self._requests_left_out = 0
        self.left_out: list[str] = []  # filters at which the broker ends connections
        self.refused: list[str] = []  # filters that it refuses on this connection

    @property
    def pending(self) -> bool:
        """Whether one of the connection's first SUBSCRIBEs has no answer yet."""
        return bool(self._waiting or self._sent)

    @property
    def unanswered(self) -> bool:
        """Whether any SUBSCRIBE has no answer yet."""
        return bool(self._sent or self._requested)

    def begin(self, *, wildcards: bool = True) -> None:
        """Begin to subscribe to all filters on a new connection.

        Without *wildcards* the broker accepts no filter with a "+".
        """
        self._sent.clear()
        self.refused = []
        size = 1 if self._cuts >= CUTS else MOST
        wanted = self.allowed(self.standing)
        if not wildcards:
            self.refused = [each for each in wanted if "+" in each]
            wanted = [each for each in wanted if "+" not in each]
        self._waiting = deque(groups(wanted, size))

    @property
    def standing(self) -> list[str]:
        """Return the filters that stay subscribed as long as a connection lasts."""
        # Events and results come first, since none may be lost after its state.
        return [
            *self.filters(self._printers, MOMENTS),
            *self._own,
            *self.filters(self._printers, STATES),
        ]

    def next(self) -> tuple[str, ...]:
        """Return the filters of the next SUBSCRIBE, or nothing if there is none now.

        After connections that ended at a SUBSCRIBE, each one waits for the last one.
        """
        if not self._waiting or (self._sent and self._cuts >= CUTS):
            return ()
        return self._waiting.popleft()

    def sent(self, mid: int, filters: tuple[str, ...]) -> None:
        self._sent[mid] = filters

    def allowed(self, filters: Sequence[str]) -> list[str]:
        """Return those of *filters* at which the broker does not end connections."""
        return [each for each in filters if each not in self.left_out]

    def requestable(self, filters: Sequence[str]) -> list[str]:
        """Return those of *filters* that may be requested once more."""
        given_up = self._requests_left_out >= MOST_LEFT_OUT
        return [] if given_up else self.allowed(filters)

    def requested(self, mid: int, filters: tuple[str, ...]) -> None:
        """Note a SUBSCRIBE that was sent to get the retained messages again."""
        self._requested[mid] = filters

    def answered(self, mid: int, failures: Sequence[bool]) -> list[str]:
        """Handle a SUBACK, and return the filters that it refuses."""
        if self._requested.pop(mid, None):
            self._request_cuts = 0
            return []  # the one that requested them logs the messages that are missing
        filters = self._sent.pop(mid, ())
        refused = [
            each for each, failed in zip(filters, failures, strict=False) if failed
        ]
        self.refused += refused
        if not self.pending:
            self._cuts = 0
        return refused

    def cut(self) -> list[str]:
        """Note the end of a connection; return the filters that are now left out."""
        sent, self._sent = list(self._sent.values()), {}
        requested, self._requested = list(self._requested.values()), {}
        self._waiting.clear()
        filters: tuple[str, ...] = ()
        if sent:
            self._cuts += 1
            if self._cuts > CUTS and len(sent[0]) == 1:
                filters = sent[0]
        elif requested:
            self._request_cuts += 1
            if self._request_cuts > CUTS:
                self._request_cuts = 0
                self._requests_left_out += 1
                filters = requested[0]
        new = [each for each in filters if each not in self.left_out]
        self.left_out += new
        return new

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
    """Return a text for the messages that the bridge gets only by *filter_*."""
    for kind, text in PURPOSES.items():
        if filter_.endswith(f"/{kind}"):
            return text
    if "/_bridge/" in filter_:
        return "the marks that show when all retained messages have arrived"
    return "the messages that had not arrived before"
