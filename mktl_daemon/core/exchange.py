"""The requests of a client that are in flight. The caller passes the time."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from .wire import ACK, Answer

T = TypeVar("T")


class Late(NamedTuple, Generic[T]):
    """A request whose time is over."""

    thing: T
    acked: bool


class _Flight(Generic[T]):
    __slots__ = ("acked", "deadline", "reply_by", "thing")

    def __init__(self, thing: T, deadline: float, reply_by: float) -> None:
        self.thing = thing
        self.deadline = deadline
        self.reply_by = reply_by
        self.acked = False


class Exchange(Generic[T]):
    """Holds a *thing* for every request until it is answered or late.

    An ACK buys the time until the reply is due; without one the request is late after
    *ack_timeout* seconds. Any number may be in flight, answers come in any order.
    """

    def __init__(self, ack_timeout: float) -> None:
        self.ack_timeout = ack_timeout
        self._flights: dict[bytes, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def sent(self, ident: bytes, thing: T, now: float, timeout: float) -> None:
        reply_by = now + timeout
        ack_by = min(now + self.ack_timeout, reply_by)
        self._flights[ident] = _Flight(thing, ack_by, reply_by)

    def find(self, ident: bytes) -> T | None:
        """Return the thing of a request in flight, or None."""
        flight = self._flights.get(ident)
        return None if flight is None else flight.thing

    def received(self, answer: Answer) -> T | None:
        """Return the thing of the request that *answer* completes, or None.

        None: an ACK, and what is late, repeated, or was never ours. A reply that
        comes before its ACK is both.
        """
        flight = self._flights.get(answer.ident)
        if flight is None:
            return None
        if answer.kind == ACK:
            flight.acked, flight.deadline = True, flight.reply_by
            return None
        del self._flights[answer.ident]
        return flight.thing

    def expired(self, now: float) -> list[Late[T]]:
        """Take out the requests that are late at *now*."""
        late = [i for i, flight in self._flights.items() if flight.deadline <= now]
        return [self._lost(ident) for ident in late]

    def lost(self) -> list[Late[T]]:
        """Take out all requests: the connection is lost."""
        return [self._lost(ident) for ident in list(self._flights)]

    def _lost(self, ident: bytes) -> Late[T]:
        flight = self._flights.pop(ident)
        return Late(flight.thing, flight.acked)
