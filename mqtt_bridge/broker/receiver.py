"""Sorts the broker's messages into the inbox."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.broker.marks import Marks
from mqtt_bridge.broker.packets import MAX_PAYLOAD, Publication
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.broker.subscriptions import MOMENTS
from mqtt_bridge.settings import Broker

logger = logging.getLogger(__name__)

MOST_NAMED = 1000  # topics with long messages that the log names
MOST_KNOWN = 1 << 20  # topics that are remembered, so that they are not sorted again


class Receiver:
    """Only the link's thread uses it. *owns* returns whether this bridge has a slug."""

    def __init__(
        self,
        broker: Broker,
        inbox: Inbox,
        owns: Callable[[str], bool],
        marks: Marks,
        mark: str,
        presence: Presence | None = None,
    ) -> None:
        """*mark* is the topic of the marks."""
        self._bases = tuple((f"{base}/", len(base) + 1) for base in broker.bases)
        self._inbox = inbox
        self._owns = owns
        self._marks = marks
        self._mark = mark
        self._presence = presence
        # The topics of this bridge's states. They are sorted only once, since their
        # kind never changes. The value is the topic itself, so that it is in memory
        # only once.
        self._states: dict[str, str] = {}
        self._named: set[str] = set()  # topics with too long messages
        self.dropped = 0  # the number of too long messages

    def receive(self, publication: Publication) -> None:
        topic, payload, retained = publication
        try:
            if retained:
                self._marks.last_retained = time.monotonic()
            known = self._states.get(topic)
            if known is not None and len(payload) <= MAX_PAYLOAD:
                self._inbox.state(known, payload, retained=retained)
            else:
                self._sort(topic, payload, retained)
        except Exception:
            logger.exception("a message was dropped")

    def drop(self, topic: str, size: int) -> None:
        """Count and log a message of *size* bytes that was too long to be kept."""
        self.dropped += 1
        if topic not in self._named and len(self._named) < MOST_NAMED:
            self._named.add(topic)
            logger.warning("%.200r: a message of %d bytes is dropped", topic, size)

    def _split(self, topic: str) -> tuple[str, str]:
        for base, length in self._bases:
            if topic.startswith(base):
                printer, _, rest = topic[length:].partition("/")
                return printer, rest
        return "", ""  # no printer has this name

    def _sort(self, topic: str, payload: bytes, retained: bool) -> None:
        printer, rest = self._split(topic)
        if topic == self._mark:
            then = self._marks.arrived(payload)
            if then is not None:
                then()
        elif self._presence is not None and topic == self._presence.other:
            self._presence.hear(payload, time.monotonic())
        elif len(payload) > MAX_PAYLOAD:
            self.drop(topic, len(payload))
        elif not printer or not self._owns(printer):
            # Some brokers (amqtt) send a new client what other clients subscribe to.
            return
        elif rest not in MOMENTS:
            self._remember(topic)
            self._inbox.state(topic, payload, retained=retained)
        elif not retained:
            self._inbox.message(topic, payload)

    def _remember(self, topic: str) -> None:
        if len(self._states) >= MOST_KNOWN:
            self._states.clear()
        self._states[topic] = topic
