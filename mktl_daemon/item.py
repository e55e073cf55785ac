"""An item: one key and its value, at the client's end and at the daemon's."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from . import arrays, follow, formats, loop, poll, publish, request, units, wire
from .arithmetic import ByValue
from .errors import MktlError, NoAckError, RemoteError
from .publish import Server as Publisher
from .request import Pending
from .wire import GET, NO_ACK, NO_REP, SET, Buffer, Payload
from .workers import Pool

if TYPE_CHECKING:
    from .store import Store

Callback = Callable[["Item", Any, float], Any]
Performer = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., Any])

_logger = logging.getLogger(__name__)
_DEBUG = logging.DEBUG

_DONE = wire.dumps({"value": True})  # a SET's reply that has nothing to add
_REFRESH = wire.dumps({"refresh": True})
_RECENT = 1.0  # seconds for which it is not asked again where a daemon is
_SETTLE = 0.01  # seconds that a SET leaves its own publication to arrive
_TOLD = 1000  # bytes of a value that the reply to a SET tells
_LAG = 1.0  # seconds that a publication may come after the reply that told of it

_NOBODY_TOLD = (-math.inf, math.inf)

# A value that changes while it is kept would be compared with itself.
_MUTABLE = (list, dict, set, tuple)
_NUMBERS = frozenset({int, float})
# What most values are: neither arrays nor mutable, and JSON says them as they are.
_PLAIN = frozenset({bool, float, int, str, type(None)})


class _Hook:
    """A method of `Item` that user code may take the place of, for one item, too.

    An assignment to ``item.perform_set`` and the like is noted here, so that requests
    are not answered past it. Subclasses that override the method are noted when they
    are made.
    """

    def __init__(self, method: Callable[..., Any], mark: str) -> None:
        self.__doc__ = method.__doc__
        self._method = method
        self._mark = mark  # what is true of an item with a method of its own
        self._own = f"_own_{method.__name__}"

    def __get__(self, item: Item | None, kind: type[Item]) -> Any:
        if item is None:
            return self._method
        own = item.__dict__.get(self._own)
        return MethodType(self._method, item) if own is None else own

    def __set__(self, item: Item, method: Callable[..., Any]) -> None:
        item.__dict__[self._own] = method
        item.__dict__[self._mark] = True


def _get_hook(method: F) -> F:
    return cast("F", _Hook(method, "_custom_get"))


def _set_hook(method: F) -> F:
    return cast("F", _Hook(method, "_custom_set"))


class State(NamedTuple):
    """A value as it is held, and at the daemon's end as it is sent."""

    value: Any = None
    time: float | None = None
    payload: bytes | None = None
    bulk: Buffer | None = None


_NOTHING = State()


