"""Other daemons of a store in the same home, of which no registry need know."""

from __future__ import annotations

from collections.abc import Iterable

from mktl_daemon import config
from mktl_daemon.blocks import Block
from mktl_daemon.core.errors import RefusedError
from mktl_daemon.search import is_running


def neighbours(store: str, alias: str) -> list[Block]:
    """Return the blocks of a store in this home's cache that are not of *alias*."""
    blocks = config.known(store).blocks().values()
    return [block for block in blocks if block["alias"] != alias]


def refuse_taken_keys(keys: Iterable[str], blocks: Iterable[Block]) -> None:
    """RefusedError: a daemon of *blocks* has one of *keys*, and it is running."""
    mine = set(keys)
    for block in blocks:
        common = mine & block["items"].keys()
        if common and is_running(block):
            raise RefusedError(
                f"the key {min(common)!r} of {block['store']!r} is that of "
                f"{block['alias']!r}, which is running"
            )
