"""A client's SUB: the values that a daemon publishes."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import zmq

from mktl_daemon.core.errors import MalformedError
from mktl_daemon.core.wire import VERSION, Buffer, Publication

from . import loop as loops
from .addresses import PerAddress
from .frames import receive, stay_alive
from .loop import Loop

_BURST = 1024  # messages before other sockets get their turn
# Values that may wait to be read; what is more is lost.
_QUEUE = 100_000
_BESIDE = 1  # message that a thread reads which has sent a request
_CALM = 0.0005  # seconds between values that come one by one
REST = 0.002  # seconds after which values that are known already are read
_LONG_REST = 0.005  # the same while threads that send requests read them

_logger = logging.getLogger(__name__)

Receiver = Callable[[Publication], Any]  # False: this was known already


class Client:
    """A SUB: hands every publication to those who registered for its topic."""

    def __init__(self, host: str, port: int, loop: Loop | None = None) -> None:
        self.host, self.port = host, int(port)
        self._loop = loop or loops.shared()
        self._receivers: dict[bytes, list[Receiver]] = {}
        self._prefixes: list[tuple[bytes, Receiver]] = []
        self._losses: list[Callable[[], Any]] = []
        self._returns: list[Callable[[], Any]] = []
        self._read_at = 0.0
        # While there is one, the loop does not watch the socket, and any thread may
        # read it that has the lock.
        self._resting: loops.Timer | None = None
        self._using = threading.RLock()
        # Whether a thread has read known values since the rest began.
        self.is_read_beside = False
        self.socket = self._loop.run(self._connect)

    def register(self, topic: bytes, receiver: Receiver) -> None:
        """Call *receiver*, on the loop's thread, with all that is published on *topic*.

        The empty topic is all of them; one that ends in a dot, as ``upkeep.voron.``,
        and is no item's, is all that begins so.
        """
        self._loop.run(lambda: self._subscribe(topic, receiver))

    def register_prefix(self, prefix: bytes, receiver: Receiver) -> None:
        """Call *receiver* with all whose topic begins so, whoever else hears of it."""

        def register() -> None:
            with self._using:
                self.socket.setsockopt(zmq.SUBSCRIBE, prefix)
                self._prefixes.append((prefix, receiver))

        self._loop.run(register)

    def unregister_prefix(self, prefix: bytes, receiver: Receiver) -> None:
        def unregister() -> None:
            with self._using:
                if (prefix, receiver) in self._prefixes and not self.socket.closed:
                    self._prefixes.remove((prefix, receiver))
                    self.socket.setsockopt(zmq.UNSUBSCRIBE, prefix)

        self._loop.run(unregister)

    def unregister(self, topic: bytes, receiver: Receiver) -> None:
        self._loop.run(lambda: self._unsubscribe(topic, receiver))

    def register_many(self, rows: Iterable[tuple[bytes, Receiver]]) -> None:
        """Do as `register` for many rows of a topic and its receiver."""
        self._each(self._subscribe, rows)

    def unregister_many(self, rows: Iterable[tuple[bytes, Receiver]]) -> None:
        self._each(self._unsubscribe, rows)

    def on_loss(self, function: Callable[[], Any]) -> None:
        """Call *function*, on the loop's thread, when the connection is lost."""
        self._losses.append(function)

    def on_return(self, function: Callable[[], Any]) -> None:
        """Call *function*, on the loop's thread, whenever there is a connection anew.

        What was published before did not arrive.
        """
        self._returns.append(function)

    def close_unused(self) -> None:
        """Close, unless somebody is registered; a daemon that is gone stays away."""

        def close() -> None:
            if not self._receivers and not self._prefixes:
                self._close()

        self._loop.run(close)

    def close(self) -> None:
        self._loop.run(self._close)

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._loop.context.socket(zmq.SUB)
        socket.set(zmq.RCVHWM, _QUEUE)
        socket.set(zmq.LINGER, 0)
        stay_alive(socket)
        socket.connect(f"tcp://{self.host}:{self.port}")
        self._loop.watch(socket, self._read)
        self._loop.follow(socket, lost=self._down, up=self._up)
        return socket

    def _close(self) -> None:
        with self._using:
            if self.socket.closed:
                return
            if self._resting is not None:
                self._resting.cancel()
                self._resting = None
            self._loop.unfollow(self.socket)
            self._loop.unwatch(self.socket)
            self.socket.close()

    def _down(self) -> None:
        for function in self._losses:
            function()

    def _up(self) -> None:
        for function in self._returns:
            function()

    def _each(
        self,
        act: Callable[[bytes, Receiver], None],
        rows: Iterable[tuple[bytes, Receiver]],
    ) -> None:
        remaining = iter(rows)
        # A batch at a time: other sockets get their turn.
        while batch := list(itertools.islice(remaining, _BURST)):
            self._loop.run(partial(_starmap, act, batch))

    def _subscribe(self, topic: bytes, receiver: Receiver) -> None:
        with self._using:
            receivers = self._receivers.setdefault(topic, [])
            if not receivers:
                self.socket.setsockopt(zmq.SUBSCRIBE, topic)
            receivers.append(receiver)

    def _unsubscribe(self, topic: bytes, receiver: Receiver) -> None:
        with self._using:
            receivers = self._receivers.get(topic, [])
            if receiver in receivers:
                receivers.remove(receiver)
                if not receivers:
                    del self._receivers[topic]
                    self.socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    def read_beside(self) -> None:
        """Read what has come, in a thread that sends a request, if the loop rests.

        So the loop's thread does not take the interpreter from it.
        """
        if self._resting is None or not self._using.acquire(blocking=False):
            return
        try:
            if self._resting is not None:
                known = self._read_some(_BESIDE)
                # The loop reads what is news to somebody.
                self.is_read_beside = self.is_read_beside if known is None else known
        finally:
            self._using.release()

    def _read(self) -> None:
        with self._using:
            if self._read_some(_BURST):
                self.rest()

    def _read_some(self, most: int) -> bool | None:
        """Read what has come; return whether the last of it was known already.

        None: nothing has come. After a whole burst there may be more to read.
        """
        before, self._read_at = self._read_at, time.monotonic()
        is_calm = self._read_at - before > _CALM
        known = None
        for _ in range(most):
            frames = receive(self.socket)
            if frames is None:
                return known
            try:
                publication = _publication(frames)
            except MalformedError as error:
                _logger.warning("%s:%s publishes: %s", self.host, self.port, error)
                continue
            known = not self._hand_out(publication)
            if is_calm and self._loop.deferred:
                return False  # rather call back than look for more
        return known and most == _BESIDE

    def rest(self) -> None:
        """Let values come that are known already, and read several at once.

        A thread of this process is setting items, one after the other: to read what
        comes of each at once would take the interpreter from it each time.
        """
        self._loop.unwatch(self.socket)
        self.is_read_beside = False
        self._resting = self._loop.later(REST, self._read_on)

    def _read_on(self) -> None:
        with self._using:
            if self.socket.closed:
                return
            if self.is_read_beside:
                self.is_read_beside = False
                self._resting = self._loop.later(_LONG_REST, self._read_on)
                return
            self._resting = None
            self._loop.watch(self.socket, self._read)

    def _hand_out(self, publication: Publication) -> bool:
        """Return whether it was news to anybody."""
        is_news = False
        receivers = self._receivers.get(publication.topic)
        if receivers is None:
            receivers = self._by_prefix(publication.topic)
        if self._prefixes:
            receivers = receivers + [
                receiver
                for prefix, receiver in self._prefixes
                if publication.topic.startswith(prefix)
            ]
        for receiver in receivers:
            try:
                is_news = receiver(publication) is not False or is_news
            except BaseException:
                _logger.exception("dropped a value of %r", publication.topic)
        return is_news

    def _by_prefix(self, topic: bytes) -> list[Receiver]:
        return [
            receiver
            for prefix, receivers in self._receivers.items()
            if topic.startswith(prefix)
            for receiver in receivers
        ]


def _publication(frames: list[zmq.Frame]) -> Publication:
    if len(frames) == 3 and frames[1].bytes == VERSION:  # as nearly all are
        return Publication(frames[0].bytes, frames[2].bytes)
    parts: list[Buffer] = [frame.bytes for frame in frames[:3]]
    parts += [frame.buffer for frame in frames[3:]]
    return Publication.decode(parts)


def _starmap(act: Callable[..., Any], rows: Iterable[tuple[Any, ...]]) -> None:
    for row in rows:
        act(*row)


# This process's subscriber to a daemon; there is one for each address.
client = PerAddress(Client)
