"""Requests and their answers: a client's end, and a server's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mktl_daemon.core.errors import NoAckError
from mktl_daemon.core.wire import Payload
from mktl_daemon.files import environment
from mktl_daemon.net import dealer, loop, router
from mktl_daemon.net.line import ACK_TIMEOUT
from mktl_daemon.net.pending import Pending
from mktl_daemon.net.router import Answered, Ticket
from mktl_daemon.net.workers import Pool

from .message import Message, Request, payload_of


class Client:
    """Sends requests to one address; `client` returns the one of this process."""

    timeout = ACK_TIMEOUT  # seconds for an ACK

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, int(port)

    def send(self, message: Request) -> None:
        """Send a request; TimeoutError: nobody acknowledged it in time."""
        payload, bulk = message.content()

        def over(pending: Pending) -> None:
            answer = pending.answer
            response = None
            if answer is not None:
                fields = payload_of(answer.payload, answer.bulk)
                response = Message("REP", message.target, fields, message.id)
            message.complete(response)

        pending = dealer.client(self.address, self.port).ask(
            message.type.encode(), message.target or "", payload, bulk,
            message.flags or 0, then=over,
        )  # fmt: skip
        if message.ack and not loop.shared().is_here():
            if not pending.wait_ack(self.timeout):
                raise NoAckError(f"nobody at {self.address}:{self.port} took a request")
            message.ack_event.set()


class Server:
    """Answers requests by `req_handler`, on threads of its own; to be subclassed."""

    def __init__(
        self,
        hostname: str | None = None,
        port: int | None = None,
        avoid: Iterable[int] = (),
    ) -> None:
        self._pool = Pool("mktl-worker")
        host = hostname or environment.interface()
        self._router = router.Server(loop.shared(), self, host, port, avoid)
        self.hostname, self.port = self._router.host, self._router.port
        self._router.start()

    def req_handler(self, request: Request) -> Payload | None:
        """Return the payload of the answer, or raise what the client is to be told."""
        raise NotImplementedError("req_handler is for subclasses")

    def close(self) -> None:
        self._router.close()
        self._pool.close()

    # What the router asks of it

    def at_once(self, _kind: bytes, _target: bytes, _payload: bytes) -> Answered | None:
        return None

    def answered(self) -> None:
        """Do nothing more: no answer was given at once."""

    def handle(self, ticket: Ticket) -> None:
        if not self._pool.submit(ticket, lambda: self._answer(ticket)):
            raise RuntimeError("too many requests are waiting here already")

    def _answer(self, ticket: Ticket) -> None:
        raw = ticket.request
        try:
            fields = payload_of(raw.payload, raw.bulk)
            kind = raw.kind.decode()
            request = Request(kind, raw.target, fields, raw.ident, raw.flags)
            payload = self.req_handler(request)
        except Exception as error:  # noqa: BLE001 - the client is told
            ticket.fail(error)
            return
        if payload is None:
            ticket.reply()
        else:
            ticket.reply(payload.encapsulate(), getattr(payload, "bulk", None))


def client(address: str, port: int) -> Client:
    """Return a client of an address; all of one address share their connection."""
    return Client(address, port)


def send(address: str, port: int, request: Request) -> Any:
    """Send a request and return the payload of its response, None if there is none."""
    client(address, port).send(request)
    response = request.wait()
    return None if response is None else response.payload
