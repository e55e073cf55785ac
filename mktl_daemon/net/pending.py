"""A request on its way, as the one who sent it holds it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from mktl_daemon.core import wire
from mktl_daemon.core.errors import NoReplyError, RemoteError
from mktl_daemon.core.wire import Payload

_logger = logging.getLogger(__name__)


class Pending:
    """A request on its way, as `Item.set(wait=False)` returns it."""

    __slots__ = (
        "_arrive",
        "_error",
        "_lock",
        "_on_ack",
        "_then",
        "acked",
        "answer",
        "name",
        "request",
        "timeout",
    )

    def __init__(
        self,
        request: wire.Request,
        name: str,
        timeout: float,
        then: Callable[[Pending], Any] | None = None,
    ) -> None:
        self._then = then
        self._on_ack: threading.Lock | None = None  # of who waits for the ACK
        self.request = request
        self.name = name  # who is asked, for messages
        self.timeout = timeout
        self.answer: wire.Answer | None = None
        self.acked = False
        self._error: Exception | None = None
        self._arrive: Callable[[], Any] | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def poll(self) -> bool:
        """Tell whether the request is over, one way or the other."""
        return not self._lock.locked()

    def wait(self, timeout: float | None = 60) -> Reply | None:
        """Return the reply; None if there is none after *timeout* seconds.

        TimeoutError: there will be none.
        """
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            return None
        self._lock.release()
        if self._error is not None:
            raise self._error
        arrive, self._arrive = self._arrive, None
        if arrive is not None:
            arrive()
        return None if self.answer is None else Reply(self.answer)

    def before_return(self, arrive: Callable[[], Any]) -> None:
        """Have the first `wait` that sees the reply call *arrive* before it returns."""
        self._arrive = arrive

    def wait_ack(self, timeout: float | None = None) -> bool:
        """Tell whether the request was acknowledged within *timeout* seconds."""
        waiting = threading.Lock()
        waiting.acquire()
        self._on_ack = waiting
        if not self.acked and not self.poll():  # else it was over before
            waiting.acquire(timeout=-1 if timeout is None else timeout)
        return self.acked

    def acknowledge(self) -> None:
        self.acked = True
        self._wake()

    def answered(self) -> wire.Answer:
        """Wait for the answer. TimeoutError; RemoteError: the daemon refused."""
        self._lock.acquire()
        self._lock.release()
        if self._error is not None:
            raise self._error
        if self.answer is None:
            raise NoReplyError(f"{self.name}: no answer")
        return checked(self.request, self.answer)

    @property
    def response(self) -> Reply | None:
        return None if self.answer is None else Reply(self.answer)

    def settle(self, answer: wire.Answer | None, error: Exception | None) -> None:
        self.answer, self._error = answer, error
        self.acked = self.acked or answer is not None
        self._lock.release()
        self._wake()
        if self._then is not None:
            try:
                self._then(self)
            except BaseException:
                _logger.exception("dropped the answer to %s", self.request.target)

    def _wake(self) -> None:
        waiting, self._on_ack = self._on_ack, None
        if waiting is not None:
            waiting.release()


class Reply:
    """A reply with its payload's fields as attributes of `payload`."""

    def __init__(self, answer: wire.Answer) -> None:
        self.id = answer.ident
        fields = wire.fields(answer.payload)
        fields.pop("omit", None)
        self.payload = Payload(**{**fields, "bulk": answer.bulk})


def checked(request: wire.Request, answer: wire.Answer) -> wire.Answer:
    """Return *answer*. RemoteError: it tells of an error."""
    if b'"error"' not in answer.payload:
        return answer
    error = wire.fields(answer.payload).get("error")
    if not error:
        return answer
    fields = error if isinstance(error, dict) else {"text": error}
    raise RemoteError(
        f"{request.kind.decode()} of {request.target}",
        str(fields.get("type", "RuntimeError")),
        str(fields.get("text", "")),
        str(fields.get("debug", "")),
    )
