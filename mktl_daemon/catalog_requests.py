"""Requests to one daemon or registry: which catalogs has it?"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from typing import Any

from mktl_daemon.core import wire
from mktl_daemon.core.errors import MalformedError, NoAckError, RemoteError
from mktl_daemon.core.wire import CONFIG, GET, HASH
from mktl_daemon.net import dealer
from mktl_daemon.net.reach import PATIENCE, is_open

from .configuration import Configuration

_logger = logging.getLogger(__name__)

_TIMEOUT = 10.0  # seconds for a catalog


class LostError(TimeoutError):
    """A request was perhaps lost on the way."""

    def __init__(self, text: str, is_there: bool) -> None:
        """*is_there*: somebody listens; if not, perhaps nobody is there."""
        super().__init__(text)
        self.is_there = is_there


def hashes_at(host: str, port: int, store: str = "", ahead: str = "") -> dict[str, Any]:
    """Return ``{store: {uuid: hash}}`` of what somebody has, whatever its edition."""
    names = ((GET, f"{store}._hash" if store else "_hash"), (HASH, store))
    hashes = _get_first(host, port, names, ahead)
    return {name: each for name, each in hashes.items() if isinstance(each, dict)}


def blocks_at(host: str, port: int, store: str) -> dict[str, Any]:
    """Return the blocks of a store that somebody has, by UUID."""
    names = ((GET, f"{store}._catalog"), (GET, f"{store}._config"), (CONFIG, store))
    return _get_first(host, port, names)


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


def _get_first(
    host: str, port: int, names: Iterable[tuple[bytes, str]], ahead: str = ""
) -> dict[str, Any]:
    """Return the answer to the first of *names* that is not refused."""
    refused: RemoteError | None = None
    # Not one of the clients that stay: anybody may announce any address.
    with contextlib.closing(dealer.Client(host, port)) as client:
        client.patience = PATIENCE
        _reach(client)
        for kind, target in names:
            if kind != GET and not client.early:
                continue  # only they know these, and nobody else answers at all
            try:
                answer = client.call(kind, target, timeout=_TIMEOUT, ahead=ahead)
            except RemoteError as error:
                refused = refused or error
                continue
            except NoAckError as error:
                if client.is_far:
                    raise LostError(str(error), is_there=True) from error
                raise
            value = wire.fields(answer.payload).get("value") or {}
            if not isinstance(value, dict):
                raise MalformedError(f"{target} is {value!r:.80}")
            return value
    raise refused or RuntimeError(f"nothing was requested from {host}:{port}")


def _reach(client: dealer.Client) -> None:
    """Prepare a connection. TimeoutError: nobody is there."""
    if client.prepare():
        return
    host, port = client.host, client.port
    answer = is_open(host, port, client.prepare_twice)
    if answer is None:
        raise LostError(f"nobody at {host}:{port} answers", is_there=False)
    if not answer:
        raise TimeoutError(f"nobody is at {host}:{port}")
