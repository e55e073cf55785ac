"""What the printers say over MQTT, and how to leave no trace of it on a broker."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections import deque
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from mqtt_bridge import contract
from mqtt_bridge.contract import Event, State

DISCOVERY = "homeassistant"

logger = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where a broker is, as `mqtt://user:word@host:port` tells it."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"{url!r} is not like mqtt://host:port")
        tls = parts.scheme == "mqtts"
        return cls(
            parts.hostname,
            parts.port or (8883 if tls else 1883),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            tls,
        )

    def client(self) -> mqtt.Client:
        """A client that is not connected yet."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if self.user is not None:
            client.username_pw_set(self.user, self.password)
        if self.tls:
            client.tls_set()
        return client


class Observer:
    """Subscribes to everything below a base, and remembers the last of each."""

    def __init__(self, address: Address, base: str = contract.BASE) -> None:
        self.states: dict[tuple[str, str], State] = {}  # by printer and task
        self.online: dict[str, bool] = {}
        self.uuids: dict[str, str] = {}
        self.events: deque[tuple[str, Event]] = deque(maxlen=100)  # with the printer
        self._base = base
        self._client = address.client()
        self._client.on_connect = self._connected
        self._client.on_message = self._received
        self._client.connect(address.host, address.port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # paho's thread. What escapes from here would end it without a word.

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{self._base}/#", qos=1)

    def _received(
        self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage
    ) -> None:
        try:
            topic = contract.Topic.parse(self._base, message.topic)
        except contract.ContractError:
            return  # bridges talk below the base, too
        try:
            self._take(topic, bytes(message.payload))
        except Exception:
            logger.exception("mqtt: %s is not understood", message.topic)

    def _take(self, topic: contract.Topic, payload: bytes) -> None:
        if topic.kind == "task" and topic.task is not None:
            name = (topic.printer, topic.task)
            if payload:
                self.states[name] = State.decode(payload)
            else:
                self.states.pop(name, None)
        elif topic.kind == "events":
            self.events.append((topic.printer, Event.decode(payload)))
        elif topic.kind == "availability":
            self.online[topic.printer] = payload == b"online"
        elif topic.kind == "info" and payload:
            self.uuids[topic.printer] = contract.Info.decode(payload).uuid


def clear(address: Address, printer: str, uuid: str) -> int:
    """Clear what is retained of a printer on a broker. Returns how much there was."""
    topics: set[str] = set()
    subscribed = threading.Event()
    marker = f"{contract.BASE}/{printer}/cleared"

    def received(client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == marker:
            # Sent after the subscription: all that is retained has come before it.
            subscribed.set()
        elif message.retain and is_ours(message.topic, bytes(message.payload)):
            topics.add(message.topic)

    def is_ours(topic: str, payload: bytes) -> bool:
        return topic.startswith(f"{contract.BASE}/{printer}/") or (
            uuid.encode() in payload
        )

    def subscribe(*_: Any) -> None:
        mine, discovery = f"{contract.BASE}/{printer}/#", f"{DISCOVERY}/device/#"
        client.subscribe([(discovery, 1), (mine, 1)])

    def mark(*_: Any) -> None:
        client.publish(marker, b"", qos=1)

    client = address.client()
    client.on_message = received
    client.on_connect, client.on_subscribe = subscribe, mark
    client.connect(address.host, address.port)
    client.loop_start()
    subscribed.wait(10)
    for topic in topics:
        client.publish(topic, b"", qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
    return len(topics)


def main() -> int:
    """`python -m demo.observer HOST:PORT`: print what is published, until Ctrl-C."""

    def connected(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{contract.BASE}/#", qos=1)

    def received(client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        print(message.topic, message.payload.decode(errors="replace"), flush=True)

    address = Address.parse(sys.argv[1])
    client = address.client()
    client.on_connect = connected
    client.on_message = received
    client.connect(address.host, address.port)
    with contextlib.suppress(KeyboardInterrupt):
        client.loop_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
