"""A store: a mapping of keys to items, which it makes when they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, KeysView
from typing import TYPE_CHECKING, Any, NoReturn

from mktl_daemon.net import pub

from . import config
from .follow import Follower, Search
from .interfaces import AuthoritativeDaemon
from .item import Item

if TYPE_CHECKING:
    from .configuration import Configuration


class Store:
    """All items of one name; a client's and a daemon's alike.

    :ivar name: in lower case
    :ivar catalog: the `config.Configuration` of the store
    """

    def __init__(self, name: str, search: Search | None = None) -> None:
        """*search* brings the catalog up to date."""
        self.name = name.lower()
        self.catalog: Configuration = config.known(self.name)
        self.follower = Follower(self.catalog, search)
        self.daemon: AuthoritativeDaemon | None = None
        self._items: dict[str, Item | None] = {}
        # Keys of items that were made for somebody who read them.
        self.provisional: set[str] = set()
        self._lock = threading.RLock()
        self.update_catalog()

    @property
    def config(self) -> Configuration:
        return self.catalog  # edition 1's name

    def __contains__(self, key: object) -> bool:
        if isinstance(key, Item):
            return self.has_item(key)
        return isinstance(key, str) and key.lower() in self._items

    def __getitem__(self, key: str | Item) -> Item:
        name = key.key if isinstance(key, Item) else key.lower()
        try:
            item = self._items[name]
        except KeyError:
            raise KeyError(f"store {self.name!r} has no {name!r}") from None
        return self._make(name) if item is None else item

    def __iter__(self) -> Iterator[Item]:
        for key in list(self._items):
            yield self[key]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Store({self.name}: {len(self)} items)"

    def has_key(self, key: str) -> bool:
        return key in self

    def keys(self) -> KeysView[str]:
        return self._items.keys()

    def values(self) -> list[Item]:
        return list(self)

    def items(self) -> list[tuple[str, Item]]:
        return [(item.key, item) for item in self]

    def __setitem__(self, key: str, value: Any) -> NoReturn:
        raise NotImplementedError(f"set the item's value: store[{key!r}].value = ...")

    def __delitem__(self, key: str) -> NoReturn:
        raise NotImplementedError("only its daemons can remove the items of a store")

    def clear(self) -> NoReturn:
        raise NotImplementedError("only its daemons can remove the items of a store")

    def copy(self) -> NoReturn:
        raise NotImplementedError("a store cannot be copied: a name has only one store")

    def update(self, *_args: Any, **_fields: Any) -> NoReturn:
        raise NotImplementedError("set the items' values, one by one")

    # What items and daemons ask of it.

    def is_own(self, key: str) -> bool:
        return self.daemon is not None and key in self.catalog.authoritative_items

    def has_item(self, item: Item) -> bool:
        return self._items.get(item.key) is item

    def enter(self, item: Item) -> None:
        with self._lock:
            if self._items.get(item.key) is not None:
                raise RuntimeError(f"{item.full_key} is there already")
            self._items[item.key] = item

    def find(self, key: str) -> Item | None:
        """Return the item of *key*, in lower case, if it has been made."""
        return self._items.get(key)

    def made_items(self) -> list[Item]:
        """Return the items that have been made."""
        return [item for item in list(self._items.values()) if item is not None]

    def put_back(self, key: str, item: Item | None) -> None:
        """Undo a `leave`; None: the item had not been made."""
        with self._lock:
            self._items[key] = item

    def leave(self, key: str) -> None:
        with self._lock:
            self.provisional.discard(key)
            self._items.pop(key, None)

    def publisher(self) -> pub.Server:
        if self.daemon is None:
            raise RuntimeError(f"only the daemon of store {self.name!r} can publish")
        return self.daemon.pub

    def note_change(self, item: Item) -> None:
        if self.daemon is not None:
            self.daemon.note_change(item)

    def search_for(self, *keys: str) -> None:
        """See whether the daemons have other items by now."""
        self.follower.search(keys)
        self.update_catalog()

    def close(self) -> None:
        self.follower.close()

    def forked(self) -> None:
        """Begin anew as a client: sockets, threads and the daemon are the parent's."""
        self.daemon = None
        self._lock = threading.RLock()
        self.follower.forked()
        for item in self._items.values():
            if item is not None:
                item.forked()

    def update_catalog(self) -> None:
        """Make room for the items of a catalog that has changed."""
        with self._lock:
            for key in self.catalog:
                self._items.setdefault(key, None)

    def _make(self, key: str) -> Item:
        with self._lock:
            item = self._items[key]
            if item is None:
                item = Item(self, key)
                self.provisional.add(key)
        item.subscribe()
        return item
