"""One MQTT connection that tries what the bridge will need. `check` uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho

from mqtt_bridge.broker.client import plain_client
from mqtt_bridge.broker.subscriptions import groups
from mqtt_bridge.settings import Broker

QUIET = 0.5  # seconds without another retained message

# Why there is no connection, if the broker itself gives no reason.
SILENT = "it accepts connections and does not answer"
CLOSED = "it closes the connection without an answer"


class Probe:
    """A context with a connection. *within* is in seconds.

    `refused` is the reason why there is no connection, or "".
    """

    def __init__(self, broker: Broker, within: float) -> None:
        self._broker = broker
        self._within = within
        self._news = threading.Condition()
        self._granted: dict[int, Sequence[Any]] = {}
        self._count = 0  # the number of messages that arrived
        self.messages: dict[str, bytes] = {}  # the newest payloads, by topic
        self._outcome: str | None = None
        self.refused = ""
        client = self._client = plain_client(broker)
        client.on_connect = self._greeted
        client.on_disconnect = self._ended
        client.on_subscribe = self._subscribed
        client.on_message = self._received

    def __enter__(self) -> Probe:
        try:
            self._client.connect(self._broker.host, self._broker.port)
        except (OSError, ValueError) as error:
            self.refused = str(error)
            return self
        self._client.loop_start()
        answered = self._until(lambda: self._outcome is not None, self._within)
        self.refused = (self._outcome or "") if answered else SILENT
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, names: Sequence[str]) -> list[str]:
        """Subscribe to the topics *names*, and return those that the broker refuses.

        If it refuses none, that proves little: with mosquitto's acl_file everybody can
        subscribe, but the broker sends no messages.
        """
        return [refused for part in groups(names) for refused in self._subscribe(part)]

    def _subscribe(self, names: Sequence[str]) -> list[str]:
        _, mid = self._client.subscribe([(name, 1) for name in names])
        self._until(lambda: mid in self._granted, self._within)
        # Some brokers end the connection and send no answer.
        codes = self._granted.get(mid or 0)
        if codes is None:
            return list(names)
        return [
            name for name, code in zip(names, codes, strict=False) if code.is_failure
        ]

    def listen(self) -> dict[str, bytes]:
        """Wait until no more messages arrive, and return all that have arrived."""
        deadline = time.monotonic() + self._within
        before = -1
        while before != self._count and time.monotonic() < deadline:
            before = self._count
            self._until(lambda: self._count != before, QUIET)  # noqa: B023 - called here
        with self._news:
            return dict(self.messages)

    def echo(self, topic: str) -> bool:
        """Return whether the broker sends a message to *topic* back."""
        self.subscribe([topic])
        self._client.publish(topic, b"?", qos=1)
        return self._until(lambda: topic in self.messages, self._within)

    def retains(self, topic: str, wildcard: str) -> bool:
        """Return whether a retained message of *topic* is also sent for *wildcard*.

        It returns True if nothing is retained, since wildcards are then not the reason.
        """
        self._client.publish(topic, b"?", qos=1, retain=True)
        self.subscribe([wildcard])
        by_wildcard = self._until(lambda: topic in self.messages, QUIET)
        with self._news:
            self.messages.pop(topic, None)
        self.subscribe([topic])
        by_topic = self._until(lambda: topic in self.messages, QUIET)
        self._client.publish(topic, b"", qos=1, retain=True)
        return by_wildcard or not by_topic

    def _until(self, what: Callable[[], bool], within: float) -> bool:
        with self._news:
            return self._news.wait_for(what, within)

    # paho's thread calls these.

    def _greeted(self, _c: Any, _u: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._end(str(reason) if reason.is_failure else "")

    def _ended(self, *_arguments: Any) -> None:
        self._end(CLOSED)

    def _end(self, outcome: str) -> None:
        with self._news:
            if self._outcome is None:
                self._outcome = outcome
            self._news.notify_all()

    def _subscribed(self, _c: Any, _u: Any, mid: int, codes: Any, _more: Any) -> None:
        with self._news:
            self._granted[mid] = codes
            self._news.notify_all()

    def _received(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        with self._news:
            self.messages[message.topic] = bytes(message.payload)
            self._count += 1
            self._news.notify_all()
