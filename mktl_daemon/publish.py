"""Published values: a daemon's PUB, a client's SUB."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import os
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from . import loop as _loop
from .addresses import PerAddress
from .errors import MalformedError
from .loop import SNDMORE, Backlog, Loop, bind, receive, send_frame
from .wire import VERSION, Buffer, Publication

FIRST_PORT, LAST_PORT = 10139, 13679  # from the protocol

_BURST = 1024  # messages before other sockets get their turn
# Values that may wait for one subscriber that does not keep up; it loses what is more.
_QUEUE = 100_000
_CALM = 0.0005  # seconds between values that come one by one
_REST = 0.002  # seconds between looks at values that are known already
_LARGE = 8192  # bytes from which to count a value costs no more than to send it
_WAITING = 2**30  # bytes of these that may wait, before who is slowest is cut off
_MOST = _WAITING + 2**29  # bytes that may wait at all
_STRIDE = 2**22  # bytes of one topic that are counted together
_PAUSE = 0.1  # seconds that it takes until what was cut off is freed

_DESCRIPTORS = Path("/proc/self/fd")  # on Linux; elsewhere nobody is cut off

_logger = logging.getLogger(__name__)

Receiver = Callable[[Publication], Any]  # False: this was known already


class Server:
    """A PUB. Whoever publishes holds `lock`, so no thread has to be waited for.

    A PUB is only ever written to and never waits: a subscriber that does not keep up
    loses values. Nothing else than this lock protects the socket.
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int | None = None,
        avoid: Iterable[int] = (),
        domain: str = "",
    ) -> None:
        self._backlog = Backlog(_MOST, _STRIDE)
        self._cut_at = 0.0
        self._held: list[tuple[bytes, bytes]] = []
        # It also joins a value with its publication: the last one that went out is
        # the one that a GET reads.
        self.lock = threading.Lock()
        self.socket: zmq.Socket[bytes] = loop.context.socket(zmq.PUB)
        self.socket.set(zmq.SNDHWM, _QUEUE)
        self.socket.copy_threshold = 0
        if domain:
            self.socket.set(zmq.ZAP_DOMAIN, domain.encode())
        # A subscriber that stands still is cut off, and what waits for it is freed.
        self.socket.set(zmq.HEARTBEAT_IVL, 5000)
        self.socket.set(zmq.HEARTBEAT_TIMEOUT, 15000)
        ports = (port, port) if port else (FIRST_PORT, LAST_PORT)
        self.port, self.host = bind(self.socket, host, ports, set(avoid))

    def send(self, topic: bytes, payload: bytes, bulk: Buffer | None) -> None:
        """Send a value to its subscribers; the caller holds `lock`."""
        if self._held:
            self._send_held()
        self._put(topic, payload, bulk)

    def hold(self, topic: bytes, payload: bytes, bulk: Buffer | None) -> None:
        """Do as `send`, but not before `release`; the caller holds `lock`.

        For values that somebody is told first by another way.
        """
        if bulk is None:
            self._held.append((topic, payload))
        else:
            self.send(topic, payload, bulk)

    def release(self) -> None:
        """Send what is held. For whoever held it, who must not hold `lock`."""
        if self._held:
            with self.lock:
                self._send_held()

    def _send_held(self) -> None:
        held, self._held = self._held, []
        for topic, payload in held:
            self._put(topic, payload, None)

    def _put(self, topic: bytes, payload: bytes, bulk: Buffer | None) -> None:
        socket = self.socket
        if socket.closed:
            return  # the daemon has ended, and a thread of its user has not
        size = len(payload) if bulk is None else len(payload) + len(bulk)
        if size >= _LARGE and not self._make_room(size):
            _logger.warning("%r is not published: values wait for subscribers", topic)
            return
        send_frame(socket, topic, SNDMORE)
        send_frame(socket, VERSION, SNDMORE)
        if bulk is not None:
            send_frame(socket, payload, SNDMORE)
        last = payload if bulk is None else bulk
        if size < _LARGE:
            send_frame(socket, last)
        else:
            self._backlog.send(socket, last, size, topic)

    def _make_room(self, size: int) -> bool:
        """Tell whether a large value may be sent.

        ZeroMQ counts what waits for a subscriber in messages, and bytes only all
        together: one that is slow would keep arrays from everybody.
        """
        if self._backlog.has_room(size) and self._backlog.waiting <= _WAITING:
            return True
        if time.monotonic() - self._cut_at > _PAUSE:
            self._cut_at = time.monotonic()
            _cut_off_the_slowest(self.port)
        return self._backlog.has_room(size)

    def close(self) -> None:
        with self.lock:
            self.socket.close(linger=200)


