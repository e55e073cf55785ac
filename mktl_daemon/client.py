"""`get`: from a name to its store or item, by way of the cache and a registry."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from . import config, discovery, request, wire
from .catalog import check_block, split
from .config import Block, Configuration
from .errors import MalformedError, RemoteError
from .follow import Place
from .item import Item
from .store import Store
from .wire import CONFIG, GET, HASH

_logger = logging.getLogger(__name__)

_stores: dict[str, Store] = {}
_lock = threading.RLock()

_TIMEOUT = 10.0  # seconds for a catalog
_CONNECT = 1.0  # seconds for a connection


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
        found.look_for(wanted)
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
        except (TimeoutError, RemoteError, ValueError) as error:
            _logger.warning("registry %s:%d: %s", host, port, error)


def refresh(catalog: Configuration, keys: Iterable[str] = ()) -> set[str]:
    """Compare what is known of a store with what its daemons say, and catch up.

    Return the UUIDs of the daemons that are there. Where one is not, or where none has
    one of *keys*, the registries are asked: those that passed a block on, then those
    that answer a call. What nobody answers for stays as it is, unless a daemon that
    is there has its keys.
    """
    look = _Look(catalog)
    for block in catalog.blocks().values():
        look.ask(block)
    if not look.is_complete(keys):
        for host, port in _registries(catalog):
            try:
                told = blocks_at(host, port, catalog.store)
            except (TimeoutError, RemoteError, ValueError) as error:
                _logger.info("registry %s:%d: %s", host, port, error)
                continue
            for block in told.values():
                look.ask_again(block)
            if look.is_complete(keys):
                break
    look.close()
    return look.there


class _Look:
    """What the daemons of a store say of themselves at one time."""

    def __init__(self, catalog: Configuration) -> None:
        self._catalog = catalog
        self._mine = catalog.authoritative_uuid
        self._blocks: dict[str, Block] = {}
        self._away: set[tuple[str, Place]] = set()
        self._strange: set[str] = set()  # another daemon is where they were
        self.there: set[str] = set()

    def ask(self, block: Block) -> None:
        """Ask the daemon of a block for its newest one."""
        identity = block["uuid"]
        if identity == self._mine:
            self._blocks[identity] = block
            self.there.add(identity)
            return
        try:
            place = Place.of(block)
        except RuntimeError:
            return
        if identity in self.there or (identity, place) in self._away:
            return
        try:
            self._blocks[identity] = _word_of(block, place)
        except (TimeoutError, RemoteError, KeyError, ValueError) as error:
            _logger.info("%s:%d: %s", place.host, place.rep, error)
            self._away.add((identity, place))
            if isinstance(error, KeyError):
                self._strange.add(identity)
        else:
            self.there.add(identity)

    def ask_again(self, block: Any) -> None:
        """Ask the daemon of a block that somebody else has passed on."""
        try:
            checked = check_block(block)
        except ValueError as error:
            _logger.warning("a registry sent a block of no use: %s", error)
            return
        identity = checked["uuid"]
        self.ask(checked)
        known = self._catalog.blocks().get(identity)
        is_news = known is None or (checked.get("time") or 0) > (known.get("time") or 0)
        if is_news and identity not in self.there | self._strange:
            self._blocks.setdefault(identity, checked)

    def is_complete(self, keys: Iterable[str]) -> bool:
        found = [self._blocks[identity]["items"] for identity in self.there]
        known = self._catalog.blocks().keys()
        return (
            bool(found)
            and known <= self.there
            and all(any(key in items for items in found) for key in keys)
        )

    def close(self) -> None:
        catalog = self._catalog
        known = catalog.blocks()
        fresh = [
            block
            for identity, block in self._blocks.items()
            if identity != self._mine and known.get(identity) is not block
        ]
        for identity in self._strange - self.there:
            catalog.remove(identity)
        if fresh:
            catalog.renew(fresh, self.there)


def _word_of(block: Block, place: Place) -> Block:
    """Return the newest state of a block, from its daemon.

    KeyError: another daemon is at its place. TimeoutError: none is.
    """
    identity, store = block["uuid"], block["store"]
    if not _is_open(place.host, place.rep):
        raise TimeoutError("nobody is there")
    theirs = (hashes_at(place.host, place.rep, store).get(store) or {}).get(identity)
    if theirs is None:
        raise KeyError(f"{identity} is not here any more")
    if theirs == block.get("hash"):
        return block
    newest = check_block(blocks_at(place.host, place.rep, store)[identity])
    if newest["uuid"] != identity:
        raise ValueError(f"the block of {identity} names another daemon")
    return newest


def hashes_at(host: str, port: int, store: str = "") -> dict[str, Any]:
    """Return ``{store: {uuid: hash}}`` of what somebody has, whatever its edition."""
    names = ((GET, f"{store}._hash" if store else "_hash"), (HASH, store))
    told = _asked(host, port, names)
    return {name: each for name, each in told.items() if isinstance(each, dict)}


def blocks_at(host: str, port: int, store: str) -> dict[str, Any]:
    """Return the blocks of a store that somebody has, by UUID."""
    names = ((GET, f"{store}._catalog"), (GET, f"{store}._config"), (CONFIG, store))
    return _asked(host, port, names)


def uuid_at(host: str, port: int, store: str, alias: str) -> str | None:
    """Return the UUID of the daemon *alias* at an address, None where there is none."""
    if not _is_open(host, port):
        return None
    with contextlib.closing(request.Client(host, port)) as asked:
        try:
            told = asked.get(f"{store}._{alias}uuid".lower(), timeout=_TIMEOUT)
        except (TimeoutError, RemoteError, ValueError):
            return None
    return told if isinstance(told, str) else None


def is_own(store: str) -> bool:
    """Tell whether a daemon of this process has *store*."""
    found = _stores.get(store)
    return found is not None and found._daemon is not None


def own(store: str) -> Store:
    """Return the store of a daemon of this process.

    RuntimeError: a client of this process looked at it first.
    """
    with _lock:
        if store in _stores:
            raise RuntimeError(
                f"the daemon must start before anybody here looks at store {store!r}"
            )
        _stores[store] = Store(store, refresh)
        return _stores[store]


def forget(store: str) -> None:
    """Drop a store from memory; the next `get` finds it anew."""
    with _lock:
        found = _stores.pop(store, None)
    if found is not None:
        found.close()


def _forked() -> None:
    global _lock  # noqa: PLW0603 - it may have been held
    _lock = threading.RLock()
    for name, found in list(_stores.items()):
        if found.catalog.authoritative_uuid is not None:
            # The parent's daemon is a daemon like any other, to be found.
            del _stores[name]
            config.forget(name)
        found.forked()


os.register_at_fork(after_in_child=_forked)


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
            raise RuntimeError(f"no registry knows a store {name!r}")
        _stores[name] = Store(name, refresh)
        return _stores[name]


def _is_open(host: str, port: int) -> bool:
    """Tell whether somebody listens at a port, which a request learns by waiting."""
    try:
        socket.create_connection((host, port), _CONNECT).close()
    except (OSError, ValueError):
        return False
    return True


def _registries(catalog: Configuration) -> Iterator[tuple[str, int]]:
    """Yield the registries that passed blocks on, then those that answer a call."""
    asked: set[tuple[str, int]] = set()
    for block in catalog.blocks().values():
        for stratum in block.get("provenance") or []:
            if "pub" not in stratum:
                asked.add((stratum["hostname"], stratum["rep"]))
    for host, port in asked:
        if _is_open(host, port):
            yield host, port
    for address in discovery.registries():
        if address not in asked:
            yield address


def _asked(host: str, port: int, names: Iterable[tuple[bytes, str]]) -> dict[str, Any]:
    """Return the answer to the first of *names* that is not refused."""
    refused: RemoteError | None = None
    # Not one of the clients that stay: anybody may announce any address.
    with contextlib.closing(request.Client(host, port)) as asked:
        for kind, target in names:
            if kind != GET and not asked.early:
                continue  # only they know these, and nobody else answers at all
            try:
                answer = asked.call(kind, target, timeout=_TIMEOUT)
            except RemoteError as error:
                refused = refused or error
                continue
            told = wire.fields(answer.payload).get("value") or {}
            if not isinstance(told, dict):
                raise MalformedError(f"{target} is {told!r:.80}")
            return told
    raise refused or RuntimeError(f"{host}:{port} is asked for nothing")


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
