"""A daemon's ROUTER: requests are acknowledged at once and answered when done."""

from __future__ import annotations

import logging
import time
import traceback
from collections import deque
from collections.abc import Iterable
from typing import Protocol

import zmq

from mktl_daemon.core import wire
from mktl_daemon.core.wire import ACK, GET, NO_ACK, NO_REP, REP, VERSION, Buffer
from mktl_daemon.errors import MalformedError, RemoteError

from .frames import (
    SNDMORE,
    ZERO_COPY,
    Backlog,
    bind,
    outlast,
    receive,
    send,
    send_frame,
)
from .loop import Loop

FIRST_PORT, LAST_PORT = 10079, 13679  # from the protocol

_BURST = 256  # messages before other sockets get their turn
# Messages that may wait for a client that does not read: two for each request.
_QUEUE = 100_000
_LARGE = 1024  # bytes from which answers are counted
_WAITING = 2**28  # bytes of these that may wait for one client
CLIENTS = 64  # from which on those for whom nothing waits are forgotten

_logger = logging.getLogger(__name__)

# A payload, what it describes, and whether it is to be sent without an ACK.
Answered = tuple[bytes, Buffer | None, bool]


class RequestHandler(Protocol):
    """Who answers requests. Called on the loop's thread, so nothing here may wait."""

    def at_once(self, kind: bytes, target: bytes, payload: bytes) -> Answered | None:
        """Return the answer to a request without flags if no user code is needed.

        The bytes are as they came.
        """

    def answered(self) -> None:
        """Do what was left until an answer `at_once` was on its way."""

    def handle(self, ticket: Ticket) -> None:
        """See to it that *ticket* is answered, now or later."""


class Ticket:
    """A request that waits for its answer, of which there is at most one.

    `reply` and `fail` can be called from any thread; what comes second is dropped.
    """

    __slots__ = ("_routing", "_server", "request")

    def __init__(self, server: Server, routing: bytes, request: wire.Request) -> None:
        self._server: Server | None = server
        self._routing = routing
        self.request = request

    def reply(self, payload: bytes = b"", bulk: Buffer | None = None) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.deliver(self, payload, bulk)

    def fail(self, error: BaseException) -> None:
        """Answer with an error.

        Its traceback, which has paths, goes along as ``debug`` while this package logs
        at DEBUG.
        """
        self.reply(error_payload(error, debug=_logger.isEnabledFor(logging.DEBUG)))

    def frames(self, kind: bytes, payload: bytes, bulk: Buffer | None) -> list[Buffer]:
        ident, target = self.request.ident, self.request.target.encode()
        flags = [] if self.request.early else [b""]
        frames: list[Buffer] = [
            self._routing, VERSION, ident, kind, target, *flags, payload,
        ]  # fmt: skip
        if bulk is not None:
            frames.append(bulk)
        return frames


