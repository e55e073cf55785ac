"""Keeps messages from the reactor for the link's thread, and wakes that thread."""

from __future__ import annotations

import collections
import contextlib
import logging
import socket
from typing import Iterable, NamedTuple

MOST = 20_000  # messages that may wait for the thread; more would be a fault
KEPT = 256  # events and results that may wait for an absent broker


class Message(NamedTuple):
    topic: str
    payload: bytes
    retain: bool
    keep: bool
    connection: int


_RELEASE = ""  # stands for `release`, since no topic is empty


class Outbox:
    """Messages for the link's thread, and messages that wait for a broker."""

    def __init__(self) -> None:
        self._messages: collections.deque[Message] = collections.deque()
        self._kept: collections.deque[Message] = collections.deque()  # thread only
        self._bell, self.door = socket.socketpair()
        self._bell.setblocking(False)
        self.door.setblocking(False)

    # Any thread may call these.

    def put(self, message: Message) -> None:
        if len(self._messages) < MOST:
            self._messages.append(message)
            self.ring()

    def release(self, connection: int) -> None:
        """Let the kept messages follow, since the snapshot has been sent."""
        self._messages.append(Message(_RELEASE, b"", False, False, connection))
        self.ring()

    def ring(self) -> None:
        # A full socket has already woken the thread. If it is closed, it is too late.
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")

    def close(self) -> None:
        self._bell.close()
        self.door.close()

    # Only the link's thread calls these.

    def answer_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.door.recv(4096)

    def take(self, connection: int, released: bool) -> tuple[Message | None, bool]:
        """Return the next message for *connection*, and whether kept ones may go."""
        while self._messages:
            message = self._messages.popleft()
            if not message.keep and message.connection != connection:
                continue  # the message was for an earlier connection
            if message.topic == _RELEASE:
                released = True
                self._messages.extendleft(reversed(self._kept))
                self._kept.clear()
            elif message.keep and not released:
                self._keep(message)
            else:
                return message, released
        return None, released

    def keep(self, messages: Iterable[Message]) -> None:
        """Keep messages that the broker did not acknowledge, before the kept ones."""
        later = list(self._kept)
        self._kept.clear()
        for message in [*(each for each in messages if each.keep), *later]:
            self._keep(message)

    def _keep(self, message: Message) -> None:
        if len(self._kept) >= KEPT:
            lost = self._kept.popleft()
            logging.warning("maintain: no broker; dropped a message to %s", lost.topic)
        self._kept.append(message)
