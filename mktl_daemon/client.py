"""`get`: from a name to its store or item, by way of the cache and a registry."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from . import config, discovery, request, wire
from .catalog import split
from .config import Configuration
from .errors import RemoteError
from .item import Item
from .store import Store
from .wire import CONFIG, GET, HASH

_logger = logging.getLogger(__name__)

_stores: dict[str, Store] = {}
_lock = threading.RLock()

_TIMEOUT = 10.0  # seconds for a catalog


def get(store: str, key: str | None = None) -> Any:
    """Return the store, or its item *key*; ``get("store.key")`` is the item, too.

    There is one of each. RuntimeError: nobody knows the store. KeyError: it has no
    such item.
    """
    if store is None:
        raise ValueError("a store has a name")
    name, rest = split(str(store))
    wanted = str(key).lower() if key is not None else rest
    found = _store(name)
    if not wanted:
        return found
    if wanted not in found:
        # Its daemon may have got it since.
        refresh(found.catalog)
        found._update_catalog()
    return found[wanted]


def discover(*targets: str) -> None:
    """Ask all registries, those at the addresses *targets* too, for all they know.

    RuntimeError: there is no registry.
    """
    found = discovery.registries(targets, wait=True)
    if not found:
        raise RuntimeError("no registry answers")
    for host, port in found:
        try:
            for store in hashes_at(host, port):
                _fetch(config.known(store), host, port)
        except (TimeoutError, RemoteError) as error:
            _logger.warning("registry %s:%d: %s", host, port, error)


def refresh(catalog: Configuration) -> None:
    """Compare what is known of a store with what its daemons say, and catch up.

    Whoever passed a block on may know of it; the last in its provenance is asked first.
    What nobody answers for stays as it is.
    """
    for identity, block in catalog.blocks().items():
        if identity == catalog.authoritative_uuid:
            continue
        for stratum in reversed(block.get("provenance") or []):
            host, port = stratum["hostname"], stratum["rep"]
            try:
                _compare(catalog, identity, host, port)
            except (TimeoutError, RemoteError) as error:
                _logger.info("%s:%d: %s", host, port, error)
            else:
                break


def hashes_at(host: str, port: int, store: str = "") -> dict[str, Any]:
    """Return ``{store: {uuid: hash}}`` of what somebody has, whatever its edition."""
    names = ((GET, f"{store}._hash" if store else "_hash"), (HASH, store))
    return _asked(host, port, names)


def blocks_at(host: str, port: int, store: str) -> dict[str, Any]:
    """Return the blocks of a store that somebody has, by UUID."""
    names = ((GET, f"{store}._catalog"), (GET, f"{store}._config"), (CONFIG, store))
    return _asked(host, port, names)


def own(store: str) -> Store:
    """Return the store of a daemon of this process.

    RuntimeError: a client of this process looked at it first.
    """
    with _lock:
        if store in _stores:
            raise RuntimeError(
                f"the daemon must start before anybody here looks at store {store!r}"
            )
        _stores[store] = Store(store)
        return _stores[store]


def forget(store: str) -> None:
    """Drop a store from memory; the next `get` finds it anew."""
    with _lock:
        _stores.pop(store, None)


def _store(name: str) -> Store:
    if not name:
        raise ValueError("a store has a name")
    with _lock:
        found = _stores.get(name)
        if found is not None:
            return found
        catalog = config.known(name)
        refresh(catalog)
        if not len(catalog):
            _ask_registries(catalog)
        _stores[name] = Store(name)
        return _stores[name]


def _ask_registries(catalog: Configuration) -> None:
    for host, port in discovery.registries():
        try:
            _fetch(catalog, host, port)
        except (TimeoutError, RemoteError) as error:
            _logger.info("registry %s:%d: %s", host, port, error)
        if len(catalog):
            return
    raise RuntimeError(f"no registry knows a store {catalog.store!r}")


def _asked(host: str, port: int, names: Iterable[tuple[bytes, str]]) -> dict[str, Any]:
    """Return the answer to the first of *names* that is not refused."""
    asked = request.client(host, port)
    refused: RemoteError | None = None
    for kind, target in names:
        if kind != GET and not asked.early:
            continue  # only they know these, and nobody else answers at all
        try:
            answer = asked.call(kind, target, timeout=_TIMEOUT)
        except RemoteError as error:
            refused = refused or error
            continue
        return wire.fields(answer.payload).get("value") or {}
    raise refused or RuntimeError(f"{host}:{port} is asked for nothing")


def _compare(catalog: Configuration, identity: str, host: str, port: int) -> None:
    told = hashes_at(host, port, catalog.store)
    theirs = (told.get(catalog.store) or {}).get(identity)
    if theirs is None:
        # Somebody else is there now.
        catalog.remove(identity)
    elif theirs != catalog.blocks()[identity]["hash"]:
        _fetch(catalog, host, port)


def _fetch(catalog: Configuration, host: str, port: int) -> None:
    """Take in all blocks of a store that somebody has, whatever its edition."""
    for block in blocks_at(host, port, catalog.store).values():
        try:
            catalog.update(block)
        except ValueError as error:
            _logger.warning(
                "%s:%d sent a block that is of no use: %s", host, port, error
            )


def find(name: str) -> Item:
    """Return an item by its full name, for `mk` and the like."""
    item = get(name)
    if not isinstance(item, Item):
        raise KeyError(f"{name!r} is a store, not an item")
    return item
