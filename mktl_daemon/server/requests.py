"""Answers the requests of a daemon; what takes its time is done by workers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Protocol

from mktl_daemon import config
from mktl_daemon.configuration import Configuration
from mktl_daemon.core import wire
from mktl_daemon.core.catalog import split
from mktl_daemon.core.packing import is_wanted, pack
from mktl_daemon.core.wire import GET, Payload
from mktl_daemon.item import Item
from mktl_daemon.net import pub
from mktl_daemon.net.router import Answered, Ticket, error_payload
from mktl_daemon.net.workers import Pool
from mktl_daemon.store import Store

Handler = Callable[["Incoming"], Any]

_logger = logging.getLogger(__name__)

TOO_MANY = "too many requests are waiting here already"
# Payloads of a GET that are known to be right.
_PLAIN_GETS = frozenset(
    {b"", b"{}", wire.dumps({"refresh": True}), b'{"refresh": true}'}
)
_TARGETS = 100_000  # items that are found without taking their name apart
_CATALOGS = ("_catalog", "_config", "config", "catalog")  # a registry asks for the last
_HASH = "_hash"
# Who a daemon is until it ends: its UUID is that of its next process as well.
INSTANCE = "_instance"


class Incoming:
    """A request as handlers and `Item.req_set` see it."""

    __slots__ = ("flags", "id", "payload", "target", "timestamp", "type")

    def __init__(self, request: wire.Request) -> None:
        self.id = request.ident
        self.type = request.kind.decode()
        self.target = request.target
        self.flags = request.flags
        self.timestamp = time.time()  # when it was taken up
        fields = wire.fields(request.payload)
        fields.pop("omit", None)
        self.payload = Payload(**{**fields, "bulk": request.bulk})


class Provider(Protocol):
    """What a dispatcher needs of its daemon."""

    alias: str
    uuid: str
    instance: str
    catalog: Configuration
    store: Store
    pub: pub.Server
    passes_on: bool

    def accept(self, ticket: Ticket) -> None:
        """Take in an announcement, or refuse it."""

    def answer_later(
        self, ticket: Ticket, lane: str, make: Callable[[], bytes]
    ) -> None:
        """Answer with the payload that a thread of the daemon's own makes."""


