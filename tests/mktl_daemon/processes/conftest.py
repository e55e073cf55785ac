"""Raw sockets to running programs: the client side uses none of our code."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

import pytest
import zmq

DEADLINE = 20.0  # seconds that a reply may take on a busy machine


class Answer(NamedTuple):
    """The messages that came back for one request."""

    kinds: list[bytes]
    payload: Any
    bulk: bytes | None
    frames: list[list[bytes]]

    @property
    def value(self) -> Any:
        return self.payload["value"]

    @property
    def error(self) -> Any:
        return self.payload.get("error")


class Peer:
    """A client's DEALER, which sends and receives raw frames."""

    def __init__(
        self, context: zmq.Context, port: int, identity: bytes, room: int
    ) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm, self.socket.rcvhwm = 0, room
        if identity:
            self.socket.identity = identity
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self._idents = (b"%08x" % number for number in itertools.count(0xF000))

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def receive(self, deadline: float = DEADLINE) -> list[bytes]:
        """Return the next message. Fail the test if there is none in time."""
        if not self.socket.poll(int(deadline * 1000)):
            pytest.fail(f"no message came within {deadline} s")
        return self.socket.recv_multipart()

    def request(
        self,
        kind: bytes,
        target: bytes | str,
        payload: Any = b"",
        *bulk: bytes,
        ident: bytes | None = None,
        flags: bytes = b"",
    ) -> bytes:
        """Send a request and return its identifier."""
        ident = next(self._idents) if ident is None else ident
        target = target.encode() if isinstance(target, str) else target
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send(b"a", ident, kind, target, flags, body, *bulk)
        return ident

    def ask(
        self, kind: bytes, target: bytes | str, *args: Any, **kwargs: Any
    ) -> Answer:
        """Send a request and return all messages until its REP."""
        ident = self.request(kind, target, *args, **kwargs)
        return self.answer(ident)

    def answer(self, ident: bytes) -> Answer:
        frames = []
        while not frames or frames[-1][2] != b"REP":
            message = self.receive()
            assert message[1] == ident, (
                f"the reply belongs to another request: {message}"
            )
            frames.append(message)
        last = frames[-1]
        return Answer(
            kinds=[each[2] for each in frames],
            payload=json.loads(last[5]) if last[5] else {},
            bulk=last[6] if len(last) > 6 else None,
            frames=frames,
        )

    def get(self, target: str, **fields: Any) -> Answer:
        return self.ask(b"GET", target, fields or b"")

    def set(self, target: str, value: Any, *bulk: bytes, **fields: Any) -> Answer:
        return self.ask(b"SET", target, {"value": value, **fields}, *bulk)

    def is_quiet(self, key: str = "pie.number") -> bool:
        """Return whether no message comes before the reply to one more request."""
        return self.get(key).kinds in ([b"ACK", b"REP"], [b"REP"])


class Listener:
    """A client's SUB."""

    def __init__(
        self, context: zmq.Context, port: int, topics: tuple[bytes, ...], room: int
    ) -> None:
        self.socket = context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvhwm = room
        for topic in topics:
            self.socket.subscribe(topic)
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    def receive(self, deadline: float = DEADLINE) -> list[bytes]:
        if not self.socket.poll(int(deadline * 1000)):
            pytest.fail(f"nothing was published within {deadline} s")
        return self.socket.recv_multipart()

    def values(self, count: int) -> list[Any]:
        return [json.loads(self.receive()[2])["value"] for _ in range(count)]

    def settle(self, change: Any) -> None:
        """Call *change* until a publication arrives: then the subscription is there."""
        for _ in range(200):
            change()
            if self.socket.poll(100):
                break
        else:
            pytest.fail("the subscription never arrived")
        while self.socket.poll(200):
            self.socket.recv_multipart()


class Wire:
    """Sockets that are closed at the end of a test."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self._made: list[Peer | Listener] = []

    def peer(self, running: Any, identity: bytes = b"", room: int = 0) -> Peer:
        """Connect a client with *room* for unread messages (0: without a limit)."""
        made = Peer(self.context, running.rep, identity, room)
        self._made.append(made)
        return made

    def listener(self, running: Any, *topics: bytes, room: int = 0) -> Listener:
        made = Listener(self.context, running.pub, topics, room)
        self._made.append(made)
        return made

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture
def wire():
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def peer(wire, oven):
    return wire.peer(oven)
