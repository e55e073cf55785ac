"""Receives the printers' MQTT messages, and clears them from a broker at the end."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from mqtt_bridge import contract
from mqtt_bridge.contract import Event, State


class Address(NamedTuple):
    """A broker's address, from text like `mqtt://user:word@host:port`."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"{url!r} is no address like mqtt://host:port")
        tls = parts.scheme == "mqtts"
        user, password = (
            each and unquote(each) for each in (parts.username, parts.password)
        )
        port = parts.port or (8883 if tls else 1883)
        return cls(parts.hostname, port, user, password, tls)

    def client(self) -> mqtt.Client:
        """Return a client that is not connected yet."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(self.user, self.password)
        if self.tls:
            client.tls_set()
        return client


class Observer:
    """Subscribes to all printers' messages, and remembers the last of each topic."""

    def __init__(self, address: Address) -> None:
        self.states: dict[tuple[str, str], State] = {}  # by printer and task
        self.events: deque[tuple[str, Event]] = deque(maxlen=100)  # printer and event
        self.payloads: dict[str, bytes] = {}  # by topic
        self._client = address.client()
        self._client.on_connect = self._connected
        self._client.on_message = self._received
        self._client.connect(address.host, address.port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def clear(self, printer: str) -> None:
        """Clear a printer's retained messages. RuntimeError: there is no connection."""
        name = f"{contract.BASE}/{printer}/"
        # These are its own topics, and the discovery messages that name its topics.
        topics = [
            topic
            for topic, payload in self.payloads.items()
            if topic.startswith(name) or name.encode() in payload
        ]
        for topic in topics:
            self._client.publish(topic, qos=1, retain=True).wait_for_publish(10)

    # These run in paho's thread, which an exception would end without any message.

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(f"{contract.BASE}/#", 1), ("homeassistant/device/#", 1)])

    def _received(
        self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage
    ) -> None:
        self.payloads[message.topic] = payload = bytes(message.payload)
        try:
            topic = contract.Topic.parse(contract.BASE, message.topic)
            if topic.kind == "events":
                self.events.append((topic.printer, Event.decode(payload)))
            elif topic.kind == "task" and topic.task is not None:
                if payload:
                    self.states[topic.printer, topic.task] = State.decode(payload)
                else:
                    self.states.pop((topic.printer, topic.task), None)
        except contract.ContractError:
            pass  # bridges also publish below the base topic