class RequestDispatcher:
    """Answers the requests of a daemon; on the loop's thread, so nothing waits."""

    def __init__(self, daemon: Provider, workers: Pool, own: Pool) -> None:
        """*workers* carry out users' methods, *own* those of built-in items."""
        self._daemon = daemon
        self._workers = workers
        self._own = own
        self._is_open = False
        # Items by the bytes of their names, once these have been looked at slowly.
        self._readable: dict[bytes, Item] = {}
        self._settable: dict[bytes, Item] = {}
        self._handlers: dict[tuple[bytes, str], Handler] = {}
        self._lock = threading.Lock()  # of these three; held for a moment only

    def open(self) -> None:
        """Answer everybody from now on, not only who this is."""
        self._is_open = True

    def add_handler(self, kind: bytes, target: str, method: Handler) -> None:
        with self._lock:
            self._handlers[kind, target] = method
            self._readable.clear()
            self._settable.clear()

    def forget(self, targets: Iterable[str]) -> None:
        """Look at names anew; behind *targets* there is nothing any more."""
        with self._lock:
            for target in targets:
                self._handlers.pop((GET, target), None)
                self._handlers.pop((wire.SET, target), None)
            self._readable.clear()
            self._settable.clear()

    def at_once(self, kind: bytes, target: bytes, payload: bytes) -> Answered | None:
        if kind == GET:
            item = self._readable.get(target)
            if item is None or (payload and item.uses_get_code):
                return None
            if payload not in _PLAIN_GETS:
                return None  # to be read with care
            return *item.cached_answer(), False
        item = self._settable.get(target)
        if item is None or item.uses_set_code:
            return None
        try:
            reply, asks = item.set_directly(payload, None)
        except (KeyError, ValueError, TypeError) as error:
            return error_payload(error, debug=False), None, False
        # Who asks what a SET brought takes a reply for the ACK that did not come.
        return reply, None, asks

    def answered(self) -> None:
        self._daemon.pub.release()

    def handle(self, ticket: Ticket) -> None:
        request = ticket.request
        if not self._is_open and not _is_ours(request):
            self._put_off(ticket)
            return
        handler = self._handlers.get((request.kind, request.target))
        if handler is not None:
            self._work(request.target, ticket, handler)
            return
        store, key = split(request.target)
        if key in ("", _HASH, INSTANCE, *_CATALOGS) and self._handle_catalog(
            ticket, store, key
        ):
            return
        item = self._item(store, key)
        if request.kind == GET:
            self._get(ticket, item)
        else:
            self._set(ticket, item)

    def _put_off(self, ticket: Ticket) -> None:
        """Tell who asks before the daemon is ready that there is one, and which."""
        daemon, request = self._daemon, ticket.request
        store = daemon.catalog.store
        if (request.kind, request.target) == (
            GET,
            f"{store}._{daemon.alias}uuid".lower(),
        ):
            ticket.reply(wire.dumps({"value": daemon.uuid}))
            return
        error = RuntimeError(f"{daemon.alias!r} of {store!r} is still starting")
        ticket.reply(error_payload(error, debug=False))

    def _item(self, store: str, key: str) -> Item:
        mine = self._daemon.store
        if store != mine.name:
            raise KeyError(f"store {store!r} is not here, this is {mine.name!r}")
        item = mine.find(key)
        if item is None or not item.authoritative:
            raise KeyError(f"this daemon has no {key!r}")
        return item

    def _get(self, ticket: Ticket, item: Item) -> None:
        request = ticket.request
        if item.own_description().get("gettable") is False:
            item.reject_get()
        refresh = wire.fields(request.payload).get("refresh") is True
        custom = item.req_get.__func__ is not Item.req_get  # type: ignore[attr-defined]
        if custom or (refresh and item.uses_get_code):
            self._work(("get", item.key), ticket, item.req_get, item.is_builtin)
            return
        self._remember(self._readable, request, item)
        ticket.reply(*item.cached_answer())

    def _set(self, ticket: Ticket, item: Item) -> None:
        if item.own_description().get("settable") is False:
            item.reject_set()
        if item.uses_set_code:
            # A lane of its own does not wait for the one before.
            lane = ticket if item.concurrent else item.key
            self._work(lane, ticket, item.req_set, item.is_builtin)
            return
        request = ticket.request
        self._remember(self._settable, request, item)
        reply, _ = item.set_directly(request.payload, request.bulk)
        ticket.reply(reply)
        self.answered()

    def _handle_catalog(self, ticket: Ticket, store: str, key: str) -> bool:
        daemon = self._daemon
        target = ticket.request.target
        if ticket.request.kind != GET:
            # In June 2026 a daemon announced itself by SET <store>.config.
            elsewhere = key in _CATALOGS and store != daemon.store.name
            if elsewhere or target in ("_catalog", "_config"):
                daemon.accept(ticket)
                return True
            if key in (_HASH, INSTANCE, "_catalog", "_config"):
                raise TypeError(f"{target} is read-only")
            return False
        if target in (_HASH, f".{_HASH}"):
            ticket.reply(self._hash_reply(None))
        elif key == INSTANCE:
            ticket.reply(wire.dumps({"value": daemon.instance}))
        elif key == _HASH:
            ticket.reply(self._hash_reply(store))
        elif key in ("_catalog", "_config") or (
            key == "catalog" and key not in daemon.store
        ):
            known = self._known(store)
            only = None if daemon.passes_on else daemon.uuid
            form = pack if is_wanted(ticket.request.payload) else _value
            daemon.answer_later(ticket, "catalog", lambda: form(known.encoded(only)))
        else:
            return False
        return True

    def _hash_reply(self, store: str | None) -> bytes:
        """Return the hashes, and who answers: a registry has those of others, too."""
        fields = {"value": self._hashes(store), "uuid": self._daemon.uuid}
        return wire.dumps(fields)

    def _hashes(self, store: str | None) -> dict[str, dict[str, int]]:
        """Return ``{store: {uuid: hash}}``, of the daemon's own block or of all."""
        daemon = self._daemon
        if daemon.passes_on:
            return config.get_hashes(store)
        mine = self._known(store or daemon.store.name)
        return {mine.store: {daemon.uuid: mine.hashes()[daemon.uuid]}}

    def _known(self, store: str) -> Configuration:
        """Return what may be told of *store*. KeyError: nothing.

        A daemon tells its own block and no other: what its home has of its neighbours
        may be old.
        """
        daemon = self._daemon
        if not daemon.passes_on and store.lower() != daemon.store.name:
            raise KeyError(
                f"store {store!r} is not here, this is {daemon.store.name!r}"
            )
        return config.here(store)

    def _remember(
        self, items: dict[bytes, Item], request: wire.Request, item: Item
    ) -> None:
        with self._lock:
            # Since it was looked up it may have been removed, or got a handler.
            gone = not item.store.has_item(item)
            if (
                gone
                or not self._is_open
                or (request.kind, request.target) in self._handlers
            ):
                return
            if len(items) >= _TARGETS:
                items.clear()
            items[request.target.encode()] = item

    def _work(
        self, lane: Any, ticket: Ticket, act: Handler, is_own: bool = False
    ) -> None:
        pool = self._own if is_own else self._workers
        if not pool.submit(lane, lambda: _carry_out(ticket, act)):
            raise RuntimeError(TOO_MANY)


def _is_ours(request: wire.Request) -> bool:
    """Tell whether a SET comes from this process: items set each other in `setup`."""
    if request.kind != wire.SET:
        return False
    fields = wire.fields(request.payload)
    return all(fields.get(name) == value for name, value in wire.origin().items())


def _carry_out(ticket: Ticket, act: Handler) -> None:
    """Answer *ticket* with what *act* makes of it; on a worker."""
    try:
        result = act(Incoming(ticket.request))
        if isinstance(result, Future):
            result.add_done_callback(lambda done: _carry_out(ticket, _result_of(done)))
        else:
            _reply(ticket, result)
    except BaseException as error:
        _logger.debug("%s is refused", ticket.request.target, exc_info=True)
        ticket.fail(error)


def _result_of(done: Future[Any]) -> Handler:
    return lambda _: done.result()


def _reply(ticket: Ticket, result: Any) -> None:
    if result is None:
        ticket.reply(_value(b"null"))
        return
    payload = result if isinstance(result, Payload) else Payload(value=result)
    ticket.reply(payload.encapsulate(), getattr(payload, "bulk", None))


def _value(encoded: bytes) -> bytes:
    return b'{"value":' + encoded + b"}"
