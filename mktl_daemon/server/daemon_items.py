"""What a daemon lets its subclasses do with its items."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mktl_daemon.configuration import Configuration
from mktl_daemon.core.value import state_of, unsent_state
from mktl_daemon.item import Item
from mktl_daemon.store import Store

from .announcer import Announcer
from .item_factory import ItemFactory
from .requests import Handler, RequestDispatcher
from .values import Values

Row = tuple[str, Any, float | None]

_PORTION = 100  # values that are published at once: others that publish have to wait


class DaemonItems:
    """Adds and removes items, publishes many values, lets functions answer requests."""

    catalog: Configuration
    store: Store
    _announcer: Announcer
    _dispatcher: RequestDispatcher
    _factory: ItemFactory
    _values: Values
    _lock: threading.RLock
    _depth: int
    _is_on_air: bool

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
                item = self._factory.make(item_class, name, *args, **kwargs)
            except BaseException:
                if is_new:
                    self.catalog.drop([name])
                raise
        self._values.give(item)
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
                    self._factory.make(item_class, key)
            except BaseException:
                self.remove_items(keys)
                raise
        for key in keys:
            self._values.give(self.store[key])

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
                self._factory.unmake(name)
            self._dispatcher.forget(f"{self.store.name}.{name}" for name in names)

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
                if self._depth == 0 and self._is_on_air and self._hash() != before:
                    self._announcer.announce_later()

    def publish(self, rows: Iterable[Row]) -> None:
        """Publish many values: rows of key, value, and time (UNIX seconds) or None.

        KeyError: there is no such item; the rows before it are published.
        """
        store, find_item = self.store, self.store.find
        taken: list[tuple[Item, Any, float]] = []
        try:
            for key, value, when in rows:
                item = find_item(key)
                if item is None:
                    item = store[key]
                if when is None or item.uses_get_code:  # it may have its own `publish`
                    self._take(taken)
                    item.publish(value, when)
                    continue
                taken.append((item, value, float(when)))
                if len(taken) == _PORTION:
                    self._take(taken)
        finally:
            self._take(taken)

    def add_performer(self, key: str, request: str, method: Callable[..., Any]) -> None:
        """Let *method* be the item's `perform_get` or `perform_set`."""
        self._own(key).add_performer(request, method)

    def add_performers(
        self, performers: Iterable[tuple[str, str, Callable[..., Any]]]
    ) -> None:
        for key, kind, method in performers:
            self.add_performer(key, kind, method)

    def add_get_performer(self, key: str, method: Callable[..., Any]) -> None:
        self._own(key).add_get_performer(method)

    def add_set_performer(self, key: str, method: Callable[..., Any]) -> None:
        self._own(key).add_set_performer(method)

    def add_handler(self, key: str, request: str, method: Handler) -> None:
        """Let *method* answer an item's ``get`` or ``set`` past the item itself."""
        kind = request.strip().lower()
        if kind not in ("get", "set"):
            raise ValueError(f"a request must be 'get' or 'set', not {request!r}")
        target = self._own(key).full_key
        self._dispatcher.add_handler(kind.upper().encode(), target, method)

    def add_handlers(self, handlers: Iterable[tuple[str, str, Handler]]) -> None:
        for key, kind, method in handlers:
            self.add_handler(key, kind, method)

    def add_get_handler(self, key: str, method: Handler) -> None:
        self.add_handler(key, "get", method)

    def add_set_handler(self, key: str, method: Handler) -> None:
        self.add_handler(key, "set", method)

    def _take(self, taken: list[tuple[Item, Any, float]]) -> None:
        """Publish all of *taken*, and empty it: items with their values and times.

        Most values of a large store have no subscribers, and these are not encoded.
        """
        rows = taken.copy()
        taken.clear()
        server = self.store.publisher()
        put, noted = server.put, []
        try:
            with server.lock:
                server.send_held()
                parts = server.subscribed()
                for item, value, when in rows:
                    if parts is None or item.key.partition(".")[0] in parts:
                        is_noted = item.take(state_of(value, when), put)
                    else:
                        is_noted = item.take(unsent_state(value, when), None)
                    if is_noted:
                        noted.append(item)
        finally:
            for item in noted:
                self.store.note_change(item)

    def _own(self, key: str) -> Item:
        name = key.strip().lower()
        if name not in self.catalog.authoritative_items:
            raise KeyError(f"this daemon has no {key!r}")
        item = self.store.find(name)
        return self.add_item(Item, name) if item is None else item

    def _hash(self) -> int:
        block = self.catalog.authoritative_block
        return 0 if block is None else block["hash"]
