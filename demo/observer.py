"""Reads the printers' MQTT messages, and clears them from a broker at the end."""

from __future__ import annotations

import logging
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
    """Subscribes to what printers publish, and remembers the last of each."""

    def __init__(self, address: Address, base: str = contract.BASE) -> None:
        self.states: dict[tuple[str, str], State] = {}  # by printer and task
        self.online: dict[str, bool] = {}
        self.uuids: dict[str, str] = {}
        self.events: deque[tuple[str, Event]] = deque(maxlen=100)  # with the printer
        self.payloads: dict[str, bytes] = {}  # by topic
        self._base = base
        self._client = address.client()
        self._client.on_connect = self._connected
        self._client.on_message = self._received
        self._client.connect(address.host, address.port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def clear(self, printer: str, uuid: str) -> int:
        """Clear what is retained of a printer. Returns how much there was.

        RuntimeError: there is no connection.
        """
        topics = [
            topic
            for topic, payload in self.payloads.items()
            if topic.startswith(f"{self._base}/{printer}/") or uuid.encode() in payload
        ]
        for topic in topics:
            self._client.publish(topic, qos=1, retain=True).wait_for_publish(10)
        return len(topics)

    # paho's thread. An exception here would end it without any message.

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(f"{self._base}/#", 1), (f"{DISCOVERY}/device/#", 1)])

    def _received(
        self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage
    ) -> None:
        self.payloads[message.topic] = bytes(message.payload)
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
