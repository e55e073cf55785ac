"""An item: one key and its value, at the client's end and at the daemon's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

from mktl_daemon.core import formats
from mktl_daemon.core.units import from_quantity, to_quantity
from mktl_daemon.core.value import NOTHING
from mktl_daemon.core.wire import NO_ACK, NO_REP, SET, Payload
from mktl_daemon.net import dealer, loop
from mktl_daemon.net.pending import Pending

from . import follow, poll
from .daemon_end import DaemonEnd, then
from .hooks import get_hook, overrides, set_hook

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from .store import Store

    # The type of the value, if the program names it; a plain `Item` has any type.
    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    V = TypeVar("V")

Callback = Callable[["Item[Any]", Any, float], Any]
Performer = Callable[..., Any]


class Item(DaemonEnd, Generic[V]):
    """A key and its value; `value`, `formatted` and `quantity` read and set it.

    A client's item subscribes itself. A daemon's item publishes: subclasses say what
    a GET and a SET do in `perform_get`, `perform_set` and `validate`. ``Item[float]``
    is one whose value is a number, for type checkers.
    """

    __slots__ = ("__weakref__",)

    store: Store
    timeout = dealer.TIMEOUT  # seconds that a daemon may take for an answer

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.uses_get_code = overrides(cls, Item, _GET_HOOKS)
        cls.uses_set_code = overrides(cls, Item, _SET_HOOKS)
        cls._has_own_encoding = overrides(cls, Item, ["to_payload"])
        cls._has_own_decoding = overrides(cls, Item, ["from_payload"])

    def __init__(self, store: Store, key: str) -> None:
        self.key = key.lower()
        self.store = store
        self._state = NOTHING
        self._callbacks: list[Callable[[], Callback | None]] | None = None
        self.authoritative = store.is_own(self.key)
        self.subscribed = self.authoritative
        self.is_persistent = self.authoritative and bool(
            self.own_description().get("persist")
        )
        store.enter(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.full_key}: {self._state.value!r})"

    def __str__(self) -> str:
        return self.formatted

    @property
    def description(self) -> dict[str, Any]:
        """The description in the catalog, with the daemon's UUID and provenance."""
        return self.store.catalog[self.key]

    config = description  # edition 1's name

    # Values

    @property
    def value(self) -> V:
        """The value. Setting it is `set` at a client's end, `publish` at a daemon's."""
        if not self.authoritative:
            if not self.subscribed:
                self.subscribe()
            if self._state.value is None:
                self.get(refresh=True)
        current: V = self._state.value
        return current

    @value.setter
    def value(self, new_value: Any) -> None:
        if self.authoritative:
            self.publish(new_value)
        else:
            self.set(new_value)

    @property
    def formatted(self) -> str:
        """The value as text for people; it can be set, too."""
        return self.to_format(self.value)

    @formatted.setter
    def formatted(self, text: Any) -> None:
        self.value = self.from_format(text)

    @property
    def quantity(self) -> Any:
        """The value as a pint.Quantity; it can be set in any units that fit."""
        return self.to_quantity(self.value)

    @quantity.setter
    def quantity(self, quantity: Any) -> None:
        self.value = self.from_quantity(quantity)

    def to_format(self, value: Any) -> str:
        return formats.to_format(self.own_description(), value)

    def from_format(self, text: Any) -> Any:
        return formats.from_format(self.own_description(), text)

    def to_quantity(self, value: Any, units: Any = None) -> Any:
        """Return *value* as a pint.Quantity. TypeError: the item has no units."""
        return to_quantity(self.own_description(), value, units)

    def from_quantity(self, quantity: Any) -> Any:
        return from_quantity(self.own_description(), quantity)

    # The client's end

    @overload
    def get(
        self,
        refresh: bool = False,
        formatted: Literal[False] = False,
        quantity: Literal[False] = False,
    ) -> V: ...

    @overload
    def get(
        self,
        refresh: bool = False,
        *,
        formatted: Literal[True],
        quantity: Literal[False] = False,
    ) -> str | None: ...

    @overload
    def get(
        self, refresh: bool = False, formatted: bool = False, quantity: bool = False
    ) -> Any: ...

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

    @overload
    def set(
        self,
        new_value: Any,
        wait: Literal[True] = True,
        reply: Literal[True] = True,
        formatted: bool = False,
        quantity: bool = False,
    ) -> None: ...

    @overload
    def set(
        self,
        new_value: Any,
        wait: Literal[False],
        reply: bool = True,
        formatted: bool = False,
        quantity: bool = False,
    ) -> Pending: ...

    @overload
    def set(
        self,
        new_value: Any,
        wait: bool = True,
        reply: bool = True,
        formatted: bool = False,
        quantity: bool = False,
    ) -> Pending | None: ...

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
        payload, bulk = self._set_request(new_value)
        if not (wait and reply):
            flags = 0 if reply else NO_ACK | NO_REP
            request = (SET, self.full_key, payload, bulk, flags, self.timeout)
            daemon = self._answering_client(SET) if reply else self._client()
            pending = daemon.ask(*request)
            if reply and self.subscribed and not self.authoritative:
                follow_up = partial(self._follow_reply, before, new_value, pending)
                pending.before_return(follow_up)
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
            raise TypeError("a callback must be callable")
        self._add_callback(poll.reference(method))
        self.subscribe()
        if prime and self._state.time is not None:
            method(self, self._state.value, self.timestamp)

    def subscribe(self, prime: bool = True) -> None:
        """Follow the item; with *prime* also GET it, if its daemon is there.

        Items of clients do this by themselves.
        """
        if self.subscribed or not self.store.follower.follow(self):
            return  # or another thread does it
        self.subscribed = True
        if prime:
            self._prime()
            # The GET goes another way than the subscription and may overtake it: what
            # is published in between is not heard.
            primed = self._state
            loop.shared().later(follow.ARRIVAL, lambda: self._confirm(primed))

    # The daemon's end

    def poll(self, period: float | None) -> None:
        """Call `perform_poll` every *period* seconds; None or 0 ends that."""
        poll.start(self.perform_poll, period)

    def watch(self, item: Item) -> None:
        """Call `perform_poll` whenever *item* takes a value."""
        item.register(self.perform_poll)

    @get_hook
    def perform_get(self) -> Any:
        """Return the newest value, or None if there is nothing new.

        For subclasses. A `Payload` gives the time along with the value. It runs on one
        of the daemon's workers and may take its time.
        """
        return self.to_payload()

    @set_hook
    def perform_set(self, new_value: Any) -> Any:  # noqa: ARG002 - for subclasses
        """Do what a SET to *new_value* asks for; raise what the client is to be told.

        For subclasses. What is returned goes into the reply, if it is not None. A
        `concurrent.futures.Future` answers later: the worker is free until then, and
        its result or exception is what this method would have returned or raised.
        SETs of one item come in the order in which the client sent them.
        """
        return None

    @get_hook
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

    @set_hook
    def validate(self, value: Any) -> Any:
        """Return *value* as `perform_set` is to get it, or raise. For subclasses."""
        return value

    @set_hook
    def validate_type(self, value: Any) -> Any:
        """Return *value* in the item's type. ValueError: it does not fit."""
        return formats.coerce(self.own_description(), value)

    def add_performer(self, request: str, method: Performer) -> None:
        """Let *method* do what *request*, ``get`` or ``set``, asks for."""
        if request.strip().lower() == "get":
            self.add_get_performer(method)
        elif request.strip().lower() == "set":
            self.add_set_performer(method)
        else:
            raise ValueError(f"a request must be 'get' or 'set', not {request!r}")

    def add_get_performer(self, method: Performer) -> None:
        """Let ``method()`` stand in for `perform_get`."""
        if not callable(method):
            raise TypeError("a performer must be callable")
        self.perform_get = method  # type: ignore[method-assign]

    def add_set_performer(self, method: Performer) -> None:
        """Let ``method(value)`` stand in for `perform_set`."""
        if not callable(method):
            raise TypeError("a performer must be callable")
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
        if isinstance(response, CoroutineType):
            from .net.coroutines import run  # noqa: PLC0415 - asyncio is slow to import

            response = run(response)
        if isinstance(response, Future):
            return then(
                response, lambda result: self._carried_out(value, result, request)
            )
        return self._carried_out(value, response, request)

    def req_initialize(self, request: Any) -> None:
        """Take a value without `validate` and `perform_set`; it may have its time."""
        value = self.from_payload(request.payload)
        if value is not None:
            when = getattr(request.payload, "time", None)
            self.publish(self.validate_type(value), when)

    def _shown(self, formatted: bool, quantity: bool) -> Any:
        value = self._state.value
        if value is None and (formatted or quantity):
            return None
        if quantity:
            return to_quantity(self.own_description(), value, formatted=formatted)
        return self.to_format(value) if formatted else value


_GET_HOOKS = ("perform_get", "perform_poll", "req_get", "to_payload", "publish")
_SET_HOOKS = (
    "perform_set",
    "req_set",
    "validate",
    "validate_type",
    "from_payload",
    "publish",
)
