"""Published values: a subscriber's end, and a publisher's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mktl_daemon.core import wire
from mktl_daemon.files import environment
from mktl_daemon.net import loop, pub, sub

from .message import Broadcast, payload_of

Callback = Callable[[Broadcast], Any]


class Client:
    """Hears what one address publishes; `client` returns the one of this process."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, int(port)

    def register(self, callback: Callback, topic: str | None = None) -> None:
        """Call *callback* with each `Broadcast` of a topic; None: of all of them."""
        name = b"" if topic is None else wire.topic(topic.rstrip("."))

        def receive(publication: wire.Publication) -> None:
            target = publication.topic.decode().rstrip(".")
            fields = payload_of(publication.payload, publication.bulk)
            callback(Broadcast("PUB", target, fields))

        sub.client(self.address, self.port).register(name, receive)

    def subscribe(self, topic: str) -> None:
        """Do nothing: to register is to subscribe."""


class Server:
    """Publishes; the values of a `Daemon` are published by its own."""

    def __init__(self, port: int | None = None, avoid: Iterable[int] = ()) -> None:
        self._pub = pub.Server(loop.shared(), environment.interface(), port, avoid)
        self.port = self._pub.port

    def publish(self, message: Broadcast) -> None:
        payload, bulk = message.content()
        with self._pub.lock:
            self._pub.send(wire.topic(message.target or ""), payload, bulk)

    def close(self) -> None:
        self._pub.close()


def client(address: str, port: int) -> Client:
    """Return a client of an address; all of one address share their connection."""
    return Client(address, port)
