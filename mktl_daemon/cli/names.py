"""The names on a command line of mk: keys, patterns of keys, and stores."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mktl_daemon import Item
    from mktl_daemon.configuration import Configuration


def items_of(name: str, wanted: str | None = None) -> Iterator[Item]:
    """Yield the items that a name means: one key, a pattern, or a whole store.

    Of patterns and stores only those that are *wanted* (gettable).
    """
    from mktl_daemon import get  # noqa: PLC0415

    store, keys = wanted_keys(name, wanted)
    for key in keys:
        yield get(store, key)


def wanted_keys(name: str, wanted: str | None) -> tuple[str, list[str]]:
    """Return the store and the keys of a name, as `items_of` yields their items."""
    store, keys = keys_of(name)
    entries = entries_of(store)
    several = name.lower() != f"{store}.{keys[0]}" if keys else True
    if not (several and wanted):
        return store, keys
    return store, [key for key in keys if entries[key].get(wanted, True) is not False]


def item_of(name: str) -> Item:
    from mktl_daemon import get  # noqa: PLC0415

    store, _, key = name.lower().partition(".")
    if not key:
        raise ValueError("a set names a key, as in store.key=value")
    item: Item = get(store, key)
    return item


def keys_of(name: str) -> tuple[str, list[str]]:
    """Return the store and the sorted keys that *name* means; it may be a pattern."""
    from mktl_daemon.find import store_of, whole_store  # noqa: PLC0415

    store, _, pattern = name.lower().partition(".")
    if pattern and not any(letter in pattern for letter in "*?["):
        if pattern not in store_of(store, pattern):
            raise KeyError(f"store {store!r} has no {pattern!r}")
        return store, [pattern]
    known = whole_store(store).keys()
    if not pattern:
        return store, sorted(known)
    keys = sorted(fnmatch.filter(known, pattern))
    if not keys:
        raise KeyError(f"store {store!r} has no {pattern!r}")
    return store, keys


def entry_of(store: str, key: str) -> dict[str, Any]:
    return entries_of(store)[key]


def entries_of(store: str) -> Configuration:
    """Return what describes a store's items, by key."""
    from mktl_daemon import config  # noqa: PLC0415

    return config.get(store)


def stores_of_registries(*addresses: str) -> list[str]:
    from mktl_daemon import config, discover  # noqa: PLC0415

    discover(*addresses)
    return sorted(config.get_hashes())


def stores_of_home() -> list[str]:
    """Return the stores that this home's clients and daemons have used."""
    from mktl_daemon.files import cache  # noqa: PLC0415

    return cache.cached_stores()


def permissions_of(entry: dict[str, Any]) -> str:
    read = "r" if entry.get("gettable", True) is not False else " "
    write = "w" if entry.get("settable", True) is not False else " "
    return read + write
