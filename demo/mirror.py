"""Reads the same tasks over mKTL, as a client."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mktl_daemon

FIELDS = ("used", "remaining", "status")
STORE = "upkeep"

Name = tuple[str, str]  # the printer and the task


class Mirror:
    """Subscribes to the items of each task that `follow` names."""

    def __init__(self) -> None:
        self._items: dict[str, mktl_daemon.Item[Any]] = {}
        self._known: dict[Name, Future[None]] = {}
        # A request that waits for a daemon must not delay the table.
        self._worker = ThreadPoolExecutor(1, "mktl")

    def close(self) -> None:
        self._worker.shutdown(cancel_futures=True)

    def follow(self, name: Name) -> None:
        """Subscribe to a task's items, unless that has already succeeded."""
        known = self._known.get(name)
        if known is None or (known.done() and known.exception() is not None):
            self._known[name] = self._worker.submit(self._subscribe, name)

    def value(self, name: Name, field: str) -> Any:
        """Return the last value of an item, or None."""
        return shown(self._items.get(key(name, field)), field)

    def set(self, name: Name, field: str, value: object) -> Future[None]:
        """Set an item. The future is done when the daemon has carried it out."""
        return self._worker.submit(
            lambda: mktl_daemon.get(STORE, key(name, field)).set(value)
        )

    def _subscribe(self, name: Name) -> None:
        """Subscribe to a task's items. This runs in the worker's thread."""
        for field in FIELDS:
            item = mktl_daemon.get(STORE, key(name, field))
            item.get()  # this also subscribes to the item
            self._items[item.key] = item


def shown(item: mktl_daemon.Item[Any] | None, field: str) -> Any:
    """Return what the table shows of an item: its value, or the word of a status."""
    if item is None:  # `not item` is also true of the value 0, the number of "ok"
        return None
    return item.formatted if field == "status" else item.value


def key(name: Name, field: str) -> str:
    """Return an item's key in its store."""
    return f"{name[0]}.{name[1]}.{field}"
