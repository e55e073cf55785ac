"""The link's MQTT traffic with the broker, over all connections.

Only the link's thread calls its methods.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import paho.mqtt.client as paho

from mqtt_bridge.broker.client import Allowance
from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.broker.marks import Marks
from mqtt_bridge.broker.outbox import Outbox, Publisher
from mqtt_bridge.broker.packets import Publication
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.broker.receiver import Receiver
from mqtt_bridge.broker.subscriptions import Subscriptions, groups, purpose
from mqtt_bridge.settings import Broker

logger = logging.getLogger(__name__)

UNKNOWN = "Unspecified error"  # paho's text where the broker has given no reason


class Listener(Protocol):
    """The object that the link calls. None of its methods may raise.

    The link's thread calls `turn`. Calls of the other methods go to the inbox.
    """

    def turn(self) -> None:
        """Read a portion of the inbox."""

    def on_connected(self) -> None: ...

    def on_settled(self) -> None:
        """Note that most of the retained messages have arrived."""

    def on_lost(self, reason: str) -> None: ...


class Session:
    """Subscribes, publishes, sends marks, and sorts arriving messages."""

    def __init__(
        self,
        broker: Broker,
        inbox: Inbox,
        outbox: Outbox,
        printers: Sequence[str],
        owns: Callable[[str], bool],
        presence: Presence | None = None,
    ) -> None:
        self.listener: Listener  # set by the link's start
        self.connected = False
        self.connects = 0
        self.since = 0.0  # when the connection began (monotonic)
        self.reason = ""  # why there is no connection
        self.complaint = ""  # the reason that was logged last
        # A sentence for each feature that does not work with this broker.
        self.lacks: tuple[str, ...] = ()
        self.marks = Marks()
        self.publisher = Publisher(inbox)
        self._broker = broker
        self._inbox = inbox
        self._outbox = outbox
        self._mark = f"{broker.base}/_bridge/{uuid.uuid4().hex}"
        self._unmarked = False  # whether the log says that no mark comes back
        self._presence = presence
        own = [self._mark] if presence is None else [self._mark, presence.other]
        self.subscriptions = Subscriptions(broker.bases, printers, own)
        self.receiver = Receiver(broker, inbox, owns, self.marks, self._mark, presence)

    def begin(self, client: paho.Client) -> None:
        """Begin a new connection with *client*."""
        self.reason = ""
        self.marks.clear()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def end(self) -> None:
        """Note that the connection is lost, or that there was none."""
        self.connected = False
        subscribing = self.subscriptions.unanswered
        filters = self.subscriptions.cut()
        if filters:
            self._name_refused(filters, "ends the connection at")
        topic = self.publisher.end(blamed=not subscribing)
        if topic:
            logger.error(
                "%s ends the connection at a message to %s, so none is sent there for "
                "ten minutes. Give this user the right to write there",
                self._broker.address, topic,
            )  # fmt: skip

    def send(self, client: paho.Client) -> None:
        """Subscribe, and send the waiting messages that the broker allows now."""
        while self._outbox and self.publisher.has_room:
            self._outbox.pop()(client)
        while self.connected and (part := self.subscriptions.next()):
            _, mid = client.subscribe([(each, 1) for each in part])
            self.subscriptions.sent(mid or 0, part)

    def tick(self, now: float) -> None:
        """Send lost marks and the presence again. The link calls this regularly."""
        self._check_marks(now)
        payload = self._presence.say(now) if self._presence and self.connected else b""
        if payload:
            self._say(payload)

    def _say(self, payload: bytes) -> None:
        assert self._presence is not None  # noqa: S101 - the caller knows
        topic = self._presence.own
        self._outbox.append(
            lambda client: self.publisher.send(client, topic, payload, _ignore)
        )

    def request(
        self,
        client: paho.Client,
        filters: Sequence[str],
        then: Callable[[], None],
        *,
        qos: int,
        keep: bool,
    ) -> None:
        """Request retained messages again, as `Link.request` does."""
        for part in groups(self.subscriptions.requestable(filters)):
            _, mid = client.subscribe([(each, qos) for each in part])
            self.subscriptions.requested(mid or 0, part)

        stays = filters if keep else self.subscriptions.standing

        def finish() -> None:
            for part in groups([each for each in filters if each not in stays]):
                client.unsubscribe(list(part))
            self._inbox.call(then)

        self._send_mark(finish)

    # paho calls these on this thread, inside the guard of `Link._run`.

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self.reason = f"it refuses us: {reason}"
            client.disconnect()
            return
        self.since = time.monotonic()
        self._allowed(Allowance.of(properties))
        # These are of an earlier connection. The broker sends the availability again.
        self._inbox.forget("availability")
        if self.complaint:
            logger.warning("connected to %s again", self._broker.address)
        else:
            logger.info("connected to %s", self._broker.address)
        self.complaint = ""
        self.connected = True
        self.connects += 1
        self._inbox.call(self.listener.on_connected)
        self.subscriptions.begin(wildcards=self.publisher.allowance.wildcards)
        if not self.subscriptions.pending:
            self._subscribed()

    def _allowed(self, allowance: Allowance) -> None:
        """Obey the broker's limits, and log once which features do not work."""
        self.publisher.allowance = allowance
        before, self.lacks = self.lacks, tuple(allowance.lacks())
        for each in self.lacks:
            if each not in before:
                logger.warning("%s: %s", self._broker.address, each)

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, mid: int, reasons: Any, _props: Any
    ) -> None:
        pending = self.subscriptions.pending
        refused = self.subscriptions.answered(
            mid, [reason.is_failure for reason in reasons]
        )
        if refused:
            [why, *_] = [str(each) for each in reasons if each.is_failure]
            self._name_refused(refused, f"refuses ({why})")
        if pending and not self.subscriptions.pending:
            self._subscribed()

    def _subscribed(self) -> None:
        self._send_mark(lambda: self._inbox.call(self.listener.on_settled))

    def _name_refused(self, filters: Sequence[str], what: str) -> None:
        for each in filters:
            logger.error(
                "%s %s the subscription to %s, so the bridge does not get %s. Give "
                "this user the right to read this topic",
                self._broker.address, what, each, purpose(each),
            )  # fmt: skip

    def _on_message(
        self, _client: paho.Client, _data: Any, message: paho.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # the contract has no topic that is not UTF-8
        self.receiver.receive(
            Publication(topic, bytes(message.payload), message.retain)
        )

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _props: Any
    ) -> None:
        if not self.reason:
            self.reason = str(reason).replace(UNKNOWN, "it ended the connection")

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: Any, _properties: Any
    ) -> None:
        self.publisher.acknowledged(mid, reason)

    # Marks

    def _send_mark(self, then: Callable[[], None]) -> None:
        self._publish_mark(self.marks.open(then, time.monotonic()))

    def _publish_mark(self, payload: bytes) -> None:
        self._outbox.append(
            lambda client: self.publisher.send(client, self._mark, payload, _ignore)
        )

    def _check_marks(self, now: float) -> None:
        """Send lost marks again, or continue without if the broker sends none back."""
        if not self.marks or self._inbox.full:
            return
        missing = self.marks.missing(now)
        for payload in missing.again:
            self._publish_mark(payload)
        if missing.given_up and not self.marks.arrivals and not self._unmarked:
            self._unmarked = True
            logger.warning(
                "%s does not send back messages to %s/_bridge/. Give this user the "
                "right to write and to read there: otherwise the bridge cannot know "
                "when all retained messages have arrived",
                self._broker.address,
                self._broker.base,
            )
        for then in missing.given_up:
            then()


def _ignore(_reason: str) -> None:
    """Ignore the refusal of a mark. It does not arrive, and so it is given up later."""