class Client:
    """A SUB: hands every publication to those who registered for its topic."""

    def __init__(self, host: str, port: int, loop: Loop | None = None) -> None:
        self.host, self.port = host, int(port)
        self._loop = loop or _loop.shared()
        self._receivers: dict[bytes, list[Receiver]] = {}
        self._losses: list[Callable[[], Any]] = []
        self._returns: list[Callable[[], Any]] = []
        self._read_at = 0.0
        self._resting: _loop.Timer | None = None
        self.socket = self._loop.run(self._connect)

    def register(self, topic: bytes, receiver: Receiver) -> None:
        """Call *receiver*, on the loop's thread, with all that is published on *topic*.

        The empty topic is all of them; one that ends in a dot, as ``upkeep.voron.``,
        and is no item's, is all that begins so.
        """
        self._loop.run(lambda: self._subscribe(topic, receiver))

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
            if not self._receivers:
                self._close()

        self._loop.run(close)

    def close(self) -> None:
        self._loop.run(self._close)

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._loop.context.socket(zmq.SUB)
        socket.set(zmq.RCVHWM, _QUEUE)
        socket.set(zmq.LINGER, 0)
        _loop.stay_alive(socket)
        socket.connect(f"tcp://{self.host}:{self.port}")
        self._loop.watch(socket, self._read)
        self._loop.follow(socket, lost=self._down, up=self._up)
        return socket

    def _close(self) -> None:
        if self.socket.closed:
            return
        if self._resting is not None:
            self._resting.cancel()
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
        receivers = self._receivers.setdefault(topic, [])
        if not receivers:
            self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        receivers.append(receiver)

    def _unsubscribe(self, topic: bytes, receiver: Receiver) -> None:
        receivers = self._receivers.get(topic, [])
        if receiver in receivers:
            receivers.remove(receiver)
            if not receivers:
                del self._receivers[topic]
                self.socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    def _read(self) -> None:
        before, self._read_at = self._read_at, time.monotonic()
        is_calm = self._read_at - before > _CALM
        known = False
        for _ in range(_BURST):
            frames = receive(self.socket)
            if frames is None:
                if known:
                    self._rest()
                return
            try:
                publication = _publication(frames)
            except MalformedError as error:
                _logger.warning("%s:%s publishes: %s", self.host, self.port, error)
                continue
            known = not self._hand_out(publication)
            if is_calm and self._loop.deferred:
                return  # rather call back than look for more

    def _rest(self) -> None:
        """Let values come that are known already, and read several at once.

        A thread of this process is setting items, one after the other: to read what
        comes of each at once would take the interpreter from it each time.
        """
        self._loop.unwatch(self.socket)
        self._resting = self._loop.later(_REST, self._read_on)

    def _read_on(self) -> None:
        self._resting = None
        self._loop.watch(self.socket, self._read)

    def _hand_out(self, publication: Publication) -> bool:
        """Return whether it was news to anybody."""
        is_news = False
        receivers = self._receivers.get(publication.topic)
        if receivers is None:
            receivers = self._by_prefix(publication.topic)
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


def _cut_off_the_slowest(port: int) -> None:
    """End the connection to a port of this process for which the system has most.

    Its subscriber may come back, and reads what it has missed.
    """
    waiting: dict[int, int] = {}
    for path in _DESCRIPTORS.glob("*"):
        with contextlib.suppress(OSError), _socket(int(path.name)) as each:
            if each.getsockname()[1] == port:
                unsent = fcntl.ioctl(each, termios.TIOCOUTQ, bytes(4))
                waiting[int.from_bytes(unsent, sys.byteorder)] = int(path.name)
    if not waiting:
        return
    with contextlib.suppress(OSError), _socket(waiting[max(waiting)]) as slowest:
        if slowest.getsockname()[1] == port:
            _logger.warning("%s does not keep up: cut off", slowest.getpeername())
            slowest.shutdown(socket.SHUT_RDWR)


def _socket(descriptor: int) -> socket.socket:
    """Return another handle of a connection. OSError: it is none by now."""
    copy = os.dup(descriptor)
    try:
        made = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    if made.family not in (socket.AF_INET, socket.AF_INET6):
        made.close()
        raise OSError("no connection to another machine")
    return made


def _starmap(act: Callable[..., Any], rows: Iterable[tuple[Any, ...]]) -> None:
    for row in rows:
        act(*row)


# This process's subscriber to a daemon; there is one for each address.
client = PerAddress(Client)