class Server:
    """A ROUTER: every request is acknowledged at once and answered when it is done."""

    def __init__(
        self,
        loop: Loop,
        handler: RequestHandler,
        host: str,
        port: int | None = None,
        avoid: Iterable[int] = (),
        domain: str = "",
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._open: set[Ticket] = set()
        self._outbox: deque[tuple[Ticket, bytes, Buffer | None]] = deque()
        self.backlogs: dict[bytes, Backlog] = {}  # by routing frame
        self._flushing = False
        self._complained = 0.0
        self.socket, self.port, self.host = loop.run(
            lambda: self._bind(host, port, avoid, domain)
        )

    def start(self) -> None:
        """Begin to read; what has come before waits in the socket."""
        self._loop.run(lambda: self._loop.watch(self.socket, self._burst))

    def close(self, reason: str = "the daemon has stopped") -> None:
        """Answer what is open with an error, and give the port back."""
        for ticket in list(self._open):
            ticket.fail(RuntimeError(reason))
        self._loop.run(self._close)

    def _bind(
        self, host: str, port: int | None, avoid: Iterable[int], domain: str
    ) -> tuple[zmq.Socket[bytes], int, str]:
        socket: zmq.Socket[bytes] = self._loop.context.socket(zmq.ROUTER)
        # A client that comes back under its old name is that client: without this
        # its messages would never be read.
        socket.set(zmq.ROUTER_HANDOVER, 1)
        socket.set(zmq.SNDHWM, _QUEUE)
        socket.copy_threshold = 0
        outlast(socket)
        if domain:
            socket.set(zmq.ZAP_DOMAIN, domain.encode())
        ports = (port, port) if port else (FIRST_PORT, LAST_PORT)
        return socket, *bind(socket, host, ports, set(avoid))

    def _close(self) -> None:
        self._flush()
        self._loop.unwatch(self.socket)
        self.socket.close(linger=200)

    def _burst(self) -> None:
        for _ in range(_BURST):
            frames = receive(self.socket)
            if frames is None:
                return
            self._take(frames)

    def _take(self, frames: list[zmq.Frame]) -> None:
        if len(frames) == 7:
            routing, version, ident, kind, target, flags, payload = [
                frame.bytes for frame in frames
            ]
            if version == VERSION and not flags:
                answer = self._handler.at_once(kind, target, payload)
                if answer is not None:
                    self.answer_at_once(routing, ident, target, *answer)
                    self._handler.answered()
                    return
        self._take_slowly(frames)

    def answer_at_once(
        self,
        routing: bytes,
        ident: bytes,
        target: bytes,
        payload: bytes,
        bulk: Buffer | None,
        alone: bool,
    ) -> None:
        socket, put, more = self.socket, send_frame, SNDMORE
        if not alone:
            put(socket, routing, more)
            put(socket, VERSION, more)
            put(socket, ident, more)
            put(socket, ACK, more)
            put(socket, b"", more)
            put(socket, b"", more)
            put(socket, b"")
        if bulk is not None or len(payload) >= _LARGE:
            head: list[Buffer] = [routing, VERSION, ident, REP, target, b""]
            self._send_large(head, payload, bulk)
            return
        put(socket, routing, more)
        put(socket, VERSION, more)
        put(socket, ident, more)
        put(socket, REP, more)
        put(socket, target, more)
        put(socket, b"", more)
        put(socket, payload)

    def _take_slowly(self, frames: list[zmq.Frame]) -> None:
        routing, *rest = frames
        parts: list[Buffer] = [frame.bytes for frame in rest[:6]]
        parts += [frame.buffer for frame in rest[6:]]
        try:
            request = wire.Request.decode(parts)
        except MalformedError as error:
            self._refuse(routing.bytes, parts, error)
            return
        ticket = Ticket(self, routing.bytes, request)
        if not request.flags & NO_ACK:
            self._send(ticket.frames(ACK, b"", None))
        self._open.add(ticket)
        try:
            self._handler.handle(ticket)
        except (KeyError, ValueError, TypeError) as error:
            # The client's mistake; a flood of these costs no tracebacks.
            ticket.reply(error_payload(error, debug=False))
        except Exception as error:
            _logger.exception("unable to answer %s", request.target)
            ticket.fail(error)

    def _refuse(
        self, routing: bytes, parts: list[Buffer], error: MalformedError
    ) -> None:
        now = time.monotonic()
        if now - self._complained > 10:  # a flood of these must not flood the log
            self._complained = now
            _logger.warning("refused a message: %s", error)
        if len(parts) > 1:
            request = wire.Request(bytes(parts[1]), GET, "")
            ticket = Ticket(self, routing, request)
            payload = error_payload(error, debug=False)
            self._send(ticket.frames(REP, payload, None))

    def deliver(self, ticket: Ticket, payload: bytes, bulk: Buffer | None) -> None:
        """Send the answer to *ticket*; from any thread."""
        self._open.discard(ticket)
        if ticket.request.flags & NO_REP:
            return
        if self._loop.is_here():
            self._reply(ticket, payload, bulk)
            return
        self._outbox.append((ticket, payload, bulk))
        if not self._flushing:
            self._flushing = True
            self._loop.call(self._flush)

    def _flush(self) -> None:
        # Lowered first: what is put into the outbox from here on asks again.
        self._flushing = False
        while self._outbox:
            self._reply(*self._outbox.popleft())

    def _reply(self, ticket: Ticket, payload: bytes, bulk: Buffer | None) -> None:
        frames = ticket.frames(REP, payload, bulk)
        if bulk is not None or len(payload) >= _LARGE:
            self._send_large(frames[: -1 if bulk is None else -2], payload, bulk)
        else:
            self._send(frames)

    def _send_large(
        self, head: list[Buffer], payload: bytes, bulk: Buffer | None
    ) -> None:
        """Send an answer with *head*, or say that too many wait for its client."""
        frames = [*head, payload] if bulk is None else [*head, payload, bulk]
        size = len(payload) + (0 if bulk is None else len(bulk))
        backlog = self._backlog(bytes(head[0]))
        if not backlog.has_room(size):
            self._send([*head, _TOO_MUCH])
            return
        for frame in frames[:-1]:
            send_frame(self.socket, frame, SNDMORE)
        backlog.send(self.socket, frames[-1], size)

    def _backlog(self, routing: bytes) -> Backlog:
        backlog = self.backlogs.get(routing)
        if backlog is None:
            if len(self.backlogs) >= CLIENTS:
                self.backlogs = {
                    client: backlog
                    for client, backlog in self.backlogs.items()
                    if not backlog.has_room(_WAITING)
                }
            backlog = self.backlogs[routing] = Backlog(_WAITING, ZERO_COPY)
        return backlog

    def _send(self, frames: list[Buffer]) -> None:
        # A ROUTER drops what it cannot deliver, it does not wait.
        send(self.socket, frames)


_TOO_MUCH = wire.error_fields(
    "RuntimeError", "too many answers wait for this client to read them"
)


def error_payload(error: BaseException, debug: bool = True) -> bytes:
    """Return the payload that tells a client of *error*; *debug*: its traceback too."""
    text = str(error)
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])  # str() puts quotes around it
    elif isinstance(error, OSError) and error.filename is not None and not debug:
        text = error.strerror or text  # without the path
    kind = error.type if isinstance(error, RemoteError) else type(error).__name__
    trace = "".join(traceback.format_exception(error)) if debug else ""
    return wire.error_fields(kind, text, trace)
