"""A connection of one thread, which waits for its answers itself."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

import zmq

from mktl_daemon.core import wire
from mktl_daemon.core.packing import WANTED
from mktl_daemon.core.wire import GET, REP

from .ahead import Ahead
from .frames import receive, receive_or_lose, send
from .reach import AGAIN

ACK_TIMEOUT = 1.0  # seconds until a daemon that says nothing is not there
SWEEP = 0.1  # seconds between checks for late requests
_PLAIN = (b"", WANTED)  # payloads of a GET that is answered from memory
# Connections to a daemon that is far away, beside the first one. To make one and to be
# answered takes some ten packets, and one that is lost takes half a second or more.
RIVALS = 2


class Asker(Protocol):
    """Who waits for the answer to a request, and has something to do meanwhile."""

    def note_sent(self) -> None:
        """Take note that the request was sent; the daemon answers it now."""

    def note_unheard(self) -> None:
        """Take note that connecting, or the ACK, takes long. It may come twice."""


class Daemon(Protocol):
    """What a line asks of the client that has it."""

    losses: int
    early: bool | None
    patience: float

    def understood(self, frames: list[zmq.Frame]) -> wire.Answer | None: ...

    def connect(self) -> zmq.Socket[bytes]: ...

    def failure(self, request: wire.Request, acked: bool, when: str) -> Exception: ...


Read = Callable[[zmq.Socket[bytes], int], list[zmq.Frame] | None]


class _Rival:
    """A connection beside the first one of a line."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.requests: set[bytes] = set()  # the names of those that went out on it


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
        # Until there have been two answers: who asks what is new asks for it next.
        self._rivals: list[_Rival] = []
        self.is_used = False  # whether there has been an answer
        self._is_far = False
        self._ahead: Ahead | None = None
        self._read: Read = receive_or_lose
        self._in_both = b""  # the last request that was sent in both forms
        self._take(socket)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection now: an error's traceback may keep the line for long."""
        self._socket.close()
        self._drop_rivals()

    @property
    def closed(self) -> bool:
        return bool(self._socket.closed)

    def prepare_for_far(self, client: Daemon) -> None:
        """Begin more connections, and wait longer: the daemon is far away."""
        self._is_far = True
        while len(self._rivals) < RIVALS:
            self._begin_another(client)

    def _begin_another(self, client: Daemon) -> None:
        """Connect once more: where packets are lost, one of several is there early."""
        self._rivals.append(_Rival(client.connect()))

    def call(
        self,
        client: Daemon,
        request: wire.Request,
        timeout: float,
        asker: Asker | None = None,
        ahead: wire.Request | None = None,
    ) -> wire.Answer:
        """Send a request and return its answer.

        *ahead* is one that follows soon, on this line: where the daemon is far away it
        is sent at once.
        """
        losses = client.losses
        sent = self._ahead and self._take_ahead(request)
        if sent is None:
            self._send(client, request, asker)
        elif sent.answer is None:
            request = sent.request
        else:
            self._note_answer()
            return sent.answer
        if ahead is not None and self._is_far:
            self._send_ahead(ahead)
        is_ahead = sent is not None
        return self._wait(client, request, timeout, asker, losses, is_ahead)

    def _wait(
        self,
        client: Daemon,
        request: wire.Request,
        timeout: float,
        asker: Asker | None,
        losses: int,
        is_ahead: bool,
    ) -> wire.Answer:
        """Return the answer to what was sent, *is_ahead*: before it was wanted.

        *losses* were there before.
        """
        acked = False
        # A connection may take as long as an ACK does, where the network is slow.
        started = time.monotonic()
        deadline = started + min(self._patience(client, request), timeout)
        self._read = receive_or_lose
        while True:
            frames = self._receive(request, is_ahead)
            if frames is None:
                now = time.monotonic()
                if not acked and now >= started + ACK_TIMEOUT / 2:
                    _note_unheard(asker)
                    asker = None
                    request = self._in_both_forms(client, request)
                if now >= deadline:
                    raise client.failure(request, acked, "in time")
                if client.losses != losses and acked:
                    when = "before the connection was lost"
                    raise client.failure(request, acked, when)
                continue
            answer = client.understood(frames)
            if answer is None or answer.ident != request.ident:
                self._note_other(answer)
                continue
            if answer.kind == REP:
                self._note_answer()
                return answer
            acked, deadline = True, started + timeout
            self._read = receive  # the reply comes with the ACK, or is waited for

    def _patience(self, client: Daemon, request: wire.Request) -> float:
        """Return how many seconds the ACK may take.

        The first one of a daemon that is far away may take twice as long: what shows in
        which form it hears requests may be lost on the way.
        """
        is_first = client.early is None and request.kind == GET
        return 2 * ACK_TIMEOUT if is_first and self._is_far else client.patience

    def _send_ahead(self, request: wire.Request) -> None:
        with contextlib.suppress(zmq.Again):  # the connection is lost again
            send(self._socket, request.encode())
            self._ahead = Ahead(request)

    def _take_ahead(self, request: wire.Request) -> Ahead | None:
        """Return what was sent ahead, if it serves as *request*. It serves once."""
        sent = self._ahead
        is_same = sent is not None and sent.is_same(request)
        if is_same or request.kind != GET or not self._is_far:
            self._ahead = None  # it would be old
        return sent if is_same else None

    def _note_other(self, answer: wire.Answer | None) -> None:
        # An answer to a request of which nobody knows is late: its asker has given up.
        # More of them may wait.
        self._read = receive_or_lose
        if answer is not None and self._ahead is not None:
            self._ahead.note(answer)

    def _in_both_forms(self, client: Daemon, request: wire.Request) -> wire.Request:
        """Send a request also in the form of before June 2026, or in today's.

        Somebody may be there and not hear the other one. It is sent so once, and not if
        the form is known by now, or if it must not be carried out twice.
        """
        is_over = self._in_both == request.ident
        if client.early is not None or is_over or request.kind != GET:
            return request
        self._in_both = request.ident
        request = request._replace(early=not request.early)
        self._send(client, request)
        return request

    def _send(
        self, client: Daemon, request: wire.Request, asker: Asker | None = None
    ) -> None:
        frames = request.encode()
        try:
            send(self._socket, frames)
        except zmq.Again:
            if not self._is_connected(client, asker):
                raise client.failure(request, False, "in time") from None
            send(self._socket, frames)
        if asker is not None:
            asker.note_sent()

    def _is_connected(self, client: Daemon, asker: Asker | None) -> bool:
        """Wait until there is a connection, be it another one, but not for long."""
        first, early = self._socket, int(AGAIN * 1000)
        # Where a packet of one that is far away is lost, the system waits a second.
        patience = 2 * ACK_TIMEOUT if self._is_far else client.patience
        if not self._rivals and first.poll(early, zmq.POLLOUT):
            return True
        _note_unheard(asker)
        if not self._rivals:
            self._begin_another(client)
        waiting = zmq.Poller()
        waiting.register(first, zmq.POLLOUT)
        for rival in self._rivals:
            waiting.register(rival.socket, zmq.POLLOUT)
        ready = dict(waiting.poll(int(patience * 1000) - early))
        if ready and first not in ready:
            self._change(next(each for each in self._rivals if each.socket in ready))
        return bool(ready)

    def _receive(self, request: wire.Request, is_ahead: bool) -> list[zmq.Frame] | None:
        """Return what comes within a moment on any connection.

        Each of them is asked, where an answer from memory is wanted: nothing else may
        be carried out twice, but for what was sent ahead.
        """
        if not self._rivals:
            return self._read(self._socket, 0)
        if not is_ahead and (request.kind != GET or request.payload not in _PLAIN):
            self._drop_rivals()
            return None
        waiting = zmq.Poller()
        waiting.register(self._socket, zmq.POLLIN)
        for rival in self._rivals:
            is_new = not is_ahead and request.ident not in rival.requests
            wanted = zmq.POLLIN | zmq.POLLOUT if is_new else zmq.POLLIN
            waiting.register(rival.socket, wanted)
        ready = dict(waiting.poll(int(SWEEP * 1000)))
        for rival in self._rivals:
            events = ready.get(rival.socket, 0)
            if events & zmq.POLLOUT:
                self._ask(rival, request)
            if events & zmq.POLLIN and self._socket not in ready:
                self._change(rival)
                break
        return receive_or_lose(self._socket)

    def _ask(self, rival: _Rival, request: wire.Request) -> None:
        """Send a request on one more connection, with what was sent ahead of it.

        That may run a user's method, so it goes out on two connections and no more.
        """
        rival.requests.add(request.ident)
        with contextlib.suppress(zmq.Again):  # it is lost again
            send(rival.socket, request.encode())
            if self._ahead is not None and not self._ahead.is_twofold:
                self._ahead.is_twofold = True
                send(rival.socket, self._ahead.request.encode())

    def _note_answer(self) -> None:
        if self.is_used:
            self._drop_rivals()
            self._is_far = False  # it is known how long answers take
        self.is_used = True

    def _change(self, rival: _Rival) -> None:
        """Have another connection be the first one."""
        # What that was asked the first one was asked as well, or will be.
        first = self._socket
        self._take(rival.socket)
        rival.socket = first

    def _drop_rivals(self) -> None:
        while self._rivals:
            self._rivals.pop().socket.close()

    def _take(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._socket.set(zmq.RCVTIMEO, int(SWEEP * 1000))


def _note_unheard(asker: Asker | None) -> None:
    # Not "if asker": an item is false if its value is.
    if asker is not None:
        asker.note_unheard()
