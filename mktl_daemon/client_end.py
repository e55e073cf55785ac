"""The client's half of an item: it sends requests and follows publications."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from mktl_daemon.core import arrays, wire
from mktl_daemon.core.errors import MktlError, NoAckError
from mktl_daemon.core.value import NOTHING, NUMBERS, State, decode, is_same
from mktl_daemon.core.wire import GET, Buffer, Payload
from mktl_daemon.net import loop
from mktl_daemon.net.pending import Pending
from mktl_daemon.net.workers import Pool

from . import process
from .caller import Caller

_logger = logging.getLogger(__name__)

_SETTLE = 0.01  # seconds that a SET waits for its own publication
_LAG = 1.0  # seconds that a publication may arrive later than the reply with its value
_MOST_FETCHED = 16  # values that GETs brought and whose publications are late

_NONE_EXPECTED = (-math.inf, math.inf)


class ClientEnd(Caller):
    """Has the value of one key, and keeps it equal to the daemon's."""

    __slots__ = (
        "__dict__",
        "_callbacks",
        "_state",
        "authoritative",
        "key",
        "store",
        "subscribed",
    )

    authoritative: bool
    subscribed: bool
    _state: State
    _callbacks: list[Callable[[], Callable[..., Any] | None]] | None

    _waiting: Any = None  # held while a SET waits for its own publication
    # The time of a value that a reply told before it was published, and until when
    # (`time.monotonic`) that publication is expected.
    _ahead = _NONE_EXPECTED

    # Values that GETs brought and that are not published yet, the newest last.
    _fetched: tuple[State, ...] = ()

    # Whether a subclass overrides `to_payload` or `from_payload`.
    _has_own_encoding = False
    _has_own_decoding = False

    @property
    def callbacks(self) -> list[Callable[..., Any]]:
        alive = [reference() for reference in self._callbacks or ()]
        return [callback for callback in alive if callback is not None]

    @property
    def held_state(self) -> State:
        """The value as it is held, with its time."""
        return self._state

    @property
    def timestamp(self) -> float:
        """When the item took its value, in UNIX seconds; now, if it has no value."""
        when = self._state.time
        return time.time() if when is None else when

    def own_description(self) -> Any:
        """Return the description as the daemon gave it."""
        return self.store.catalog.description(self.key)

    def to_payload(
        self, value: Any = None, timestamp: float | None = None, **fields: Any
    ) -> Payload:
        """Return *value* (the current one, if None) as the fields of a message."""
        if value is None:
            value = self._state.value
            timestamp = self.timestamp if timestamp is None else timestamp
        elif timestamp is None:
            timestamp = time.time()
        if arrays.is_array(value):
            bulk, shape, dtype = arrays.take_apart(value)
            # Programs of before June 2026 want a value, if only null, beside an array.
            fields |= {"value": None, "bulk": bulk, "shape": shape, "dtype": dtype}
            return Payload(time=timestamp, **fields)
        return Payload(value=value, time=timestamp, **fields)

    def from_payload(self, payload: Payload) -> Any:
        """Return the value in the fields of a message; the inverse of `to_payload`."""
        bulk = getattr(payload, "bulk", None)
        if bulk is None:
            marks = getattr(payload, wire.NONFINITE, None)
            return (
                payload.value if marks is None else wire.restore(payload.value, marks)
            )
        shape = getattr(payload, "shape", [len(bulk)])
        return arrays.put_together(bulk, shape, getattr(payload, "dtype", "uint8"))

    # For the follower

    def receive_publication(self, publication: wire.Publication) -> bool:
        """Take a value; return whether it has changed."""
        value, when = self._read(publication.payload, publication.bulk)
        state = State(value, when)
        with _guard.lock:
            expected, until = self._ahead
            if when < expected and time.monotonic() > until:
                expected = -math.inf
            is_known = bool(self._fetched) and self._was_fetched(state)
            # What a GET has brought since is newer.
            if when >= expected and not self._fetched:
                self._ahead, self._state = _NONE_EXPECTED, state
        if is_known:
            # A GET was faster, and the callbacks have this value already.
            if self._waiting is not None:
                self._release()
            return False
        self._pass_on(state)
        return when > expected or bool(self._callbacks)

    def _was_fetched(self, state: State) -> bool:
        """Whether a GET brought *state* before its publication did.

        What was fetched before it is not expected any more. The caller holds the lock.
        """
        for number, each in enumerate(self._fetched):
            if each.time == state.time and is_same(each, state):
                self._fetched = self._fetched[number + 1 :]
                return True
        self._fetched = ()
        return False

    def _note_fetched(self, fresh: State) -> None:
        """Take what a GET brought. The caller holds the lock."""
        self._state = fresh
        self._fetched = (*self._fetched[-_MOST_FETCHED:], fresh)

    def catch_up_with(self, before: State, pending: Pending) -> None:
        try:
            answer = pending.answered()
        except (TimeoutError, MktlError) as error:
            _logger.info("%s cannot be read again: %s", self.full_key, error)
            return
        fresh = State(*self._read(answer.payload, answer.bulk))
        with _guard.lock:
            if self._state is not before or is_same(before, fresh):
                return
            self._note_fetched(fresh)
        self._pass_on(fresh)

    def forked(self) -> None:
        """Forget the parent's values and callbacks."""
        if not self.authoritative:
            self._state, self._ahead, self._waiting = NOTHING, _NONE_EXPECTED, None
            self._fetched = ()
            self._callbacks = None
            self.subscribed = False

    # Requests

    def _set_request(self, value: Any) -> tuple[bytes, Buffer | None]:
        """Return the payload of a SET, which names this process, and its bulk."""
        if arrays.is_array(value) or self._has_own_encoding:
            payload = self.to_payload(value)
            payload.add_origin()
            return payload.encapsulate(), getattr(payload, "bulk", None)
        if (marks := wire.nonfinite(value)) is not None:
            value_part = wire.dumps(value) + b',"nonfinite":' + wire.dumps(marks)
        else:
            value_part = wire.dumps(value)
        parts = value_part, wire.encoded_origin()
        return b'{"value":%b,"now":true,%b' % parts, None

    def _fetch(self, refresh: bool) -> None:
        before = self._state
        answer = self._call(GET, wire.REFRESH if refresh else b"")
        value, when = self._read(answer.payload, answer.bulk)
        fresh = State(value, when)
        with _guard.lock:
            held = self._state
            # What was published while the answer was on its way is newer.
            is_late = held is not before and when < (held.time or 0)
            # Callbacks have heard this value already.
            is_known = when == held.time and is_same(held, fresh)
            if is_late or is_known:
                return
            self._note_fetched(fresh)
        self._pass_on(fresh)

    def _prime(self) -> None:
        """GET the value, if the daemon is there."""
        try:
            self._fetch(refresh=True)
        except (TimeoutError, RuntimeError) as error:
            _logger.info("%s has no value yet: %s", self.full_key, error)
            if isinstance(error, NoAckError):
                # Who reads the value next need not wait for the same once more.
                self.store.follower.note_silence([self.key])

    def _follow(self, before: State, value: Any, payload: bytes) -> None:
        """Make sure that the value after a SET to *value* can be read."""
        now = wire.fields(payload).get("now") if b'"now"' in payload else None
        # Who waits for the SET also sees what its callbacks did.
        if (
            self._callbacks
            or not isinstance(now, dict)
            or not {"value", "time"} <= {*now}
        ):
            self._await_change(before, value)
            return
        current, when = self._understood(now, None)
        with _guard.lock:
            held = self._state.time or 0.0
            if when > held or (self._state is before and when != held):
                self._state = State(current, when)
                self._ahead = when, time.monotonic() + _LAG

    def _read(self, payload: bytes, bulk: Buffer | None) -> tuple[Any, float]:
        return self._understood(wire.fields(payload), bulk)

    def _understood(
        self, fields: dict[str, Any], bulk: Buffer | None
    ) -> tuple[Any, float]:
        if not self._has_own_decoding:
            value = decode(fields, bulk)
        else:
            value = self.from_payload(Payload(**{**fields, "bulk": bulk}))
        when: Any = fields.get("time")
        return value, when if type(when) in NUMBERS else time.time()

    def _pass_on(self, state: State) -> None:
        if self._callbacks:
            self._propagate(state)
        if self._waiting is not None:
            self._release()

    def _release(self) -> None:
        waiting = self.__dict__.pop("_waiting", None)
        if waiting is None:
            return  # Another thread was first.
        if self._callbacks:
            # After the callbacks: who waits for the SET sees what they did.
            _callers.submit(id(self), waiting.release)
        else:
            waiting.release()

    def _await_change(self, before: State, value: Any) -> None:
        """Give the publication of a SET a moment to arrive."""
        waiting = threading.Lock()
        waiting.acquire()
        self._waiting = waiting
        if self._state is not before:
            # It was here before us, so it did not see that somebody waits.
            self._release()
        elif is_same(before, State(value)):
            return  # Nothing changed, so nothing is published.
        # What arrived may be what another SET brought.
        in_time = waiting.acquire(timeout=_SETTLE)
        if not in_time or not is_same(State(self._state.value), State(value)):
            with contextlib.suppress(TimeoutError, MktlError):
                self._fetch(refresh=False)
            if self._callbacks:
                heard = threading.Event()
                _callers.submit(id(self), heard.set)
                heard.wait(_SETTLE)

    def _follow_reply(self, before: State, value: Any, pending: Pending) -> None:
        """Make sure that the value after a SET that nobody waited for can be read."""
        answer = pending.answer
        if answer is None or loop.shared().is_here():
            return
        if b'"error"' not in answer.payload:
            self._follow(before, value, answer.payload)

    def _confirm(self, primed: State) -> None:
        """Ask for the value again, unless it has changed; on the loop's thread."""
        if self._state is primed:
            self._catch_up()

    def _catch_up(self) -> None:
        """Have it asked for what was published and not heard; on the loop's thread."""
        if self.store.has_item(self):
            # Not on this thread: another one that makes a client waits for it.
            _askers.submit(id(self), self._ask_again)

    def _ask_again(self) -> None:
        then = partial(self.catch_up_with, self._state)
        self._client().ask(GET, self.full_key, timeout=self.timeout, then=then)

    def _add_callback(self, reference: Callable[[], Callable[..., Any] | None]) -> None:
        with _guard.lock:
            if self._callbacks is None:
                self._callbacks = []
            self._callbacks.append(reference)

    def _propagate(self, state: State) -> None:
        loop.defer(_callers, id(self), partial(self._call_back, state))

    def _call_back(self, state: State) -> None:
        for reference in list(self._callbacks or ()):
            callback = reference()
            if callback is None:
                (self._callbacks or []).remove(reference)
                continue
            try:
                callback(self, state.value, state.time or 0.0)
            except BaseException:
                _logger.exception("a callback of %s failed", self.full_key)


_callers = Pool("mktl-client-callback")
_askers = Pool("mktl-client-ask", 4, most=4)  # they wait for the loop, and not long
_guard = process.Guard()  # of clients' values, and of the lists of callbacks
