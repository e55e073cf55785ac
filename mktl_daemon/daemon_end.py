"""The daemon's half of an item: it answers requests and publishes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from mktl_daemon.core import formats, wire
from mktl_daemon.core.value import State, decode, is_same, payload_of, state_of
from mktl_daemon.core.wire import Buffer, Payload
from mktl_daemon.net.pub import Server as Publisher

from .client_end import ClientEnd

Send = Callable[[bytes, bytes, Buffer | None], None]

_logger = logging.getLogger(__name__)
_DEBUG = logging.DEBUG

_DONE = wire.dumps({"value": True})  # a SET's reply that has nothing to add
_SHORT = 1000  # bytes of a value that the reply to a SET tells


class DaemonEnd(ClientEnd):
    """Takes values, publishes them, and answers GETs from memory."""

    __slots__ = ("is_persistent",)

    log_on_set = True  # write a debug line for every SET
    publish_on_set = True  # publish the value of a SET when perform_set has returned
    is_persistent: bool
    # Whether the next SET of this item begins while one still runs. Otherwise SETs are
    # carried out one after the other, in the order in which a client sent them.
    concurrent = False
    is_builtin = False  # requests of this item do not wait for users' methods

    # Whether user code takes part in a GET with refresh, and in a SET.
    uses_get_code = False
    uses_set_code = False

    @property
    def pub(self) -> Publisher:
        return self.store.publisher()

    def publish(
        self,
        new_value: Any,
        timestamp: float | None = None,
        repeat: bool = False,
        copy: bool = True,
    ) -> None:
        """Take *new_value* and publish it to the subscribers.

        *timestamp* (UNIX seconds, by default now) is the time from which it holds. A
        value that the item already has is not published again, unless *repeat* is set.
        Without *copy*, an array is sent from its own memory: the caller gives it away,
        and must not change it.
        """
        when = time.time() if timestamp is None else float(timestamp)
        server = self.store.publisher()
        self._publish(state_of(new_value, when, copy), server, server.send, repeat)

    # For the daemon

    def take(self, state: State, send: Send | None, repeat: bool = False) -> bool:
        """Take *state* and send it to the subscribers, unless the item already has it.

        Without *send* there are none. The caller holds the publisher's lock. Return
        whether the value must be saved.
        """
        if is_same(self._state, state) and not repeat:
            return False
        self._state = state
        if send is not None:
            # This is `wire.topic`. A call of that would take a third longer.
            topic = f"{self.store.name}.{self.key}."
            send(topic.encode(), state.payload or b"", state.bulk)
        # The lock is still held, so that a callback gets the last value last.
        if self._callbacks:
            self._propagate(state)
        return self.is_persistent

    def cached_answer(self) -> tuple[bytes, Buffer | None]:
        """Return the payload of the reply to a GET, from memory."""
        state = self._state
        payload = payload_of(state)
        if payload is None:
            return wire.dumps({"value": None, "time": time.time()}), None
        return payload, state.bulk

    def set_directly(self, payload: bytes, bulk: Buffer | None) -> tuple[bytes, bool]:
        """Carry out a SET that involves no user code.

        Return the reply, and whether the request wants the new value in the reply. Then
        the reply comes before the publication: the caller sends the reply, and lets the
        publisher `release` what it holds.
        """
        self._log(payload)
        fields = wire.fields(payload)
        value = formats.coerce(self.own_description(), decode(fields, bulk))
        asks = fields.get("now") is True
        if self.publish_on_set:
            server = self.store.publisher()
            send = server.hold if asks else server.send
            self._publish(state_of(value, time.time()), server, send)
        current = self._short_payload() if asks else None
        return (
            _DONE if current is None else b'{"value":true,"now":%b}' % current
        ), asks

    def reject_get(self, *_args: Any) -> None:
        raise TypeError(f"{self.full_key} cannot be read")

    def reject_set(self, *_args: Any) -> None:
        raise TypeError(f"{self.full_key} is read-only")

    # Helpers

    def _publish(
        self, state: State, server: Publisher, send: Send, repeat: bool = False
    ) -> None:
        with server.lock:
            is_to_be_noted = self.take(state, send, repeat)
        if is_to_be_noted:
            self.store.note_change(self)

    def _log(self, payload: Any) -> None:
        if self.log_on_set and _logger.isEnabledFor(_DEBUG):
            _logger.debug("SET of %s: %r", self.full_key, payload)

    def _carried_out(self, value: Any, response: Any, request: Any) -> Payload:
        if self.publish_on_set:
            self.publish(value)
        if response is None:
            asks = getattr(request.payload, "now", None) is True
            current = self._short_payload() if asks else None
            return Payload(
                value=True, now=None if current is None else wire.Raw(current)
            )
        return response if isinstance(response, Payload) else self.to_payload(response)

    def _short_payload(self) -> bytes | None:
        """Return the payload with the value for the reply to a SET, if it is short."""
        state = self._state
        payload, bulk = payload_of(state), state.bulk
        is_short = payload is not None and bulk is None and len(payload) <= _SHORT
        return payload if is_short else None


def then(first: Future[Any], act: Callable[[Any], Any]) -> Future[Any]:
    """Return a Future with the result of *act*, which gets the result of *first*."""
    second: Future[Any] = Future()

    def settle(done: Future[Any]) -> None:
        try:
            second.set_result(act(done.result()))
        except BaseException as error:  # noqa: BLE001 - it is the second's outcome
            second.set_exception(error)

    first.add_done_callback(settle)
    return second