class Item(ByValue):
    """A key and its value; `value`, `formatted` and `quantity` read and set it.

    A client's item subscribes itself. A daemon's item publishes: subclasses say what
    a GET and a SET do in `perform_get`, `perform_set` and `validate`.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_callbacks",
        "_persists",
        "_state",
        "authoritative",
        "key",
        "store",
        "subscribed",
    )

    log_on_set = True  # write a debug line for every SET
    publish_on_set = True  # publish what a SET brought, once perform_set is through
    timeout = request.TIMEOUT  # seconds that a daemon may take for an answer

    _waiting: Any = None  # held while a SET waits for its own publication
    # The time of a value that a reply told before it was published, and until when
    # (`time.monotonic`) that publication is expected.
    _ahead = _NOBODY_TOLD

    # Whether user code takes part in a GET with refresh, and in a SET.
    _custom_get = False
    _custom_set = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._custom_get = _overrides(cls, _GET_HOOKS)
        cls._custom_set = _overrides(cls, _SET_HOOKS)

    def __init__(self, store: Store, key: str) -> None:
        self.key = key.lower()
        self.store = store
        self._state = _NOTHING
        self._callbacks: list[Callable[[], Callback | None]] | None = None
        self.authoritative = store._is_own(self.key)
        self.subscribed = self.authoritative
        self._persists = self.authoritative and bool(self._description().get("persist"))
        store._enter(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.full_key}: {self._state.value!r})"

    def __str__(self) -> str:
        return self.formatted

    @property
    def full_key(self) -> str:
        return f"{self.store.name}.{self.key}"

    @property
    def description(self) -> dict[str, Any]:
        """What the catalog says of the item, and its daemon's UUID and provenance."""
        return self.store.catalog[self.key]

    config = description  # edition 1's name

    @property
    def callbacks(self) -> list[Callback]:
        found = [reference() for reference in self._callbacks or ()]
        return [callback for callback in found if callback is not None]

    # Values

    @property
    def value(self) -> Any:
        """The value. Setting it is `set` at a client's end, `publish` at a daemon's."""
        if not self.authoritative:
            if not self.subscribed:
                self.subscribe()
            if self._state.value is None:
                self.get(refresh=True)
        return self._state.value

    @value.setter
    def value(self, new_value: Any) -> None:
        if self.authoritative:
            self.publish(new_value)
        else:
            self.set(new_value)

    @property
    def formatted(self) -> str:
        """The value as people read it; can be set, too."""
        return self.to_format(self.value)

    @formatted.setter
    def formatted(self, text: Any) -> None:
        self.value = self.from_format(text)

    @property
    def quantity(self) -> Any:
        """The value as a pint.Quantity; can be set in any units that fit."""
        return self.to_quantity(self.value)

    @quantity.setter
    def quantity(self, quantity: Any) -> None:
        self.value = self.from_quantity(quantity)

    @property
    def timestamp(self) -> float:
        """When the item took its value, in UNIX seconds; now, if it has none."""
        when = self._state.time
        return time.time() if when is None else when

    def to_format(self, value: Any) -> str:
        return formats.to_format(self._description(), value)

    def from_format(self, text: Any) -> Any:
        return formats.from_format(self._description(), text)

    def to_quantity(self, value: Any, units: Any = None) -> Any:
        """Return *value* as a pint.Quantity. TypeError: the item has no units."""
        return _to_quantity(self._description(), value, units)

    def from_quantity(self, quantity: Any) -> Any:
        return units.from_quantity(self._description(), quantity)

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
            return payload.value
        shape = getattr(payload, "shape", [len(bulk)])
        return arrays.put_together(bulk, shape, getattr(payload, "dtype", "uint8"))

    # The client's end

    def get(
        self, refresh: bool = False, formatted: bool = False, quantity: bool = False
    ) -> Any:
        """Return the value; with *refresh* the daemon looks it up anew.

        *formatted* and *quantity* say as what; both: a quantity in the units of the
        formatted value. TimeoutError: the daemon is away. RuntimeError: it refused.
        """
        for name, given in (("refresh", refresh), ("formatted", formatted)):
            if not isinstance(given, bool):
                raise TypeError(f"{name} is True or False, not {given!r}")
        if self.authoritative:
            if refresh:
                self.perform_poll()
        elif refresh or not self.subscribed or self._state.value is None:
            self._fetch(refresh)
        return self._shown(formatted, quantity)

    def set(
        self,
        new_value: Any,
        wait: bool = True,
        reply: bool = True,
        formatted: bool = False,
        quantity: bool = False,
    ) -> Pending | None:
        """Ask the daemon to set the item, and wait until it has.

        Without *wait* return, once the daemon has taken it, what can be waited for.
        Without *reply* ask for no answer at all. TimeoutError: the daemon is away.
        RuntimeError: it refused.
        """
        if quantity:
            new_value = self.from_quantity(new_value)
        elif formatted:
            new_value = self.from_format(new_value)
        before = self._state
        payload, bulk = self._asked(new_value)
        if not (wait and reply):
            flags = 0 if reply else NO_ACK | NO_REP
            asked = (SET, self.full_key, payload, bulk, flags, self.timeout)
            pending = self._client().ask(*asked)
            if reply and not loop.shared().is_here() and not pending.wait_ack():
                pending.answered()  # raises
            return pending
        answer = self._call(SET, payload, bulk)
        if self.subscribed and not self.authoritative:
            self._follow(before, new_value, answer.payload)
        return None

    def register(self, method: Callback, prime: bool = False) -> None:
        """Call ``method(item, value, time)`` whenever the item takes a value.

        With *prime* also now, if it has one. Bound methods do not keep their object
        alive. Calls come one at a time, in order, from a thread of their own; a method
        that takes its time delays nobody else's.
        """
        if not callable(method):
            raise TypeError("a callback can be called")
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(poll.reference(method))
        self.subscribe()
        if prime and self._state.time is not None:
            method(self, self._state.value, self.timestamp)

    def subscribe(self, prime: bool = True) -> None:
        """Follow the item; with *prime* also GET it, if its daemon is there.

        Clients' items do this by themselves.
        """
        if self.subscribed or not self.store.follower.follow(self):
            return  # or another thread is at it
        self.subscribed = True
        if prime:
            try:
                self._fetch(refresh=True)
            except (TimeoutError, RuntimeError) as error:
                _logger.info("%s has no value yet: %s", self.full_key, error)
            # The GET goes another way than the subscription and may overtake it: what
            # is published in between is not heard.
            primed = self._state
            loop.shared().later(follow.ARRIVAL, lambda: self._confirm(primed))

    # The daemon's end

    @property
    def pub(self) -> publish.Server:
        return self.store._publisher()

    def publish(
        self, new_value: Any, timestamp: float | None = None, repeat: bool = False
    ) -> None:
        """Take *new_value* and tell everybody who subscribed.

        *timestamp* (UNIX seconds, now) says since when it holds. A value that the item
        has already is not told again, unless *repeat* is set.
        """
        when = time.time() if timestamp is None else float(timestamp)
        server = self.store._publisher()
        self._take(_state(new_value, when), server, server.send, repeat)

    def _take(
        self,
        state: State,
        server: Publisher,
        send: Callable[[bytes, bytes, Buffer | None], None],
        repeat: bool = False,
    ) -> None:
        with server.lock:
            if not repeat and _is_same(self._state, state):
                return
            self._state = state
            send(wire.topic(self.full_key), state.payload or b"", state.bulk)
            # Here, so that the last value is the last that a callback hears, too.
            if self._callbacks:
                self._propagate(state)
        if self._persists:
            self.store._changed(self)

    def poll(self, period: float | None) -> None:
        """Call `perform_poll` every *period* seconds; None or 0 ends that."""
        poll.start(self.perform_poll, period)

    def watch(self, item: Item) -> None:
        """Call `perform_poll` whenever *item* takes a value."""
        item.register(self.perform_poll)

    @_get_hook
    def perform_get(self) -> Any:
        """Return the newest value, or None if there is nothing new.

        For subclasses. A `Payload` gives the time along with the value. It runs on one
        of the daemon's workers and may take its time.
        """
        return self.to_payload()

    @_set_hook
    def perform_set(self, new_value: Any) -> Any:  # noqa: ARG002 - for subclasses
        """Do what a SET to *new_value* asks for; raise what the client is to be told.

        For subclasses. What is returned goes into the reply, if it is not None. A
        `concurrent.futures.Future` answers later: the worker is free until then, and
        its result or exception is what this method would have returned or raised.
        SETs of one item come in the order in which the client sent them.
        """
        return None

    @_get_hook
    def perform_poll(self, *_args: Any, repeat: bool = False) -> Payload:
        """Publish what `perform_get` returns; a callback for other items, too."""
        response = self.perform_get()
        if response is None:
            return self.to_payload()
        payload = (
            response if isinstance(response, Payload) else self.to_payload(response)
        )
        value = self.from_payload(payload)
        if value is not None or self._state.time is not None:
            self.publish(value, getattr(payload, "time", None), repeat)
        return payload

    @_set_hook
    def validate(self, value: Any) -> Any:
        """Return *value* as `perform_set` is to get it, or raise. For subclasses."""
        return value

    @_set_hook
    def validate_type(self, value: Any) -> Any:
        """Return *value* in the item's type. ValueError: it does not fit."""
        return formats.coerce(self._description(), value)

    def add_performer(self, request: str, method: Performer) -> None:
        """Let *method* do what *request*, ``get`` or ``set``, asks for."""
        if request.strip().lower() == "get":
            self.add_get_performer(method)
        elif request.strip().lower() == "set":
            self.add_set_performer(method)
        else:
            raise ValueError(f"a request is 'get' or 'set', not {request!r}")

    def add_get_performer(self, method: Performer) -> None:
        """Let ``method()`` stand in for `perform_get`."""
        if not callable(method):
            raise TypeError("a performer can be called")
        self.perform_get = method  # type: ignore[method-assign]

    def add_set_performer(self, method: Performer) -> None:
        """Let ``method(value)`` stand in for `perform_set`."""
        if not callable(method):
            raise TypeError("a performer can be called")
        self.perform_set = method  # type: ignore[method-assign]

    def req_get(self, request: Any) -> Payload:
        """Answer a GET: look the value up if it asks for a refresh."""
        if getattr(request.payload, "refresh", False) is True:
            return self.perform_poll()
        return self.to_payload()

    def req_set(self, request: Any) -> Any:
        """Carry a SET out; return the payload of its reply, or a Future of it."""
        self._log(request.payload)
        value = self.from_payload(request.payload)
        value = self.validate(self.validate_type(value))
        response = self.perform_set(value)
        if isinstance(response, Future):
            return _then(
                response, lambda result: self._carried_out(value, result, request)
            )
        return self._carried_out(value, response, request)

    def req_initialize(self, request: Any) -> None:
        """Take a value past `validate` and `perform_set`; it may have its time."""
        value = self.from_payload(request.payload)
        if value is not None:
            when = getattr(request.payload, "time", None)
            self.publish(self.validate_type(value), when)

    def reject_get(self, *_args: Any) -> None:
        raise TypeError(f"{self.full_key} cannot be read")

    def reject_set(self, *_args: Any) -> None:
        raise TypeError(f"{self.full_key} is read-only")

    # Helpers

    def _description(self) -> Any:
        return self.store.catalog.description(self.key)

    def _client(self) -> request.Client:
        place = self.store.follower.place_of(self.key)
        return request.client(place.host, place.rep)

    def _call(
        self, kind: bytes, payload: bytes, bulk: Buffer | None = None
    ) -> wire.Answer:
        """Ask the daemon, wherever it is; nothing is carried out twice."""
        daemon = self._client()
        asked = (kind, self.full_key, payload, bulk, self.timeout)
        try:
            return daemon.call(*asked)
        except (NoAckError, RemoteError) as error:
            if isinstance(error, RemoteError) and error.type != "KeyError":
                raise
            self.store.follower.look([self.key], _RECENT)
            if self._client() is daemon:
                raise
        return self._client().call(*asked)

    def _asked(self, value: Any) -> tuple[bytes, Buffer | None]:
        """Return the payload of a SET, which tells who we are, and its bulk."""
        if arrays.is_array(value) or type(self).to_payload is not Item.to_payload:
            payload = self.to_payload(value)
            payload.add_origin()
            return payload.encapsulate(), getattr(payload, "bulk", None)
        told = wire.dumps(value), wire.encoded_origin()
        return b'{"value":%b,"now":true,%b' % told, None

    def _shown(self, formatted: bool, quantity: bool) -> Any:
        value = self._state.value
        if value is None and (formatted or quantity):
            return None
        if quantity:
            return units.to_quantity(self._description(), value, formatted=formatted)
        return self.to_format(value) if formatted else value

    def _answer(self) -> tuple[bytes, Buffer | None]:
        """Return what a GET is answered with, from memory."""
        state = self._state
        if state.payload is None:
            return wire.dumps({"value": None, "time": self.timestamp}), None
        return state.payload, state.bulk

    def _set_plainly(self, payload: bytes, bulk: Buffer | None) -> tuple[bytes, bool]:
        """Carry a SET out that no user code takes part in.

        Return the reply, and whether it asks to be told what it brought. Who does is
        told before the subscribers are: the caller answers, and then has the publisher
        `release` what it holds.
        """
        self._log(payload)
        fields = wire.fields(payload)
        value = formats.coerce(self._description(), _decode(fields, bulk))
        asks = fields.get("now") is True
        if self.publish_on_set:
            server = self.store._publisher()
            send = server.hold if asks else server.send
            self._take(_state(value, time.time()), server, send)
        told = self._told() if asks else None
        return (_DONE if told is None else b'{"value":true,"now":%b}' % told), asks

    def _log(self, payload: Any) -> None:
        if self.log_on_set and _logger.isEnabledFor(_DEBUG):
            _logger.debug("SET of %s: %r", self.full_key, payload)

    def _carried_out(self, value: Any, response: Any, request: Any) -> Payload:
        if self.publish_on_set:
            self.publish(value)
        if response is None:
            asks = getattr(request.payload, "now", None) is True
            told = self._told() if asks else None
            return Payload(value=True, now=None if told is None else wire.Raw(told))
        return response if isinstance(response, Payload) else self.to_payload(response)

    def _told(self) -> bytes | None:
        """Return what the reply to a SET tells of the value, if it is to tell it."""
        _, _, payload, bulk = self._state
        is_short = payload is not None and bulk is None and len(payload) <= _TOLD
        return payload if is_short else None

    def _fetch(self, refresh: bool) -> None:
        before = self._state
        answer = self._call(GET, _REFRESH if refresh else b"")
        value, when = self._read(answer.payload, answer.bulk)
        fresh = State(value, when)
        with _told_lock:
            # What was published while the answer was on its way is newer.
            if self._state is not before and when < (self._state.time or 0):
                return
            self._state = fresh
        self._pass_on(fresh)

    def _published(self, publication: wire.Publication) -> bool:
        """Take a value; return whether it was news."""
        value, when = self._read(publication.payload, publication.bulk)
        state = State(value, when)
        with _told_lock:
            expected, until = self._ahead
            if when < expected and time.monotonic() > until:
                expected = -math.inf
            if when >= expected:
                self._ahead, self._state = _NOBODY_TOLD, state
        self._pass_on(state)
        return when > expected or bool(self._callbacks)

    def _follow(self, before: State, value: Any, payload: bytes) -> None:
        """See to it that what a SET to *value* brought can be read."""
        now = wire.fields(payload).get("now") if b'"now"' in payload else None
        # Who waits for the SET also sees what its callbacks did.
        if (
            self._callbacks
            or not isinstance(now, dict)
            or not {"value", "time"} <= {*now}
        ):
            self._await_change(before, value)
            return
        told, when = self._understood(now, None)
        with _told_lock:
            held = self._state.time or 0.0
            if when > held or (self._state is before and when != held):
                self._state = State(told, when)
                self._ahead = when, time.monotonic() + _LAG

    def _read(self, payload: bytes, bulk: Buffer | None) -> tuple[Any, float]:
        return self._understood(wire.fields(payload), bulk)

    def _understood(
        self, fields: dict[str, Any], bulk: Buffer | None
    ) -> tuple[Any, float]:
        if type(self).from_payload is Item.from_payload:
            value = _decode(fields, bulk)
        else:
            value = self.from_payload(Payload(**{**fields, "bulk": bulk}))
        when: Any = fields.get("time")
        return value, when if type(when) in _NUMBERS else time.time()

    def _pass_on(self, state: State) -> None:
        if self._callbacks:
            self._propagate(state)
        if self._waiting is not None:
            self._release()

    def _release(self) -> None:
        waiting = self.__dict__.pop("_waiting", None)
        if waiting is None:
            return  # another thread was first
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
        elif _is_same(before, State(value)):
            return  # nothing changed, so nothing is published
        if not waiting.acquire(timeout=_SETTLE):
            with contextlib.suppress(TimeoutError, MktlError):
                self._fetch(refresh=False)

    def _confirm(self, primed: State) -> None:
        """Ask for the value again, unless it has changed; on the loop's thread."""
        if self._state is primed:
            self._catch_up()

    def _catch_up(self) -> None:
        """Have it asked for what was published and not heard; on the loop's thread."""
        if self.store._has(self):
            # Not here: who makes a client meanwhile waits for this thread.
            _callers.submit(("ask", id(self)), self._ask_again)

    def _ask_again(self) -> None:
        then = partial(self._caught_up, self._state)
        self._client().ask(GET, self.full_key, timeout=self.timeout, then=then)

    def _caught_up(self, before: State, asked: Pending) -> None:
        try:
            answer = asked.answered()
        except (TimeoutError, MktlError) as error:
            _logger.info("%s is not read again: %s", self.full_key, error)
            return
        fresh = State(*self._read(answer.payload, answer.bulk))
        with _told_lock:
            if self._state is not before or _is_same(before, fresh):
                return
            self._state = fresh
        self._pass_on(fresh)

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

    def _forked(self) -> None:
        """Forget what the parent heard, and for whom."""
        if not self.authoritative:
            self._state, self._ahead, self._waiting = _NOTHING, _NOBODY_TOLD, None
            self._callbacks = None
            self.subscribed = False


