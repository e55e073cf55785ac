"""What the daemons and the registries of a network say of a store."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from mktl_daemon.core import wire
from mktl_daemon.core.catalog import check_block
from mktl_daemon.core.errors import MalformedError, RemoteError
from mktl_daemon.core.wire import CONFIG, GET, HASH
from mktl_daemon.net import dealer, discovery

from .blocks import Block
from .configuration import Configuration
from .follow import Place

_logger = logging.getLogger(__name__)

_TIMEOUT = 10.0  # seconds for a catalog
_ALIVE = 5.0  # seconds for a sign of life
_CONNECT = 1.0  # seconds for a connection


def refresh(catalog: Configuration, keys: Iterable[str] = ()) -> set[str]:
    """Compare what is known of a store with what its daemons say, and catch up.

    Return the UUIDs of the daemons that are there. Where one is not, or where none has
    one of *keys*, the registries are asked: those that passed a block on, then those
    that answer a call. What nobody answers for stays as it is, unless a daemon that
    is there has its keys.
    """
    search = _Search(catalog)
    for block in catalog.blocks().values():
        search.ask(block)
    if not search.is_complete(keys):
        for host, port in _registries(catalog):
            try:
                blocks = blocks_at(host, port, catalog.store)
            except (TimeoutError, RemoteError, ValueError) as error:
                _logger.info("registry %s:%d: %s", host, port, error)
                continue
            for block in blocks.values():
                search.ask_again(block)
            if search.is_complete(keys):
                break
    search.close()
    return search.there


class _Search:
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
        items = [self._blocks[identity]["items"] for identity in self.there]
        known = self._catalog.blocks().keys()
        return (
            bool(items)
            and known <= self.there
            and all(any(key in some for some in items) for key in keys)
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
    hashes = _get_first(host, port, names)
    return {name: each for name, each in hashes.items() if isinstance(each, dict)}


def blocks_at(host: str, port: int, store: str) -> dict[str, Any]:
    """Return the blocks of a store that somebody has, by UUID."""
    names = ((GET, f"{store}._catalog"), (GET, f"{store}._config"), (CONFIG, store))
    return _get_first(host, port, names)


def uuid_at(host: str, port: int, store: str, alias: str) -> str | None:
    """Return the UUID of the daemon *alias* at an address, None where there is none."""
    if not _is_open(host, port):
        return None
    with contextlib.closing(dealer.Client(host, port)) as daemon:
        try:
            uuid = daemon.get(f"{store}._{alias}uuid".lower(), timeout=_TIMEOUT)
        except (TimeoutError, RemoteError, ValueError):
            return None
    return uuid if isinstance(uuid, str) else None


def _is_open(host: str, port: int) -> bool:
    """Tell whether somebody listens at a port, which a request learns by waiting."""
    try:
        socket.create_connection((host, port), _CONNECT).close()
    except (OSError, ValueError):
        return False
    return True


def _registries(catalog: Configuration) -> Iterator[tuple[str, int]]:
    """Yield the registries that passed blocks on, then those that answer a call."""
    passing: set[tuple[str, int]] = set()
    for block in catalog.blocks().values():
        for stratum in block.get("provenance") or []:
            if "pub" not in stratum:
                passing.add((stratum["hostname"], stratum["rep"]))
    for host, port in passing:
        if _is_open(host, port):
            yield host, port
    for address in discovery.registries():
        if address not in passing:
            yield address


def _get_first(
    host: str, port: int, names: Iterable[tuple[bytes, str]]
) -> dict[str, Any]:
    """Return the answer to the first of *names* that is not refused."""
    refused: RemoteError | None = None
    # Not one of the clients that stay: anybody may announce any address.
    with contextlib.closing(dealer.Client(host, port)) as client:
        for kind, target in names:
            if kind != GET and not client.early:
                continue  # only they know these, and nobody else answers at all
            try:
                answer = client.call(kind, target, timeout=_TIMEOUT)
            except RemoteError as error:
                refused = refused or error
                continue
            value = wire.fields(answer.payload).get("value") or {}
            if not isinstance(value, dict):
                raise MalformedError(f"{target} is {value!r:.80}")
            return value
    raise refused or RuntimeError(f"{host}:{port} is asked for nothing")


def fetch(catalog: Configuration, host: str, port: int) -> None:
    """Take in all blocks of a store that somebody has, whatever its edition."""
    for block in blocks_at(host, port, catalog.store).values():
        try:
            catalog.update(block)
        except ValueError as error:
            _logger.warning(
                "%s:%d sent a block that is of no use: %s", host, port, error
            )


def is_running(block: Block) -> bool:
    """Tell whether the daemon of a block answers, at any address it has given."""
    for stratum in block.get("provenance") or ():
        if "pub" not in stratum:
            continue
        try:
            # Not one of the clients that stay: anybody may announce any address.
            daemon = dealer.Client(stratum["hostname"], stratum["rep"])
            with contextlib.closing(daemon):
                if _is(block, daemon):
                    return True
        except (TimeoutError, RemoteError, ValueError):
            continue
    return False


def _is(block: Block, daemon: dealer.Client) -> bool:
    """Tell whether *daemon* is that of a block, and not another of its name."""
    builtin = f"{block['store']}._{block['alias']}".lower()
    with contextlib.suppress(RemoteError):
        # A daemon that is starting answers this and nothing else.
        who = daemon.get(f"{builtin}uuid", timeout=_ALIVE)
        if who is not None:
            return bool(who == block["uuid"])
    return daemon.get(f"{builtin}clk", timeout=_ALIVE, refresh=True) is not None
