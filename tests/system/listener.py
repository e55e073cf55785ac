"""An MQTT client that keeps every message and can wait for more."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.fakes.clients import end


class Message(NamedTuple):
    topic: str
    payload: bytes
    retained: bool

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Listener:
    """A client that subscribes to everything. Use it in a `with` statement."""

    def __init__(self, port: int) -> None:
        self._messages: list[Message] = []
        self._arrived: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda c, u, m: self._arrived.put(
            Message(m.topic, m.payload, m.retain)
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._port = port

    def __enter__(self) -> Listener:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(10), "no answer from the broker"
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.disconnect()
        end(self._client)

    @property
    def messages(self) -> list[Message]:
        """All messages so far, the oldest first."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._messages.append(self._arrived.get_nowait())
        return self._messages

    def publish(self, topic: str, payload: Any, retain: bool = False) -> None:
        if not isinstance(payload, (str, bytes)):
            payload = json.dumps(payload)
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def wait(
        self, what: Callable[[Message], Any], since: int = 0, timeout: float = 30.0
    ) -> Message:
        """Return the first message from number *since* on for which *what* is true."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self.messages[since:]:
                if what(message):
                    return message
            since = len(self._messages)
            left = deadline - time.monotonic()
            assert left > 0, f"not told within {timeout:.0f} s: {self.topics()}"
            with contextlib.suppress(queue.Empty):
                self._messages.append(self._arrived.get(timeout=left))

    def wait_for(
        self, ending: str, payload: bytes | None = None, since: int = 0
    ) -> Message:
        """Return the first message on a topic with that *ending*.

        If *payload* is given, the message has this payload.
        """
        return self.wait(
            lambda message: (
                message.topic.endswith(ending) and payload in (None, message.payload)
            ),
            since,
        )

    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]