_GET_HOOKS = ("perform_get", "perform_poll", "req_get", "to_payload", "publish")
_SET_HOOKS = (
    "perform_set",
    "req_set",
    "validate",
    "validate_type",
    "from_payload",
    "publish",
)

_callers = Pool("mktl-client-callback")
_told_lock = threading.Lock()  # for values that clients' items are told
_to_quantity = units.to_quantity


def _forked() -> None:
    global _told_lock  # noqa: PLW0603 - it may have been held
    _told_lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)


def _overrides(cls: type[Item], names: tuple[str, ...]) -> bool:
    return any(getattr(cls, name) is not getattr(Item, name) for name in names)


def _state(value: Any, when: float) -> State:
    if type(value) in _PLAIN:
        return State(value, when, wire.dumps({"value": value, "time": when}))
    if arrays.is_array(value):
        bulk, shape, dtype = arrays.take_apart(value)
        described = {"value": None, "time": when, "shape": shape, "dtype": dtype}
        payload = wire.dumps(described)
        kept = value
        if not isinstance(value, bytes | bytearray | memoryview):
            kept = arrays.put_together(bulk, shape, dtype)
        return State(kept, when, payload, bulk)
    if hasattr(value, "tolist"):  # a numpy scalar
        value = value.tolist()
    payload = wire.dumps({"value": value, "time": when})
    if isinstance(value, _MUTABLE):
        value = wire.loads(payload)["value"]
    return State(value, when, payload)


