"""Decides when all retained messages have arrived, and requests missing ones.

A mark that arrives is no proof. Some brokers drop parts of a large answer (mosquitto),
send retained messages after later messages (aedes, EMQX), or send none for wildcards
(RabbitMQ). So a printer is complete only when all tasks that its `info` names have
arrived. If anything is missing, everything is requested once more at QoS 0, for which
mosquitto has no queue that can be full. The messages that are still missing are
requested by their exact topics, in smaller and smaller portions, and again later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from mqtt_bridge.fleet.fleet import Fleet

logger = logging.getLogger(__name__)

QUIET = 0.5  # seconds without a retained message after a mark
PORTIONS = (400, 100, 25, 5)  # how many topics are requested at once
AGAIN = (30.0, 120.0, 600.0, 1800.0)  # seconds between requests for missing topics
NEW = 5.0  # seconds in which a new printer publishes all its messages
MOST_NAMED = 10  # printers that one log line names


class Connection(Protocol):
    """The link, as settling uses it."""

    @property
    def connected(self) -> bool: ...

    @property
    def wildcards(self) -> bool: ...

    @property
    def last_retained(self) -> float: ...

    @property
    def lost_marks(self) -> bool: ...

    def request(
        self, filters: Sequence[str], then: Callable[[], None], *, qos: int, keep: bool
    ) -> None: ...


class Settling:
    """Knows the missing topics. It is called in the bridge's turn. Times are monotonic.

    It calls *settled* once on each connection: when nothing is missing, or when the
    missing topics were requested in vain. *sweep* has filters that match all topics.
    """

    def __init__(
        self,
        fleet: Fleet,
        link: Connection,
        sweep: Sequence[str],
        settled: Callable[[], None],
    ) -> None:
        self._fleet = fleet
        self._sweep = list(sweep)
        self._swept = False  # whether everything was requested on this connection
        self._link = link
        self._settled = settled
        self.missing: dict[str, list[str]] = {}  # the missing topics, by printer
        self._check_at: float | None = None  # None: there is nothing to check
        self._first = False  # whether `settled` must still be called on this connection
        self._portions: list[list[str]] = []
        self._requested: list[str] = []  # the topics of the present request
        self._size = 0  # the index in PORTIONS
        self._count = 0  # how many topics were missing at the last check
        self._round = 0  # how often all missing topics were requested in vain
        self._infos = 0  # how many `info` had arrived at the last check

    def marked(self, now: float) -> None:
        """Begin to check, since the mark of a new connection has arrived."""
        self._first, self._round, self._size = True, 0, 0
        self._swept = not (self._sweep and self._link.wildcards)
        self._portions, self._requested = [], []
        self._count = -1
        self._check_at = now

    def lost(self) -> None:
        """Stop, since the connection is lost. The next connection begins again."""
        self._check_at = None

    def tick(self, now: float) -> None:
        """Check and request, if it is time. It is called when no state waits."""
        if self._check_at is None or not self._link.connected:
            return
        if self._infos != self._fleet.infos and not self._busy and not self._first:
            self._check_at = min(self._check_at, now + NEW)
            self._infos = self._fleet.infos
        if now < self._check_at:
            return
        quiet = now - self._link.last_retained > QUIET
        if self._requested:
            if not quiet and any(map(self._fleet.lacks, self._requested)):
                return
            self._requested = []
        elif self._first and not self._portions and not quiet:
            return
        self._go_on(now)

    @property
    def _busy(self) -> bool:
        return bool(self._portions or self._requested)

    def _go_on(self, now: float) -> None:
        if self._portions:
            self._request_next()
            return
        self.missing = self._fleet.missing()
        self._infos = self._fleet.infos
        topics = [topic for topics in self.missing.values() for topic in topics]
        if not self._swept and (topics or self._link.lost_marks):
            self._swept = True
            self._request([], self._sweep, qos=0)
            return
        if not topics:
            self._round = 0
            self._rest(now, AGAIN[-1])
            return
        if self._count >= 0 and len(topics) > self._count // 2:
            self._size += 1
        self._count = len(topics)
        if self._size >= len(PORTIONS):
            self._give_up(now)
            return
        size = PORTIONS[self._size]
        self._portions = [topics[at : at + size] for at in range(0, len(topics), size)]
        self._request_next()

    def _request_next(self) -> None:
        topics = self._portions.pop(0)
        self._request(topics, topics, qos=1)

    def _request(self, topics: list[str], filters: list[str], *, qos: int) -> None:
        """Request *filters*, and wait for the messages of *topics*."""
        self._check_at = None  # until the mark after the answer has arrived

        def arrived() -> None:
            if self._link.connected:
                self._requested = topics
                self._check_at = 0.0

        # Without wildcards, no other subscription has these topics.
        keep = not self._link.wildcards
        self._link.request(filters, arrived, qos=qos, keep=keep)

    def _give_up(self, now: float) -> None:
        if self._first or not self._round:
            names = sorted(self.missing)
            more = f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
            logger.warning(
                "%d topics of %d printers have not arrived, of %s%s: they are not "
                "retained, the broker drops them, or this user may not read them. They "
                "are requested again later; 'upkeep-bridge check' says more",
                self._count, len(names), ", ".join(names[:MOST_NAMED]), more,
            )  # fmt: skip
        self._rest(now, AGAIN[min(self._round, len(AGAIN) - 1)])
        self._round += 1

    def _rest(self, now: float, seconds: float) -> None:
        self._size, self._count = 0, -1
        self._check_at = now + seconds
        if self._first:
            self._first = False
            self._settled()
