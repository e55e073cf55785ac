"""ZeroMQ's messages as frames, below the calls of pyzmq that check every argument."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from mktl_daemon.core.wire import Buffer

_NOBLOCK, _EVENTS = int(zmq.NOBLOCK), int(zmq.EVENTS)
_UNCOUNTED = 2**26  # bytes that a backlog may not have counted yet, of all its ways
ZERO_COPY = 32 * 1024  # bytes from which sending without a copy pays

# pyzmq's own methods below the ones that check every argument: a message of seven
# frames costs a fifth of what send_multipart and recv_multipart take for it.
send_frame: Callable[..., Any] = zmq.backend.Socket.send
_receive_frame: Callable[..., zmq.Frame] = zmq.backend.Socket.recv

SNDMORE = int(zmq.SNDMORE)


def receive(socket: zmq.Socket[bytes], flags: int = _NOBLOCK) -> list[zmq.Frame] | None:
    """Return the frames of the next message, or None if there is none.

    With no *flags* wait for it as long as the socket's RCVTIMEO allows.
    """
    try:
        frame = _receive_frame(socket, flags, False)
    except zmq.Again:
        return None
    frames = [frame]
    while frame.more:
        frame = _receive_frame(socket, _NOBLOCK, False)
        frames.append(frame)
    return frames


def receive_or_lose(
    socket: zmq.Socket[bytes], flags: int = _NOBLOCK
) -> list[zmq.Frame] | None:
    """Do as `receive` with an IMMEDIATE socket, whose connection may be lost meanwhile.

    ZeroMQ drops what waits when it learns of the loss. At every hundredth frame it
    looks for this news, and in the middle of a message it then aborts the process. So
    it is made to look before each message.
    """
    socket.get(_EVENTS)
    return receive(socket, flags)


def send(socket: zmq.Socket[bytes], frames: Sequence[Buffer]) -> None:
    """Send the frames of a message; zmq.Again where nobody is there to take it."""
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        flags = _NOBLOCK if index == last else _NOBLOCK | SNDMORE
        send_frame(socket, frame, flags, len(frame) < ZERO_COPY)


class Backlog:
    """Counts the bytes that were sent and have not left yet.

    What goes one way, to the same peers, leaves in order, so frames of one way may be
    counted together when they come to *stride* bytes: to follow each would take longer
    than to send it.
    """

    def __init__(self, limit: int, stride: int = 0) -> None:
        self._limit = limit
        self._stride = stride
        self._sent: deque[tuple[zmq.MessageTracker, int]] = deque()
        self.waiting = 0
        self._uncounted: dict[bytes, int] = {}  # by way
        self._all_uncounted = 0
        self._last: Buffer | None = None

    def has_room(self, size: int) -> bool:
        """Tell whether *size* bytes more may wait; always, if nothing else does."""
        while self._sent and self._sent[0][0].done:
            self.waiting -= self._sent.popleft()[1]
        if not self._sent:
            self._last = None
        return not self._sent or self.waiting + size <= self._limit

    def send(
        self, socket: zmq.Socket[bytes], frame: Buffer, size: int, way: bytes = b""
    ) -> None:
        """Send the last frame of a message that has *size* bytes.

        The socket's `copy_threshold` is 0. The bytes stay the sender's until they
        have left, so those that are sent again and again are there once.
        """
        if frame is self._last and len(frame) >= ZERO_COPY:
            send_frame(socket, frame, 0, False)
            return
        uncounted = self._uncounted.pop(way, 0)
        self._all_uncounted -= uncounted
        uncounted += size
        if uncounted < self._stride and self._all_uncounted + uncounted < _UNCOUNTED:
            self._uncounted[way] = uncounted
            self._all_uncounted += uncounted
            send_frame(socket, frame, 0, len(frame) < ZERO_COPY)
            return
        tracker = send_frame(socket, frame, 0, False, True)
        self._sent.append((tracker, uncounted))
        self.waiting += uncounted
        self._last = frame


def bind(
    socket: zmq.Socket[bytes], host: str, ports: tuple[int, int], avoid: set[int]
) -> tuple[int, str]:
    """Bind to the first free port from the first to the last of *ports*.

    Those in *avoid* come last. Return the port and the address it is bound to.
    ConnectionError: none is free; the socket is closed.
    """
    first, last = ports
    wanted = sorted(range(first, last + 1), key=lambda port: (port in avoid, port))
    for port in wanted:
        try:
            socket.bind(f"tcp://{host}:{port}")
        except zmq.ZMQError as error:
            if error.errno != errno.EADDRINUSE:
                socket.close()
                raise ConnectionError(
                    f"unable to bind to {host}:{port}: {error}"
                ) from error
            continue
        endpoint = bytes(socket.get(zmq.LAST_ENDPOINT)).decode().rstrip("\0")
        return port, endpoint.removeprefix("tcp://").rpartition(":")[0]
    socket.close()
    raise ConnectionError(f"no port from {first} to {last} is free on {host}")


def stay_alive(socket: zmq.Socket[bytes]) -> None:
    """Notice a peer that is gone without a word, and try to come back, for ever.

    The system asks whether the peer is there, and not ZeroMQ: its heartbeat ends a
    connection on which one large frame takes longer than the heartbeat's patience.
    """
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 5)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 2)
    socket.set(zmq.TCP_MAXRT, 15000)
    # The system would try for two minutes, with longer and longer pauses.
    socket.set(zmq.CONNECT_TIMEOUT, 3000)
    socket.set(zmq.RECONNECT_IVL, 100)
    socket.set(zmq.RECONNECT_IVL_MAX, 400)


def outlast(socket: zmq.Socket[bytes]) -> None:
    """Keep a client that is silent for minutes, and let one go that is so for an hour.

    Clients that do not ask whether the peer is there, as the reference's, would never
    learn that their connection was ended.
    """
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 600)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 300)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 10)
