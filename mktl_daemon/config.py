"""The configurations of stores: catalog blocks, in memory and in the home directory.

`Configuration` maps a key to its description, and a UUID or an alias to its
block. There is one for each store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .blocks import Block
from .configuration import Configuration, catalogs
from .files.environment import home as directory

__all__ = ["Block", "Configuration", "authoritative", "directory", "get", "get_hashes"]


def authoritative(store: str, alias: str, items: Mapping[str, Any]) -> None:
    """Declare the items of the daemon *alias*, which this process is or will be.

    ValueError: a bad description, named by key and field.
    """
    configuration = _get(store)
    configuration.claim(alias)
    configuration.declare(items)


def get(store: str, alias: str | None = None) -> Configuration:
    """Return the one configuration of *store*.

    KeyError: nothing is known of the store, and no *alias* makes it ours.
    """
    configuration = _get(store)
    if alias is not None:
        configuration.claim(alias)
    elif not len(configuration):
        raise KeyError(f"there is no cached catalog of a store {store!r}")
    return configuration


def here(store: str) -> Configuration:
    """Return the configuration of *store* if there is one in memory, or KeyError."""
    configuration = catalogs.known.get(store.lower())
    if configuration is None or not len(configuration):
        raise KeyError(f"there is no cached catalog of a store {store!r}")
    return configuration


def known(store: str) -> Configuration:
    """Return the configuration of *store*, which may be empty."""
    return _get(store)


def forget(store: str) -> None:
    """Drop what is in memory of *store*; the files stay."""
    with catalogs.lock:
        catalogs.known.pop(store.lower(), None)


def get_hashes(store: str | None = None) -> dict[str, dict[str, int]]:
    """Return ``{store: {uuid: hash}}``. KeyError: nothing is known of *store*."""
    with catalogs.lock:
        hashes = {
            name: configuration.hashes()
            for name, configuration in catalogs.known.items()
            if len(configuration) and (store is None or name == store.lower())
        }
    if store is not None and not hashes:
        raise KeyError(f"there is no cached catalog of a store {store!r}")
    return hashes


def _get(store: str) -> Configuration:
    if not store:
        raise ValueError("the name of the store is missing")
    return Configuration(store)
