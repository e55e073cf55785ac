"""Other daemons of a store in the same home, of which no registry need know."""

from __future__ import annotations

from mktl_daemon.configuration import Configuration
from mktl_daemon.core import wire
from mktl_daemon.core.errors import RefusedError
from mktl_daemon.files import cache

from .running import is_running


def refuse_taken_keys(catalog: Configuration) -> None:
    """RefusedError: a neighbour has a key of this process's daemon, and is running."""
    mine = catalog.authoritative_items.keys()
    for block in catalog.neighbours:
        common = mine & block["items"].keys()
        if common and is_running(block):
            # The newer block, ours, has taken its place in the cache.
            data = wire.dumps(block)
            cache.attempt(cache.save_block, catalog.store, block["uuid"], data)
            raise RefusedError(
                f"the key {min(common)!r} of {block['store']!r} is that of "
                f"{block['alias']!r}, which is running"
            )
