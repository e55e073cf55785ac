"""A daemon's life: its items, its ports, its answers, its end."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from . import (
    access,
    answer,
    builtins,
    client,
    config,
    discovery,
    loop,
    paths,
    publish,
    request,
    wire,
)
from .answer import Answered, Ticket, error_payload
from .catalog import split
from .config import Configuration
from .errors import RefusedError, RemoteError
from .item import Item
from .saver import Saver
from .wire import GET, Buffer, Payload
from .workers import Pool

Handler = Callable[["Incoming"], Any]
Row = tuple[str, Any, float | None]

_logger = logging.getLogger(__name__)

_WORKERS = 32  # threads for what users' methods do
_OWN_WORKERS = 4  # threads for what the daemon itself does, whatever users' methods do
_TARGETS = 100_000  # items that are found without taking their name apart
_REGISTRY = 60.0  # seconds that a registry may take for a catalog, be it large
_TRIES = 10  # at the port that the daemon had
_ANNOUNCE = 0.5  # seconds that changes of the catalog are collected
_AGAIN = (1.0, 2.0, 5.0, 10.0)  # seconds until a registry that refused is asked again
_TOO_MANY = "too many requests wait here already"
_ANYWHERE = ("*", "0.0.0.0", "[::]")  # noqa: S104 - compared, not bound
_CATALOGS = (
    "_catalog",
    "_config",
    "config",
    "catalog",
)  # the last is asked by a registry
_HASH = "_hash"


class Incoming:
    """A request as handlers and `Item.req_set` see it."""

    __slots__ = ("flags", "id", "payload", "target", "type")

    def __init__(self, asked: wire.Request) -> None:
        self.id = asked.ident
        self.type = asked.kind.decode()
        self.target = asked.target
        self.flags = asked.flags
        fields = wire.fields(asked.payload)
        fields.pop("omit", None)
        self.payload = Payload(**{**fields, "bulk": asked.bulk})


class Daemon:
    """Provides the items of *alias* in *store*; to be subclassed.

    The items are those of ``daemon/store/<store>/<alias>.json``, of `describe_items`
    and of `add_item`. *options* is for the subclass; ``interface`` and ``allow`` in it
    are looked at here, too. With *override* registries forget a daemon that is gone
    and has the same keys or the same alias.

    RefusedError: the daemon runs already, or a registry says that something else has
    its keys.
    """

    def __init__(
        self, store: str, alias: str, override: bool = False, options: Any = None
    ) -> None:
        self.alias = alias
        self.options = options
        self.override = override
        self.shutdown = threading.Event()
        self._cleaned = False
        self._cleanup_lock = threading.Lock()
        self._user_cleanup = self.cleanup
        self.cleanup = self._cleanup_once  # type: ignore[method-assign]
        self._restored = False
        self._on_air = False
        self._depth = 0
        self._lock = threading.RLock()
        self._desk = _Desk(self)
        self._workers = Pool("mktl-worker", _WORKERS)
        self._jobs = Pool("mktl-daemon", _OWN_WORKERS)
        self._loop = loop.shared()
        self._telling = False  # the network is about to be told of the catalog
        self._tries = 0  # since all registries last accepted all items
        self._is_refused = False
        self._retry: loop.Timer | None = None
        self._listeners: list[discovery.Listener] = []

        self.parse_options(options)
        described = self.describe_items()
        if described:
            config.authoritative(store, alias, described)
        self.catalog = config.get(store, alias)
        self.uuid = self.catalog.uuids(authoritative=True)[0]
        self._kept = paths.Kept(self.uuid)
        self._saver = Saver(
            self._kept, self._loop, lambda job: self._soon("persist", job)
        )
        self._mine = self._take_lock()
        atexit.register(self.cleanup)
        _daemons.add(self)
        try:
            self._open_ports()
            self._begin()
        except BaseException:
            self.cleanup()
            raise

    @property
    def config(self) -> Configuration:
        return self.catalog  # edition 1's name

    # For subclasses

    def parse_options(self, options: Any) -> None:
        """Look at *options*; called before anything else."""

    def describe_items(self) -> Mapping[str, Any] | None:
        """Return descriptions by key, in place of the items' file."""
        return None

    def setup(self) -> None:
        """Add items. Nothing is announced yet; this may take its time."""

    def setup_final(self) -> None:
        """The last call before the daemon is announced: every item has its value."""

    def started(self) -> None:
        """Called once the daemon is on the air."""

    def announced(self, accepted: bool, reason: str) -> None:
        """Called when a registry begins to refuse the items, and when none does again.

        Items that a daemon on the air has added may be another's. It answers for them
        all the same, but new clients do not find it, and announces them again until
        they are accepted. *reason* is the registry's.
        """

    def cleanup(self, *args: Any, **kwargs: Any) -> None:
        """Called once when the daemon ends, whatever happens; the rest ends after."""

    # The daemon's items

    def add_item(
        self, item_class: type[Item], key: str, *args: Any, **kwargs: Any
    ) -> Item:
        """Make the item *key* by ``item_class(store, key, *args, **kwargs)``.

        An item that the catalog has not is described by the keyword *description*, and
        can be added while the daemon is on the air. KeyError: nothing describes it.
        RuntimeError: it is there already.
        """
        name = key.lower()
        with self.changing():
            is_new = name not in self.catalog.authoritative_items
            if is_new:
                if "description" not in kwargs:
                    raise KeyError(f"nothing describes the item {key!r}")
                self.catalog.add({name: kwargs.pop("description")})
            try:
                item = self._make(item_class, name, *args, **kwargs)
            except BaseException:
                if is_new:
                    self.catalog.drop([name])
                raise
        if self._restored:
            self._give_value(name)
        return item

    def add_items(
        self,
        descriptions: Mapping[str, Mapping[str, Any]],
        item_class: type[Item] = Item,
    ) -> None:
        """Describe and make many items at once: ``{key: description}``.

        ValueError: a bad description or a key that is taken; nothing is added then.
        """
        with self.changing():
            keys = self.catalog.add(descriptions)
            try:
                for key in keys:
                    self._make(item_class, key)
            except BaseException:
                self.remove_items(keys)
                raise
        if self._restored:
            for key in keys:
                self._give_value(key)

    def remove_item(self, key: str) -> None:
        """Take an item away. KeyError: there is none."""
        self.remove_items([key])

    def remove_items(self, keys: Iterable[str]) -> None:
        """Take items away: they are refused with a KeyError from now on."""
        names = [key.lower() for key in keys]
        for name in names:
            if name not in self.catalog.authoritative_items:
                raise KeyError(f"this daemon has no {name!r}")
        with self.changing():
            self.catalog.drop(names)
            for name in names:
                self._unmake(name)
            self._desk.forget(f"{self.store.name}.{name}" for name in names)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Collect changes of the items: they are told to the network once, at the end.

        May be nested. The catalog itself changes at once.
        """
        with self._lock:
            self._depth += 1
            before = self._hash()
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._on_air and self._hash() != before:
                    self._tell_later()

    def publish(self, rows: Iterable[Row]) -> None:
        """Publish many values: rows of key, value, and time (UNIX seconds) or None.

        KeyError: there is no such item; the rows before it are published.
        """
        items = self.store._items
        for key, value, when in rows:
            item = items.get(key)
            # Not `or`: an item is true or false as its value is.
            (self.store[key] if item is None else item).publish(value, when)

    def add_performer(self, key: str, request: str, method: Callable[..., Any]) -> None:
        """Let *method* be the item's `perform_get` or `perform_set`."""
        self._own(key).add_performer(request, method)

    def add_performers(
        self, performers: Iterable[tuple[str, str, Callable[..., Any]]]
    ) -> None:
        for key, asked, method in performers:
            self.add_performer(key, asked, method)

    def add_get_performer(self, key: str, method: Callable[..., Any]) -> None:
        self._own(key).add_get_performer(method)

    def add_set_performer(self, key: str, method: Callable[..., Any]) -> None:
        self._own(key).add_set_performer(method)

    def add_handler(self, key: str, request: str, method: Handler) -> None:
        """Let *method* answer an item's ``get`` or ``set`` past the item itself."""
        kind = request.strip().lower()
        if kind not in ("get", "set"):
            raise ValueError(f"a request is 'get' or 'set', not {request!r}")
        target = self._own(key).full_key
        self._desk.add_handler(kind.upper().encode(), target, method)

    def add_handlers(self, handlers: Iterable[tuple[str, str, Handler]]) -> None:
        for key, asked, method in handlers:
            self.add_handler(key, asked, method)

    def add_get_handler(self, key: str, method: Handler) -> None:
        self.add_handler(key, "get", method)

    def add_set_handler(self, key: str, method: Handler) -> None:
        self.add_handler(key, "set", method)

    # The end

    def stop(self) -> None:
        """Ask for the end: whoever waits for `shutdown` calls `cleanup`."""
        self.shutdown.set()

    def _cleanup_once(self, *args: Any, **kwargs: Any) -> None:
        with self._cleanup_lock:
            if self._cleaned:
                return
            self._cleaned = True
        self.shutdown.set()
        atexit.unregister(self.cleanup)
        try:
            self._user_cleanup(*args, **kwargs)
        finally:
            self._close()

    def _close(self) -> None:
        self._on_air = False
        for listener in self._listeners:
            listener.close()
        store = getattr(self, "store", None)
        if store is not None:
            for item in list(store._items.values()):
                if item is not None and item._custom_get:
                    item.poll(None)
        self._workers.close()
        self._jobs.close()
        for name in ("rep", "pub"):
            server = getattr(self, name, None)
            if server is not None:
                server.close()
        self._saver.close()
        self._mine.release()
        if store is None:
            self.catalog.disclaim()
            return
        client.forget(self.catalog.store)
        config.forget(self.catalog.store)

    def _forked(self) -> None:
        """Leave all to the parent, whose daemon it is."""
        self._cleaned = True
        atexit.unregister(self.cleanup)
        self._mine.release()

    # The beginning

    def _open_ports(self) -> None:
        host = getattr(self.options, "interface", None) or paths.interface()
        store = self.catalog.store
        rep, pub = paths.ports(store, self.uuid)
        if rep is not None:
            self._look_for_twin(host, rep)
        domain = self._guard()
        avoid = paths.taken_ports()
        self.pub = _open(
            lambda port: publish.Server(self._loop, host, port, avoid, domain), pub
        )
        avoid |= {self.pub.port}
        self.rep = _open(
            lambda port: answer.Server(
                self._loop, self._desk, host, port, avoid, domain
            ),
            rep,
        )
        paths.save_ports(store, self.uuid, self.rep.port, self.pub.port)
        self.hostname = _reachable(self.rep.host)
        self.is_local = self.hostname.startswith("127.")
        self._mine.say(f"{self.hostname}:{self.rep.port}")

    def _look_for_twin(self, host: str, port: int) -> None:
        """RefusedError: this daemon answers at its port already.

        It was started from a copy of this home, or from another machine.
        """
        where = paths.LOOPBACK if host in _ANYWHERE else host
        if client.uuid_at(where, port, self.catalog.store, self.alias) == self.uuid:
            raise self._twin(f"{where}:{port}")

    def _twin(self, where: str) -> RefusedError:
        return RefusedError(
            f"{self.alias!r} of {self.catalog.store!r} runs already, at {where}"
        )

    def _guard(self) -> str:
        """Return the ZAP domain of the daemon's ports; without a list there is none."""
        told = getattr(self.options, "allow", None) or paths.allowed()
        self._allowed = access.networks(told)
        if not self._allowed:
            return ""
        access.guard(self._loop, self.uuid, self._allowed)
        return self.uuid

    def _take_lock(self) -> paths.Lock:
        try:
            return paths.Lock(self.catalog.store, self.alias)
        except paths.Taken as taken:
            if not client.is_own(self.catalog.store):
                self.catalog.disclaim()
            where = str(taken) or "an address that it is about to choose"
            raise self._twin(where) from None

    def _begin(self) -> None:
        self.catalog.add({})
        block = self.catalog.authoritative_block or {}
        block["provenance"] = [
            {
                "stratum": 0,
                "hostname": self.hostname,
                "rep": self.rep.port,
                "pub": self.pub.port,
            }
        ]
        self.store = client.own(self.catalog.store)
        self.store._daemon = self
        self.rep.start()
        self.setup()
        self._add_missing()
        self._restore()
        self.setup_final()
        self._desk.open()
        self._listen()
        told = self._hash()
        failures = self._announce()
        for failure in failures:
            if isinstance(failure, RefusedError):
                raise failure
        self._on_air = True
        self._take_stock(failures)
        if self._hash() != told:
            self._tell_later()
        self.started()
        self._loop.later(0, self._save_catalog_soon)

    def _listen(self) -> None:
        _, udp = paths.discovery_ports()
        try:
            self.answer_calls(udp)
        except ConnectionError as error:
            # Registries that are there are told all the same.
            _logger.warning("a new registry will not find this daemon: %s", error)

    def answer_calls(self, udp: int) -> None:
        """Answer calls on a UDP port. ConnectionError: somebody else has it."""
        listener = discovery.Listener(self._loop, udp, self.rep.port, self._may_ask)
        self._listeners.append(listener)

    def _may_ask(self, host: str) -> bool:
        # Who cannot connect is not told where.
        if self.is_local and not discovery.is_local(host):
            return False
        return access.is_allowed(host, self._allowed)

    def _answer(self, ticket: Ticket, lane: str, make: Callable[[], bytes]) -> None:
        """Answer with the payload that a thread of the daemon's own makes."""

        def job() -> None:
            try:
                ticket.reply(make())
            except Exception as error:
                if not isinstance(error, ValueError):
                    _logger.exception("unable to answer %s", ticket.request.target)
                ticket.fail(error)

        if not self._jobs.submit(lane, job):
            raise RuntimeError(_TOO_MANY)

    def accept(self, ticket: Ticket) -> None:
        """Take in an announcement; only registries do."""
        raise TypeError(f"{ticket.request.target} is for registries; this is none")

    def _add_missing(self) -> None:
        for key, builtin in builtins.items(self.alias, self.uuid).items():
            if key not in self.catalog.authoritative_items:
                self.catalog.add({key: builtin.description})
            if self.store._items.get(key) is None:
                self._make(builtin.kind, key)
        for key in self.catalog.authoritative_items:
            if self.store._items.get(key) is None:
                self._make(Item, key)

    def _make(
        self, item_class: type[Item], key: str, *args: Any, **kwargs: Any
    ) -> Item:
        existing = self.store._items.get(key)
        if existing is not None and existing.authoritative:
            raise RuntimeError(f"{existing.full_key} is there already")
        was_there = key in self.store._items
        self.store._leave(key)
        try:
            item = item_class(self.store, key, *args, **kwargs)
        except BaseException:
            self._unmake(key)
            if was_there:
                self.store._items[key] = existing
            raise
        for callback in existing.callbacks if existing is not None else ():
            item.register(callback)
        return item

    def _unmake(self, key: str) -> None:
        item = self.store._items.get(key)
        if item is not None:
            item.poll(None)
        self.store._leave(key)

    def _own(self, key: str) -> Item:
        name = key.strip().lower()
        if name not in self.catalog.authoritative_items:
            raise KeyError(f"this daemon has no {key!r}")
        item = self.store._items.get(name)
        return self.add_item(Item, name) if item is None else item

    # Values

    def changed(self, item: Item) -> None:
        """Keep the value that a persistent item took."""
        self._saver.changed(item)

    def _restore(self) -> None:
        """Give the items their initial values, and over these the kept ones."""
        items = self.store._items
        # From here on items that are added see to their values themselves.
        self._restored = True
        for key in list(self.catalog.authoritative_items):
            item = items.get(key)
            if item is not None:
                self._give_initial_value(item)
        for key, payload, bulk in self._kept.load():
            item = items.get(key)
            if item is not None and item._persists:
                self._restore_value(item, payload, bulk)
        self._saver.begin()

    def _give_value(self, key: str) -> None:
        """Give an item that came late the value that it would have had."""
        item = self.store[key]
        if item._state.time is not None:
            return
        if item._persists:
            # What had this key before may have taken a value a moment ago.
            self._saver.save()
            kept = self._kept.read(key)
            if kept is not None and self._restore_value(item, *kept):
                return
        self._give_initial_value(item)

    def _give_initial_value(self, item: Item) -> None:
        initial = item._description().get("initial")
        if initial is not None:
            self._initialize(item, initial)
            self._saver.forget(item.key)

    def _initialize(self, item: Item, value: Any) -> None:
        asked = wire.Request(
            b"", wire.SET, item.full_key, 0, wire.dumps({"value": value})
        )
        try:
            item.req_initialize(Incoming(asked))
        except ValueError as error:
            raise ValueError(
                f"the initial value of {item.full_key}: {error}"
            ) from error

    def _restore_value(self, item: Item, payload: bytes, bulk: Buffer | None) -> bool:
        """Return whether the item took the value."""
        try:
            asked = wire.Request(b"", wire.SET, item.full_key, 0, payload, bulk)
            if item._custom_set and item._description().get("settable", True):
                item.req_set(Incoming(asked))
            else:
                item.req_initialize(Incoming(asked))
        except Exception:
            _logger.exception("the kept value of %s is lost", item.full_key)
            return False
        self._saver.forget(item.key)
        return True

    def _soon(self, lane: str, job: Callable[[], Any]) -> None:
        """Have a thread of the daemon's own do *job*; later, if too many wait."""
        if not self._jobs.submit(lane, job) and not self._cleaned:
            self._loop.later(_AGAIN[-1], lambda: self._soon(lane, job))

    # The catalog

    def _hash(self) -> int:
        block = self.catalog.authoritative_block
        return 0 if block is None else block["hash"]

    def _tell_later(self) -> None:
        self._loop.later(_ANNOUNCE, self._tell_soon)

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self._soon("announce", self._tell)

    def _tell(self) -> None:
        self._telling = False
        self._save_catalog()
        self._publish_hash()
        self._announce_again()

    def _publish_hash(self) -> None:
        """Tell clients that follow some item that the catalog is another."""
        store = self.catalog.store
        told = {"value": {store: {self.uuid: self._hash()}}, "time": time.time()}
        with self.pub.lock:
            self.pub.send(wire.topic(f"{store}.{_HASH}"), wire.dumps(told), None)

    def _announce_again(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._take_stock(self._announce())

    def _take_stock(self, failures: list[Exception]) -> None:
        """Announce again what some registry has not taken; say so once."""
        refused = [each for each in failures if isinstance(each, RefusedError)]
        if failures:
            pause = _AGAIN[min(self._tries, len(_AGAIN) - 1)]
            self._retry = self._loop.later(pause, self._announce_soon)
            is_news = bool(refused and not self._is_refused) or not self._tries
            if is_news:
                reason = (refused or failures)[0]
                _logger.warning("%s; it is asked again until it accepts", reason)
        self._tries = self._tries + 1 if failures else 0
        if refused and not self._is_refused:
            self._is_refused = True
            self.announced(False, str(refused[0]))
        elif self._is_refused and not failures:
            self._is_refused = False
            _logger.info("%s is accepted again", self.alias)
            self.announced(True, "")

    def _announce_soon(self) -> None:
        self._soon("announce", self._announce_again)

    def _save_catalog_soon(self) -> None:
        self._soon("catalog", self._save_catalog)

    def _save_catalog(self) -> None:
        # Nobody's clients but this home's look there; the wire has it, too.
        try:
            self.catalog.save(self.uuid)
        except OSError as error:
            _logger.warning("the catalog is not saved: %s", error)

    def _announce(self) -> list[Exception]:
        """Tell all registries; return why some of them have not taken it."""
        failures: list[Exception] = []
        try:
            registries = discovery.registries(wait=True, local=self.is_local)
        except OSError as error:
            return [error]
        more = {"override": True} if self.override else {}
        block = self.catalog.encoded_block(self.uuid, **more) if registries else b""
        for host, port in registries:
            if self._is_here(host, port):
                continue
            try:
                _announce_to(host, port, self.catalog.store, block)
            except (RefusedError, TimeoutError, ValueError) as error:
                failures.append(error)
        return failures

    def _is_here(self, host: str, port: int) -> bool:
        """Tell whether this daemon itself is at an address."""
        # Others have the same port, each on its machine.
        return port == self.rep.port and discovery.is_local(host)


_daemons: weakref.WeakSet[Daemon] = weakref.WeakSet()


def _forked() -> None:
    for daemon in _daemons:
        if not daemon._cleaned:
            daemon._forked()


os.register_at_fork(after_in_child=_forked)


class _Desk:
    """Answers the requests of a daemon; on the loop's thread, so nothing waits."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
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
            if item is None or (payload and item._custom_get):
                return None
            return *item._answer(), False
        item = self._settable.get(target)
        if item is None or item._custom_set:
            return None
        try:
            reply, asks = item._set_plainly(payload, None)
        except (KeyError, ValueError, TypeError) as error:
            return error_payload(error, debug=False), None, False
        # Who asks what a SET brought takes a reply for the ACK that did not come.
        return reply, None, asks

    def answered(self) -> None:
        self._daemon.pub.release()

    def handle(self, ticket: Ticket) -> None:
        asked = ticket.request
        if not self._is_open and not _is_ours(asked):
            self._put_off(ticket)
            return
        handler = self._handlers.get((asked.kind, asked.target))
        if handler is not None:
            self._work(asked.target, ticket, handler)
            return
        store, key = split(asked.target)
        if key in ("", _HASH, *_CATALOGS) and self._handle_catalog(ticket, store, key):
            return
        item = self._item(store, key)
        if asked.kind == GET:
            self._get(ticket, item)
        else:
            self._set(ticket, item)

    def _put_off(self, ticket: Ticket) -> None:
        """Tell who asks before the daemon is ready that there is one, and which."""
        daemon, asked = self._daemon, ticket.request
        store = daemon.catalog.store
        if (asked.kind, asked.target) == (GET, f"{store}._{daemon.alias}uuid".lower()):
            ticket.reply(wire.dumps({"value": daemon.uuid}))
            return
        error = RuntimeError(
            f"{daemon.alias!r} of {store!r} is starting; not ready yet"
        )
        ticket.reply(error_payload(error, debug=False))

    def _item(self, store: str, key: str) -> Item:
        mine = self._daemon.store
        if store != mine.name:
            raise KeyError(f"store {store!r} is not here, this is {mine.name!r}")
        item = mine._items.get(key)
        if item is None or not item.authoritative:
            raise KeyError(f"this daemon has no {key!r}")
        return item

    def _get(self, ticket: Ticket, item: Item) -> None:
        asked = ticket.request
        if item._description().get("gettable") is False:
            item.reject_get()
        refresh = wire.fields(asked.payload).get("refresh") is True
        custom = item.req_get.__func__ is not Item.req_get  # type: ignore[attr-defined]
        if custom or (refresh and item._custom_get):
            self._work(("get", item.key), ticket, item.req_get)
            return
        self._remember(self._readable, asked, item)
        ticket.reply(*item._answer())

    def _set(self, ticket: Ticket, item: Item) -> None:
        if item._description().get("settable") is False:
            item.reject_set()
        if item._custom_set:
            self._work(item.key, ticket, item.req_set)
            return
        asked = ticket.request
        self._remember(self._settable, asked, item)
        reply, _ = item._set_plainly(asked.payload, asked.bulk)
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
            if key in (_HASH, "_catalog", "_config"):
                raise TypeError(f"{target} is read-only")
            return False
        if target in (_HASH, f".{_HASH}"):
            ticket.reply(wire.dumps({"value": config.get_hashes()}))
        elif key == _HASH:
            ticket.reply(wire.dumps({"value": config.get_hashes(store)}))
        elif key in ("_catalog", "_config") or (
            key == "catalog" and key not in daemon.store
        ):
            known = config.here(store)
            daemon._answer(ticket, "catalog", lambda: _value(known.encoded()))
        else:
            return False
        return True

    def _remember(
        self, items: dict[bytes, Item], asked: wire.Request, item: Item
    ) -> None:
        with self._lock:
            # Since it was looked up it may have been removed, or got a handler.
            gone = not item.store._has(item)
            if (
                gone
                or not self._is_open
                or (asked.kind, asked.target) in self._handlers
            ):
                return
            if len(items) >= _TARGETS:
                items.clear()
            items[asked.target.encode()] = item

    def _work(self, lane: Any, ticket: Ticket, act: Handler) -> None:
        if not self._daemon._workers.submit(lane, lambda: _carry_out(ticket, act)):
            raise RuntimeError(_TOO_MANY)


def _is_ours(asked: wire.Request) -> bool:
    """Tell whether a SET comes from this process: items set each other in `setup`."""
    if asked.kind != wire.SET:
        return False
    fields = wire.fields(asked.payload)
    return all(fields.get(name) == told for name, told in wire.origin().items())


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


def _open(make: Callable[[int | None], Any], port: int | None) -> Any:
    """Open a server on the port that it had, or else on any."""
    for _ in range(_TRIES if port is not None else 0):
        with contextlib.suppress(ConnectionError):
            return make(port)
        # ZeroMQ gives a port back a moment after its socket has been closed.
        time.sleep(0.02)
    return make(None)


def _reachable(host: str) -> str:
    """Return an address that answers for something bound to *host*."""
    if host not in _ANYWHERE:
        return host
    name = socket.getfqdn()
    with contextlib.suppress(OSError):
        if not socket.gethostbyname(name).startswith("127."):
            return name
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks which address the way out has.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return paths.LOOPBACK
        return str(probe.getsockname()[0])


def _announce_to(host: str, port: int, store: str, block: bytes) -> None:
    """Tell a registry of a block. RefusedError: it knows something that disagrees.

    TimeoutError: it does not answer.
    """
    registry = request.client(host, port)
    names = [(wire.SET, "_catalog"), (wire.SET, "_config"), (wire.CONFIG, store)]
    while names:
        kind, target = names.pop(0)
        try:
            registry.call(kind, target, _value(block), timeout=_REGISTRY)
        except RemoteError as error:
            unknown = target == "_catalog" and _is_unknown(error)
            if unknown or (registry.early and kind == wire.SET):
                continue  # its edition has another name for it
            raise RefusedError(
                f"the registry at {host}:{port} refuses: {error.type}: {error.text}"
            ) from error
        else:
            return


def _is_unknown(error: RemoteError) -> bool:
    return error.type in ("KeyError", "ValueError") and "_catalog" in error.text
