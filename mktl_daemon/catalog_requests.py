"""Requests to one daemon or registry: which catalogs has it?"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mktl_daemon.core import wire
from mktl_daemon.core.errors import MalformedError, NoAckError, RemoteError
from mktl_daemon.core.packing import WANTED, value_of
from mktl_daemon.core.wire import CONFIG, GET, HASH
from mktl_daemon.net import dealer
from mktl_daemon.net.reach import PATIENCE, is_open

from .blocks import Block
from .configuration import Configuration

_logger = logging.getLogger(__name__)

_TIMEOUT = 10.0  # seconds for a catalog


class LostError(TimeoutError):
    """A request was perhaps lost on the way."""

    def __init__(self, text: str, is_there: bool) -> None:
        """*is_there*: somebody listens; if not, perhaps nobody is there."""
        super().__init__(text)
        self.is_there = is_there


def hashes_at(host: str, port: int) -> dict[str, Any]:
    """Return ``{store: {uuid: hash}}`` of what somebody has, whatever its edition."""
    with _reached(host, port) as client:
        return _tables(_first_answer(client, _hash_requests("")))


def hash_at(host: str, port: int, block: Block, ahead: Callable[[], str] = str) -> Any:
    """Return the hash of a block, from its own daemon.

    KeyError: who answers is another daemon, or a registry that knows the block. *ahead*
    returns an item that is read next, or "".
    """
    store, identity = block["store"], block["uuid"]
    with _reached(host, port) as client:
        fields = _first_answer(client, _hash_requests(store), ahead=ahead)
        digest = _tables(fields).get(store, {}).get(identity)
        if digest is None or _answerer(client, block, fields) != identity:
            raise KeyError(f"{identity} is not at this address any more")
    return digest


def blocks_at(host: str, port: int, store: str) -> dict[str, Any]:
    """Return the blocks of a store that somebody has, by UUID."""
    names = ((GET, f"{store}._catalog"), (GET, f"{store}._config"), (CONFIG, store))
    with _reached(host, port) as client:
        payload = WANTED if client.is_far else b""
        return _table(_first_answer(client, names, payload))


def fetch(catalog: Configuration, host: str, port: int) -> None:
    """Take in all blocks of a store that somebody has, whatever its edition.

    But for those of the alias that is this process's own: it knows better what it has.
    """
    for block in blocks_at(host, port, catalog.store).values():
        alias = block.get("alias") if isinstance(block, dict) else None
        if alias is not None and alias == catalog.alias:
            continue
        try:
            catalog.update(block)
        except ValueError as error:
            _logger.warning(
                "%s:%d sent a block that cannot be used: %s", host, port, error
            )


def _hash_requests(store: str) -> tuple[tuple[bytes, str], ...]:
    return (GET, f"{store}._hash" if store else "_hash"), (HASH, store)


def _tables(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: each for name, each in _table(fields).items() if isinstance(each, dict)
    }


def _table(fields: dict[str, Any]) -> dict[str, Any]:
    value = value_of(fields) or {}
    if not isinstance(value, dict):
        raise MalformedError(f"{value!r:.80} is no catalog and no table of hashes")
    return value


def _answerer(client: dealer.Client, block: Block, fields: dict[str, Any]) -> Any:
    """Return the UUID of the daemon that answered a request with *fields*.

    Ours name it. Of others an item of each daemon has it; those of June 2026 have none,
    and are taken for the one that was asked.
    """
    if "uuid" in fields:
        return fields["uuid"]
    key = f"_{block['alias']}uuid".lower()
    if key not in block["items"]:
        return block["uuid"]
    try:
        return client.get(f"{block['store']}.{key}", timeout=_TIMEOUT)
    except RemoteError as error:
        if error.type != "KeyError":
            raise
        return None


def _first_answer(
    client: dealer.Client,
    names: Iterable[tuple[bytes, str]],
    payload: bytes = b"",
    ahead: Callable[[], str] = str,
) -> dict[str, Any]:
    """Return the fields of the answer to the first of *names* that is not refused."""
    refused: RemoteError | None = None
    for kind, target in names:
        if kind != GET and not client.early:
            continue  # only they know these, and nobody else answers at all
        try:
            more = payload if kind == GET else b""  # else it would be an announcement
            answer = client.call(kind, target, more, timeout=_TIMEOUT, ahead=ahead())
        except RemoteError as error:
            refused = refused or error
            continue
        except NoAckError as error:
            if client.is_far:
                raise LostError(str(error), is_there=True) from error
            raise
        return wire.fields(answer.payload)
    raise refused or RuntimeError(f"nothing was requested from {client.host}")


@contextlib.contextmanager
def _reached(host: str, port: int) -> Iterator[dealer.Client]:
    """Have a client for some requests. TimeoutError: nobody is there."""
    # Not one of the clients that stay: anybody may announce any address.
    with contextlib.closing(dealer.Client(host, port)) as client:
        client.patience = PATIENCE
        _reach(client)
        yield client


def _reach(client: dealer.Client) -> None:
    """Prepare a connection. TimeoutError: nobody is there."""
    if client.prepare():
        return
    host, port = client.host, client.port
    answer = is_open(host, port, client.prepare_for_far)
    if answer is None:
        raise LostError(f"nobody at {host}:{port} answers", is_there=False)
    if not answer:
        raise TimeoutError(f"nobody is at {host}:{port}")
