"""Messages: a type, a target and a payload; a request waits for its response."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from mktl_daemon.core import wire
from mktl_daemon.core.wire import NO_ACK, NO_REP, Buffer, Payload

__all__ = ["NO_ACK", "NO_REP", "Broadcast", "Message", "Payload", "Request"]

_numbers = itertools.count()


class Message:
    """What is sent and not answered: an ACK or a REP.

    :ivar type: ``ACK``, ``REP``, ``GET``, ``SET`` or ``PUB``
    :ivar target: the full key
    :ivar payload: a `Payload`, or None
    :ivar id: bytes that a response has in common with its request
    :ivar timestamp: when the message was made, in UNIX seconds
    """

    valid_types: ClassVar[set[str]] = {"ACK", "REP"}

    def __init__(
        self,
        type: str,  # noqa: A002 - the reference's name
        target: str | None = None,
        payload: Payload | None = None,
        id: bytes | None = None,  # noqa: A002
        flags: int | None = None,
    ) -> None:
        if type not in self.valid_types:
            raise ValueError(
                f"the type of a message must be one of {sorted(self.valid_types)}"
            )
        self.type = type
        self.target = target
        self.payload = payload
        self.id = id
        self.flags = flags
        self.timestamp = time.time()

    @property
    def ack(self) -> bool:
        """Whether the sender wants an ACK."""
        return not (self.flags or 0) & NO_ACK

    def __iter__(self) -> Iterator[Buffer]:
        """Yield the frames that travel."""
        return iter(self.frames())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.frames()!r})"

    def frames(self) -> list[Buffer]:
        request = wire.Request(
            self.id or b"",
            self.type.encode(),
            self.target or "",
            self.flags or 0,
            *self.content(),
        )
        return request.encode()

    def content(self) -> tuple[bytes, Buffer | None]:
        """Return the payload as bytes, and its bulk."""
        if self.payload is None:
            return b"", None
        return self.payload.encapsulate(), getattr(self.payload, "bulk", None)


class Broadcast(Message):
    """A published value."""

    valid_types: ClassVar[set[str]] = {"PUB"}

    def frames(self) -> list[Buffer]:
        payload, bulk = self.content()
        frames: list[Buffer] = [
            wire.topic(self.target or ""), wire.VERSION, payload,
        ]  # fmt: skip
        return frames if bulk is None else [*frames, bulk]


class Request(Message):
    """A GET or a SET, which waits for its response.

    :ivar response: the REP, a `Message`; None until it is there
    """

    valid_types: ClassVar[set[str]] = {"GET", "SET"}

    def __init__(
        self,
        type: str,  # noqa: A002
        target: str | None = None,
        payload: Payload | None = None,
        id: bytes | None = None,  # noqa: A002
        flags: int | None = None,
    ) -> None:
        if id is None:
            id = b"%08x" % (next(_numbers) & 0xFFFFFFFF)  # noqa: A001
        super().__init__(type, target, payload, id, flags)
        self.response: Message | None = None
        self.ack_event = threading.Event()
        self.rep_event = threading.Event()

    def complete(self, response: Message | None) -> None:
        """Let everybody go on who waits for the response."""
        self.response = response
        self.ack_event.set()
        self.rep_event.set()

    def poll(self) -> bool:
        """Tell whether the request is over."""
        return self.rep_event.is_set()

    def wait_ack(self, timeout: float | None) -> bool:
        """Tell whether the request was acknowledged within *timeout* seconds."""
        return self.ack_event.wait(timeout)

    def wait(self, timeout: float | None = 60) -> Message | None:
        """Return the response; None if there is none after *timeout* seconds."""
        self.rep_event.wait(timeout)
        return self.response


def payload_of(data: bytes, bulk: Buffer | None) -> Payload:
    """Return the fields of a message that came, and its bulk."""
    fields: dict[str, Any] = wire.fields(data)
    fields.pop("omit", None)
    if bulk is not None:
        fields["bulk"] = bulk
    return Payload(**fields)
