"""The items of a daemon: made, added while it runs, and removed."""

from __future__ import annotations

from typing import Any

from mktl_daemon.configuration import Configuration
from mktl_daemon.item import Item
from mktl_daemon.store import Store

from . import builtins


class ItemFactory:
    """Makes the items of one daemon in its store."""

    def __init__(self, catalog: Configuration, store: Store) -> None:
        self._catalog = catalog
        self._store = store

    def make(self, item_class: type[Item], key: str, *args: Any, **kwargs: Any) -> Item:
        """Make an item, in place of one that somebody has only read.

        RuntimeError: it is there already.
        """
        store = self._store
        existing = store.find(key)
        if (
            existing is not None
            and existing.authoritative
            and key not in store.provisional
        ):
            raise RuntimeError(f"{existing.full_key} is there already")
        was_there = key in store
        store.leave(key)
        try:
            item = item_class(store, key, *args, **kwargs)
        except BaseException:
            self.unmake(key)
            if was_there:
                store.put_back(key, existing)
            raise
        for callback in existing.callbacks if existing is not None else ():
            item.register(callback)
        return item

    def unmake(self, key: str) -> None:
        item = self._store.find(key)
        if item is not None:
            item.poll(None)
        self._store.leave(key)

    def add_missing(self, alias: str, uuid: str) -> None:
        """Make the built-in items, and plain ones of what is described."""
        for key, builtin in builtins.items(alias, uuid).items():
            if key not in self._catalog.authoritative_items:
                self._catalog.add({key: builtin.description})
            if self._store.find(key) is None:
                self.make(builtin.kind, key)
        for key in self._catalog.authoritative_items:
            if self._store.find(key) is None:
                self.make(Item, key)

    def close(self) -> None:
        """End the polls of all items."""
        for item in self._store.made_items():
            if item.uses_get_code:
                item.poll(None)
