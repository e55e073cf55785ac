"""Reads the same tasks as an mKTL client."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mktl_daemon

FIELDS = ("used", "remaining", "status")
STORE = "upkeep"

Name = tuple[str, str]  # printer and task


class Mirror:
    """Subscribes to the items of every task that it is told of."""

    def __init__(self) -> None:
        self._items: dict[str, mktl_daemon.Item[Any]] = {}
        self._known: dict[Name, Future[None]] = {}
        # A request that waits for a daemon must not delay the table.
        self._worker = ThreadPoolExecutor(1, "mktl")

    def close(self) -> None:
        self._worker.shutdown(cancel_futures=True)

    def follow(self, name: Name) -> None:
        """Read a task's items from now on. Repeats itself until they are there."""
        known = self._known.get(name)
        if known is None or (known.done() and known.exception() is not None):
            self._known[name] = self._worker.submit(self._subscribe, name)

    def value(self, name: Name, field: str) -> Any:
        """The last value of an item, or None."""
        return shown(self._items.get(key(name, field)), field)

    def set(self, name: Name, field: str, value: object) -> Future[None]:
        """Set an item; the result comes when its daemon has carried it out."""
        return self._worker.submit(
            lambda: mktl_daemon.get(STORE, key(name, field)).set(value)
        )

    # The worker's thread

    def _subscribe(self, name: Name) -> None:
        for field in FIELDS:
            item = mktl_daemon.get(STORE, key(name, field))
            item.get()  # follows it from now on
            self._items[item.key] = item


def shown(item: mktl_daemon.Item[Any] | None, field: str) -> Any:
    """What the table shows of an item: its value, and of a status the word."""
    if item is None:  # an item that is 0 is false, and the number of "ok" is 0
        return None
    return item.formatted if field == "status" else item.value


def key(name: Name, field: str) -> str:
    """An item's key in its store."""
    return f"{name[0]}.{name[1]}.{field}"
