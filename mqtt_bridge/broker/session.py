"""The link's MQTT traffic with the broker, over all connections.

Only the link's thread calls these methods.
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

UNKNOWN = "Unspecified error"  # what paho says where the broker has said nothing


class Listener(Protocol):
    """The object that the link calls. No method may raise.

    `turn` is called on the link's thread; the others are put into the inbox.
    """

    def turn(self) -> None:
        """Read a portion of the inbox."""

    def on_connected(self) -> None: ...

    def on_settled(self) -> None:
        """Most of what the broker retains has arrived."""

    def on_lost(self, reason: str) -> None: ...


class Session:
    """Subscribes, publishes, sends marks, and sorts what arrives."""

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
        self.complaint = ""  # the reason that the log tells
        self.lacks: tuple[str, ...] = ()  # sentences: what cannot work on this broker
        self.marks = Marks()
        self.publisher = Publisher(inbox)
        self._broker = broker
        self._inbox = inbox
        self._outbox = outbox
        self._mark = f"{broker.base}/_bridge/{uuid.uuid4().hex}"
        self._unmarked = False  # the log tells that marks do not come back
        self._presence = presence
        own = [self._mark] if presence is None else [self._mark, presence.other]
        self.subscriptions = Subscriptions(broker.bases, printers, own)
        self.receiver = Receiver(broker, inbox, owns, self.marks, self._mark, presence)

    def begin(self, client: paho.Client) -> None:
        """A new connection is tried with *client*."""
        self.reason = ""
        self.marks.clear()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def end(self) -> None:
        """The connection is lost, or there was none."""
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
        """Send the waiting messages, as far as the broker allows, and subscribe."""
        while self._outbox and self.publisher.has_room:
            self._outbox.pop()(client)
        while self.connected and (part := self.subscriptions.next()):
            _, mid = client.subscribe([(each, 1) for each in part])
            self.subscriptions.sent(mid or 0, part)

    def tick(self, now: float) -> None:
        """Send lost marks again, and our presence. To be called now and then."""
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
        """As `Link.request`."""
        for part in groups(self.subscriptions.requestable(filters)):
            _, mid = client.subscribe([(each, qos) for each in part])
            self.subscriptions.requested(mid or 0, part)

        stays = filters if keep else self.subscriptions.standing

        def finish() -> None:
            for part in groups([each for each in filters if each not in stays]):
                client.unsubscribe(list(part))
            self._inbox.call(then)

        self._send_mark(finish)

    # Paho's callbacks, on this thread: inside the guard of `Link._run`.

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self.reason = f"it refuses us: {reason}"
            client.disconnect()
            return
        self.since = time.monotonic()
        self._allowed(Allowance.of(properties))
        # Of an earlier connection: whether somebody is online is sent anew.
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
        """Obey the broker's limits, and log once what does not work then."""
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
            return  # no program that keeps to the contract has such a topic
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
        """Send lost marks again; go on without where the broker sends none back."""
        if not self.marks or self._inbox.full:
            return
        lapse = self.marks.lapsed(now)
        for payload in lapse.again:
            self._publish_mark(payload)
        if lapse.given_up and not self.marks.arrivals and not self._unmarked:
            self._unmarked = True
            logger.warning(
                "%s does not send back messages to %s/_bridge/. Give this user the "
                "right to write and to read there: otherwise the bridge cannot know "
                "when all retained messages have arrived",
                self._broker.address,
                self._broker.base,
            )
        for then in lapse.given_up:
            then()


def _ignore(_reason: str) -> None:
    """A mark that is refused does not arrive, and is given up."""
