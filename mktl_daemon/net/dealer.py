"""A client's requests: any number in flight, from any thread."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from mktl_daemon.core import wire
from mktl_daemon.core.errors import MalformedError, NoAckError, NoReplyError
from mktl_daemon.core.exchange import Exchange, Late
from mktl_daemon.core.wire import ACK, GET, NO_REP, REP, VERSION, Buffer

from . import loop as loops
from .addresses import PerAddress
from .frames import receive_or_lose, send, stay_alive
from .line import ACK_TIMEOUT, SWEEP, Asker, Line, Mine
from .loop import Loop
from .pending import Pending, checked
from .spares import spares

TIMEOUT = 120.0  # seconds until an acknowledged request is given up

_BURST = 256  # messages before other sockets get their turn

_logger = logging.getLogger(__name__)


class Client:
    """A DEALER: any number of requests in flight, from any thread."""

    # Of all clients: a late answer on a connection that one client has left to another
    # is not that other's.
    _names = itertools.count()

    def __init__(self, host: str, port: int, loop: Loop | None = None) -> None:
        self.host, self.port = host, int(port)
        self._loop = loop or loops.shared()
        self._exchange: Exchange[Pending] = Exchange(ACK_TIMEOUT)
        self._outbox: deque[Pending] = deque()
        self._flushing = False
        self._unsent: deque[Pending] = deque()  # until there is a connection
        self._sweeping = False
        self._mine = Mine()
        self.is_far = False  # as `prepare_for_far` says
        self._is_untold = False  # something was sent for which there is no answer
        self.patience = ACK_TIMEOUT  # seconds for an ACK of a daemon that is near
        self.losses = 0  # how often the connection was lost
        # Whether the other side is of before June 2026; None until it has answered on
        # this connection: after that another one may be there.
        self.early: bool | None = None
        self._was_early = False  # the last one that answered
        self.socket = self._loop.run(self._connect)

    def ask(
        self,
        kind: bytes,
        target: str,
        payload: bytes = b"",
        bulk: Buffer | None = None,
        flags: int = 0,
        timeout: float = TIMEOUT,
        then: Callable[[Pending], Any] | None = None,
    ) -> Pending:
        """Send a request and return at once.

        When it is over *then* is called with it, on the loop's thread.
        """
        request = self._request(kind, target, payload, bulk, flags)
        pending = Pending(request, f"{self.host}:{self.port}", timeout, then)
        self._mine.is_behind = True
        self._is_untold = self._is_untold or bool(flags & NO_REP)
        if self._loop.closing:
            pending.settle(None, self.failure(request, False, "in time"))
            return pending
        self._outbox.append(pending)
        if not self._flushing:
            self._flushing = True
            self._loop.call(self._flush)
        return pending

    def call(
        self,
        kind: bytes,
        target: str,
        payload: bytes = b"",
        bulk: Buffer | None = None,
        timeout: float = TIMEOUT,
        asker: Asker | None = None,
        ahead: str = "",
    ) -> wire.Answer:
        """Send a request and wait for its answer.

        *asker* is told meanwhile how far the request is. *ahead* is an item that is
        read next, also by another client that takes over the connection.

        TimeoutError: nobody is there, or nobody answers in time. RemoteError: the
        daemon refused. What a thread asks arrives in the order in which it asked.
        """
        mine = self._mine
        if mine.is_behind or self._loop.is_here():
            answer = self.ask(kind, target, payload, bulk, 0, timeout).answered()
            mine.is_behind = False
            return answer
        self._loop.step_aside()
        line = mine.line or self._begin_line()
        request = self._request(kind, target, payload, bulk)
        if self.early is None and kind != GET:
            request = self._introduced(line, request, asker)
        # It reads an item for the first time.
        following = self._request(GET, ahead, wire.REFRESH) if ahead else None
        return checked(request, line.call(self, request, timeout, asker, following))

    def prepare(self) -> bool:
        """Begin the connection that this thread's next `call` uses.

        Tell whether somebody left one that is made.
        """
        return self._mine.line is None and self._begin_line().is_used

    def prepare_for_far(self) -> None:
        """Begin more of them: the daemon is far away, or a packet was lost.

        When this client is closed its connection is left to others.
        """
        line = self._mine.line or self._begin_line()
        line.prepare_for_far(self)
        if not self.is_far:
            self.is_far = True
            spares.expect((self.host, self.port))

    def _begin_line(self) -> Line:
        spare = spares.take((self.host, self.port))
        if spare is None:
            line = Line(self.connect())
        else:
            line = spare.line
            self.early = spare.early if self.early is None else self.early
            self._was_early = bool(self.early)
        self._mine.line = line
        return line

    def _request(
        self,
        kind: bytes,
        target: str,
        payload: bytes = b"",
        bulk: Buffer | None = None,
        flags: int = 0,
    ) -> wire.Request:
        """Return a new request, in the form that the daemon hears, or heard."""
        ident = b"%08x" % (next(self._names) & 0xFFFFFFFF)
        early = self._was_early
        return wire.Request(ident, kind, target, flags, payload, bulk, early)

    def _introduced(
        self, line: Line, request: wire.Request, asker: Asker | None
    ) -> wire.Request:
        """Return a SET, which is never sent twice, in the form that is heard.

        A GET finds out which one that is.
        """
        with contextlib.suppress(NoAckError, NoReplyError):  # an ACK tells as much
            line.call(self, self._request(GET, "_hash"), 2 * ACK_TIMEOUT, asker)
        if self.early is None:
            raise self.failure(request, False, "in time")
        return request._replace(early=bool(self.early))

    def see_through(self) -> Pending | None:
        """Return what is acknowledged after all that was sent without an answer."""
        if not self._is_untold or self.socket.closed:
            return None
        return self.ask(GET, "_hash", timeout=ACK_TIMEOUT)

    def get(self, target: str, timeout: float = TIMEOUT, **fields: Any) -> Any:
        """GET *target* and return the value of the answer."""
        payload = wire.dumps(fields) if fields else b""
        answer = self.call(GET, target, payload, timeout=timeout)
        return wire.fields(answer.payload).get("value")

    def close(self) -> None:
        line, self._mine.line = self._mine.line, None
        is_of_use = line is not None and line.is_used
        if self.is_far:
            spare = line if is_of_use else None
            spares.settle((self.host, self.port), spare, self.early)
        if line is not None and not (self.is_far and is_of_use):
            line.close()
        self._loop.run(self._close)

    def connect(self) -> zmq.Socket[bytes]:
        """Return a new connection to the daemon; nobody watches it."""
        socket: zmq.Socket[bytes] = self._loop.context.socket(zmq.DEALER)
        socket.set_hwm(0)
        socket.set(zmq.LINGER, 0)
        # What is asked of a daemon that is away must not reach it when it is back.
        socket.set(zmq.IMMEDIATE, 1)
        stay_alive(socket)
        try:
            socket.connect(f"tcp://{self.host}:{self.port}")
        except zmq.ZMQError as error:
            socket.close()
            where = f"{self.host}:{self.port}"
            raise NoAckError(f"{where} is no address: {error}") from error
        return socket

    def _connect(self) -> zmq.Socket[bytes]:
        socket = self.connect()
        self._loop.watch(socket, lambda: self._read(socket))
        self._loop.follow(socket, lost=self._lost)
        return socket

    def _close(self) -> None:
        self._lost()
        self._loop.unfollow(self.socket)
        self._loop.unwatch(self.socket)
        self.socket.close()
        self._flush()

    def _flush(self) -> None:
        self._flushing = False
        while self._outbox:
            pending = self._outbox.popleft()
            now = time.monotonic()
            request = pending.request
            if self.socket.closed:
                pending.settle(None, self.failure(request, False, "in time"))
                continue
            if request.flags & NO_REP:
                pending.settle(None, None)
            else:
                self._exchange.sent(request.ident, pending, now, pending.timeout)
                self._sweep_later()
            self._send(pending)

    def _send(self, pending: Pending) -> None:
        if not self._unsent:
            try:
                send(self.socket, pending.request.encode())
            except zmq.Again:
                self._loop.watch(self.socket, self._read_and_write, writable=True)
            else:
                return
        self._unsent.append(pending)

    def _read_and_write(self) -> None:
        self._read(self.socket)
        try:
            while self._unsent:
                pending = self._unsent[0]
                if not pending.poll() or pending.request.flags & NO_REP:
                    send(self.socket, pending.request.encode())
                self._unsent.popleft()
        except zmq.Again:
            return
        self._loop.watch(self.socket, lambda: self._read(self.socket))

    def _read(self, socket: zmq.Socket[bytes]) -> None:
        for _ in range(_BURST):
            frames = receive_or_lose(socket)
            if frames is None:
                return
            answer = self.understood(frames)
            if answer is None:
                continue
            pending = self._exchange.find(answer.ident)
            if pending is not None and not pending.acked:
                pending.acknowledge()
            if self._exchange.received(answer) is pending is not None:
                pending.settle(answer, None)

    def understood(self, frames: list[zmq.Frame]) -> wire.Answer | None:
        """Return the answer in a message; None, and a line in the log: it is none."""
        try:
            answer = read_answer(frames)
        except MalformedError as error:
            _logger.warning("%s:%s answers: %s", self.host, self.port, error)
            return None
        # Who has answered in today's form hears it; of what was asked in another one
        # meanwhile, because the answer took long, an answer in that may follow.
        self.early = self._was_early = answer.early and self.early is not False
        return answer

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._loop.later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        for late in self._exchange.expired(time.monotonic()):
            self._give_up(late, "in time")
        if len(self._exchange):
            self._sweep_later()

    def _lost(self) -> None:
        self.losses += 1
        self.early = None
        for late in self._exchange.lost():
            self._give_up(late, "before the connection was lost")

    def _give_up(self, late: Late[Pending], when: str) -> None:
        pending = late.thing
        pending.acked = late.acked
        pending.settle(None, self.failure(pending.request, late.acked, when))

    def failure(self, request: wire.Request, acked: bool, when: str) -> Exception:
        """Return what is raised for a request that nobody answered."""
        what = f"{request.kind.decode()} of {request.target}"
        where = f"{self.host}:{self.port}"
        if acked:
            taken = "acknowledged it and did not answer"
            return NoReplyError(f"{what}: {where} {taken} {when}")
        return NoAckError(f"{what}: nobody at {where} answered {when}")


# This process's client of a daemon; there is one for each address.
client = PerAddress(Client)


def _see_through() -> None:
    """Have a program's last words delivered; who is away is not waited for long."""
    last = [each.see_through() for each in client.all()]
    for pending in last:
        if pending is not None:
            pending.wait_ack(ACK_TIMEOUT)


atexit.register(_see_through)


def read_answer(frames: list[zmq.Frame]) -> wire.Answer:
    if len(frames) == 6:  # what most answers are, by a shorter way
        version, ident, kind, _, flags, payload = [frame.bytes for frame in frames]
        if version == VERSION and not flags and kind in (ACK, REP):
            return wire.Answer(ident, kind, payload)
    parts: list[Buffer] = [frame.bytes for frame in frames[:6]]
    parts += [frame.buffer for frame in frames[6:]]
    return wire.Answer.decode(parts)
