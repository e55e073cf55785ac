"""`get`: finds the store or item of a name in the cache and by a registry."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, overload

from mktl_daemon.core.catalog import split
from mktl_daemon.core.errors import RemoteError
from mktl_daemon.net import discovery

from . import config, follow, process
from .catalog_requests import fetch, hashes_at
from .configuration import Configuration
from .item import Item
from .search import ask_everybody, refresh
from .store import Store

_logger = logging.getLogger(__name__)


class _Stores:
    """The stores of this process, by name."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.by_name: dict[str, Store] = {}
        self._searches: dict[str, threading.RLock] = {}
        self._reads: dict[str, list[str]] = {}  # by store: keys that are read next

    def searching(self, name: str) -> threading.RLock:
        """Return the lock for the search for *name*: other names need not wait."""
        with self.lock:
            return self._searches.setdefault(name, threading.RLock())

    @contextlib.contextmanager
    def reading(self, name: str, key: str) -> Iterator[Callable[[], list[str]]]:
        """Take note that *key* is read next; yield what returns all such keys."""
        keys = self._reads.setdefault(name, [])
        keys.append(key)
        try:
            yield lambda: list(keys)
        finally:
            keys.remove(key)

    def forked(self) -> None:
        self.lock = threading.RLock()
        self._searches.clear()
        self._reads.clear()
        for name, known in list(self.by_name.items()):
            if known.catalog.authoritative_uuid is not None:
                # The child finds the parent's daemon as it finds any other.
                del self.by_name[name]
                config.forget(name)
            known.forked()


stores = process.kept(_Stores())


@overload
def get(store: str, key: str) -> Item: ...


@overload
def get(store: str, key: None = None) -> Any: ...


def get(store: str, key: str | None = None) -> Any:
    """Return the store, or its item *key*; ``get("store.key")`` is the item, too.

    There is one of each. RuntimeError: nobody knows the store. KeyError: it has no
    such item.
    """
    if store is None:
        raise ValueError("the name of the store is missing")
    name, rest = split(str(store))
    wanted = str(key).lower() if key is not None else rest
    its_store = store_of(name, wanted)
    return its_store[wanted] if wanted else its_store


def store_of(name: str, key: str = "") -> Store:
    """Return a store; its daemons are asked once more if it has not *key*.

    RuntimeError: nobody knows the store.
    """
    its_store, is_searched = _store(name, key)
    if key and key not in its_store and not is_searched:
        # Its daemon may have added the key since.
        its_store.search_for(key)
    return its_store


def whole_store(name: str) -> Store:
    """Return a store with all daemons that registries know, new ones included.

    RuntimeError: nobody knows the store.
    """
    known = stores.by_name.get(name)
    if known is None:
        return _store(name, everybody=True)[0]
    ask_everybody(known.catalog)
    known.update_catalog()
    return known


def discover(*targets: str, local: bool = False) -> None:
    """Ask all registries, those at the addresses *targets* too, for all they know.

    *local*: those of this machine alone.

    RuntimeError: there is no registry.
    """
    registries = discovery.registries(targets, wait=True, local=local)
    if not registries:
        raise RuntimeError("no registry answers")
    for host, port in registries:
        try:
            for store in hashes_at(host, port):
                fetch(config.known(store), host, port)
        except (TimeoutError, RemoteError, ValueError) as error:
            _logger.warning("registry %s:%d: %s", host, port, error)


def is_own(store: str) -> bool:
    """Tell whether a daemon of this process has *store*."""
    known = stores.by_name.get(store)
    return known is not None and known.daemon is not None


def own(store: str) -> Store:
    """Return the store of a daemon of this process.

    RuntimeError: a client of this process looked at it first.
    """
    with stores.lock:
        if store in stores.by_name:
            raise RuntimeError(
                f"the daemon must start before this process uses store {store!r}"
            )
        stores.by_name[store] = Store(store, refresh)
        return stores.by_name[store]


def forget(store: str) -> None:
    """Drop a store from memory; the next `get` searches for it again."""
    with stores.lock:
        known = stores.by_name.pop(store, None)
    if known is not None:
        known.close()


def _store(name: str, key: str = "", everybody: bool = False) -> tuple[Store, bool]:
    """Return a store, and whether all who may have *key* were asked just now."""
    if not name:
        raise ValueError("the name of the store is missing")
    known = stores.by_name.get(name)
    if known is not None:
        return known, False
    with stores.reading(name, key) as reads, stores.searching(name):
        known = stores.by_name.get(name)
        if known is not None:
            return known, False
        catalog = config.known(name)
        first = _uuid_of(catalog, key)
        result = refresh(catalog, [key] if key else [], first, everybody, reads)
        is_partial = first is not None and first in result.there
        if not len(catalog):
            raise RuntimeError(f"no registry knows a store {name!r}")
        with stores.lock:
            known = stores.by_name.setdefault(name, Store(name, refresh))
        if is_partial:
            # For the other daemons; later, so that it does not take the connection
            # which was made for the reader of *key*.
            known.follower.search_soon(follow.FRESH)
        else:
            for identity, block in catalog.blocks().items():
                if identity in result.silent:
                    known.follower.note_silence(block["items"])
        return known, not is_partial


def _uuid_of(catalog: Configuration, key: str) -> str | None:
    """Return the UUID of the daemon that had *key* when it was last heard of."""
    with contextlib.suppress(KeyError):
        return str(catalog.block_of(key)["uuid"])
    return None
