"""A daemon's PUB: the values that it publishes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Set
from typing import Any

import zmq

from mktl_daemon.core.wire import VERSION, Buffer

from .frames import SNDMORE, Backlog, bind, outlast, receive, send_frame
from .loop import Loop
from .slow_subscribers import SlowSubscribers
from .subscribed_keys import SubscribedKeys

FIRST_PORT, LAST_PORT = 10139, 13679  # from the protocol

# Values that may wait for one subscriber that does not keep up; it loses what is more.
_QUEUE = 100_000
_LARGE = 8192  # bytes from which to count a value costs no more than to send it
_WAITING = 2**30  # bytes of these that may wait, before who is slowest is cut off
_MOST = _WAITING + 2**29  # bytes that may wait at all
_STRIDE = 2**22  # bytes of one topic that are counted together
_PATIENCE = 1.0  # seconds that a publisher waits for room before values are lost
_STEP = 0.005  # seconds after which it is checked whether there is room
# As plain numbers: the sum of two enumerations would take as long as the call.
_EVENTS, _READABLE = int(zmq.EVENTS), int(zmq.POLLIN)
_SUBSCRIPTIONS = 10_000  # subscriptions that are read at once
_SENDS = 1024  # values between two readings: subscriptions that wait take memory

_logger = logging.getLogger(__name__)


class Server:
    """A PUB. Whoever publishes holds `lock`, so no thread has to be waited for.

    Sending never waits: a subscriber that does not keep up loses values. Nothing else
    than this lock protects the socket. It is an XPUB, which is the same for
    subscribers, and also tells what they subscribe to.
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int | None = None,
        avoid: Iterable[int] = (),
        domain: str = "",
    ) -> None:
        self.backlog = Backlog(_MOST, _STRIDE)
        self._full_since: float | None = None  # by the monotonic clock
        self._held: list[tuple[bytes, bytes]] = []
        # It also joins a value with its publication: the last one that went out is
        # the one that a GET reads.
        self.lock = threading.Lock()
        self.socket: zmq.Socket[bytes] = loop.context.socket(zmq.XPUB)
        self.socket.set(zmq.SNDHWM, _QUEUE)
        self.socket.copy_threshold = 0
        if domain:
            self.socket.set(zmq.ZAP_DOMAIN, domain.encode())
        outlast(self.socket)
        ports = (port, port) if port else (FIRST_PORT, LAST_PORT)
        self.port, self.host = bind(self.socket, host, ports, set(avoid))
        self._slow = SlowSubscribers(self.port)
        self._subscribed = SubscribedKeys()
        self._sends = 0

    def subscribed(self) -> Set[str] | None:
        """Return the first parts of all keys with subscribers; None: all keys may.

        A key may have no subscriber all the same. The caller holds `lock`.
        """
        if self.socket.closed:
            return frozenset()  # the daemon has ended, and a thread of its user has not
        for _ in range(_SUBSCRIPTIONS):
            events: Any = self.socket.get(_EVENTS)
            if not events & _READABLE:
                return self._subscribed.first_parts
            for frame in receive(self.socket) or ():
                self._subscribed.note(frame.bytes)
        return None  # there are more

    def send(self, topic: bytes, payload: bytes, bulk: Buffer | None) -> None:
        """Send a value to its subscribers; the caller holds `lock`."""
        if self._held:
            self.send_held()
        self.put(topic, payload, bulk)

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
                self.send_held()

    def send_held(self) -> None:
        """Send what is held; the caller holds `lock`."""
        held, self._held = self._held, []
        for topic, payload in held:
            self.put(topic, payload, None)

    def put(self, topic: bytes, payload: bytes, bulk: Buffer | None) -> None:
        """Do as `send`, but for what is held, which stays behind."""
        self._sends += 1
        if self._sends == _SENDS:
            self._sends = 0
            self.subscribed()
        socket = self.socket
        size = len(payload) if bulk is None else len(payload) + len(bulk)
        if size >= _LARGE and not self._make_room(size):
            _logger.warning("%r is not published: values wait for subscribers", topic)
            return
        try:
            send_frame(socket, topic, SNDMORE)
            send_frame(socket, VERSION, SNDMORE)
            if bulk is not None:
                send_frame(socket, payload, SNDMORE)
            last = payload if bulk is None else bulk
            if size < _LARGE:
                send_frame(socket, last)
            else:
                self.backlog.send(socket, last, size, topic)
        except zmq.ZMQError:
            if not socket.closed:
                raise
            # The daemon has ended, and a thread of its user has not.

    def _make_room(self, size: int) -> bool:
        """Tell whether a large value may be sent.

        ZeroMQ counts what waits for a subscriber in messages, and bytes only all
        together: one that is slow would keep arrays from everybody.
        """
        if self.backlog.has_room(size) and self.backlog.waiting <= _WAITING:
            self._slow.forget()
            self._full_since = None
            return True
        self._slow.relieve()
        while not self.backlog.has_room(size):
            now = time.monotonic()
            self._full_since = self._full_since or now
            if now - self._full_since > _PATIENCE:
                return False
            time.sleep(_STEP)
            self._slow.relieve()
        return True

    def close(self) -> None:
        with self.lock:
            self.socket.close(linger=200)
