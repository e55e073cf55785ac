"""Reads the same tasks as an mKTL client."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mktl_daemon

FIELDS = ("used", "remaining", "status", "done_count")
STORE = "upkeep"

logger = logging.getLogger(__name__)

Name = tuple[str, str]  # printer and task


class Mirror:
    """Subscribes to the items of every task that it is told of."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
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
        return self._values.get(key(name, field))

    def set(self, name: Name, field: str, value: object) -> Future[None]:
        """Set an item; the result comes when its daemon has carried it out."""
        return self._worker.submit(self._set, name, field, value)

    # The worker's thread, and for `_publish` mKTL's.

    def _subscribe(self, name: Name) -> None:
        for field in FIELDS:
            item = mktl_daemon.get(STORE, key(name, field))
            item.register(self._publish, prime=True)

    def _publish(self, item: Any, value: Any, time: float) -> None:
        # An enumerated value is a number, and its format the word for it.
        named = item.key.endswith(".status")
        self._values[item.key] = item.to_format(value) if named else value

    def _set(self, name: Name, field: str, value: object) -> None:
        mktl_daemon.get(STORE, key(name, field)).set(value)


def key(name: Name, field: str) -> str:
    """An item's key in its store."""
    return f"{name[0]}.{name[1]}.{field}"