def _is_same(one: State, other: State) -> bool:
    # True and 1 are equal, and not the same on the wire.
    alike = type(one.value) is type(other.value)
    if type(other.value) in _PLAIN and other.bulk is None:
        return alike and bool(one.value == other.value)
    if one.bulk is not None or other.bulk is not None:
        return arrays.is_same(one.value, other.value)
    if arrays.is_array(one.value) or arrays.is_array(other.value):
        return arrays.is_same(one.value, other.value)
    if not alike or one.value != other.value:
        return False
    return not isinstance(one.value, _MUTABLE) or str(one.value) == str(other.value)


def _decode(fields: dict[str, Any], bulk: Buffer | None) -> Any:
    if bulk is None:
        try:
            return fields["value"]
        except KeyError:
            if fields.get("error"):
                return None
            raise ValueError("the payload has no value") from None
    return arrays.put_together(
        bulk, fields.get("shape", [len(bulk)]), fields.get("dtype", "uint8")
    )


def _then(first: Future[Any], act: Callable[[Any], Any]) -> Future[Any]:
    """Return a Future of what *act* makes of the result of *first*."""
    second: Future[Any] = Future()

    def settle(done: Future[Any]) -> None:
        try:
            second.set_result(act(done.result()))
        except BaseException as error:  # noqa: BLE001 - it is the second's outcome
            second.set_exception(error)

    first.add_done_callback(settle)
    return second
