"""A connection of one thread, which waits for its answers itself."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import zmq

from mktl_daemon.core import wire
from mktl_daemon.core.wire import GET, REP

from .frames import receive, send
from .reach import AGAIN

ACK_TIMEOUT = 1.0  # seconds until a daemon that says nothing is not there
SWEEP = 0.1  # seconds between checks for late requests


class Daemon(Protocol):
    """What a line asks of the client that has it."""

    losses: int
    early: bool | None

    def understood(self, frames: list[zmq.Frame]) -> wire.Answer | None: ...

    def connect(self) -> zmq.Socket[bytes]: ...

    def failure(self, request: wire.Request, acked: bool, when: str) -> Exception: ...


class Mine(threading.local):
    """What a client has for each of the threads that use it."""

    line: Line | None = None
    # Something of this thread went by way of the loop: what comes next must not
    # overtake it.
    is_behind = False


class Line:
    """A connection of one thread, which waits for its answers itself.

    Two changes of threads for a request, to the loop's and back, would take as long
    as the request.
    """

    # It does not hold on to its client, whose end is the end of all its lines.
    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._take(socket)

    def __del__(self) -> None:
        self._socket.close()

    def close(self) -> None:
        """Close the connection now: an error's traceback may keep the line for long."""
        self._socket.close()

    def call(
        self, client: Daemon, request: wire.Request, timeout: float
    ) -> wire.Answer:
        losses = client.losses
        acked = False
        self._send(client, request)
        # A connection may take as long as an ACK does, where the network is slow.
        started = time.monotonic()
        deadline = started + min(ACK_TIMEOUT, timeout)
        while True:
            frames = receive(self._socket, 0)
            if frames is None:
                if time.monotonic() >= deadline:
                    is_known = client.early is not None or request.early
                    if acked or is_known or request.kind != GET:
                        raise client.failure(request, acked, "in time")
                    # Somebody is there and does not hear us.
                    request = request._replace(early=True)
                    self._send(client, request)
                    deadline = time.monotonic() + min(ACK_TIMEOUT, timeout)
                if client.losses != losses and acked:
                    when = "before the connection was lost"
                    raise client.failure(request, acked, when)
                continue
            answer = client.understood(frames)
            if answer is None or answer.ident != request.ident:
                continue  # late: its asker has given up
            if answer.kind == REP:
                return answer
            acked, deadline = True, started + timeout

    def _send(self, client: Daemon, request: wire.Request) -> None:
        frames = request.encode()
        try:
            send(self._socket, frames)
        except zmq.Again:
            if not self._is_connected(client):
                raise client.failure(request, False, "in time") from None
            send(self._socket, frames)

    def _is_connected(self, client: Daemon) -> bool:
        """Wait until there is a connection, be it a second one, or for a second."""
        first, early = self._socket, int(AGAIN * 1000)
        if first.poll(early, zmq.POLLOUT):
            return True
        second = client.connect()
        waiting = zmq.Poller()
        waiting.register(first, zmq.POLLOUT)
        waiting.register(second, zmq.POLLOUT)
        ready = dict(waiting.poll(int(ACK_TIMEOUT * 1000) - early))
        if ready and first not in ready:
            self._take(second)
            second = first
        second.close()
        return bool(ready)

    def _take(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._socket.set(zmq.RCVTIMEO, int(SWEEP * 1000))
