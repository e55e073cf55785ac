"""Writes the values of persistent items to disk, a moment after they change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mktl_daemon.files import environment
from mktl_daemon.files.persistent_values import PersistentValues
from mktl_daemon.item import Item
from mktl_daemon.net.loop import Loop
from mktl_daemon.net.workers import Job

_AGAIN = 10.0  # seconds until the disk is tried again

_logger = logging.getLogger(__name__)


class Saver:
    """Has the items whose values are not on disk yet. All of it from any thread."""

    def __init__(
        self, persistent: PersistentValues, loop: Loop, run: Callable[[Job], None]
    ) -> None:
        """*run* has a thread do what may take its time."""
        self._persistent = persistent
        self._loop = loop
        self._run = run
        self._delay = environment.persist_delay()  # in which changes are collected
        self._dirty: dict[str, Item] = {}
        self._failing: set[str] = set()  # keys of which it has been said
        # Somebody will look at what is dirty; in the beginning that is `begin`.
        self._planned = True
        # Until then what is on disk is yet to be read, and nothing is written over it.
        self._begun = False
        self._closed = False
        self._lock = threading.Lock()  # of the above
        self._writing = threading.Lock()  # or an older value might be written last

    def begin(self) -> None:
        """Write what has changed until now, and from now on what changes."""
        with self._lock:
            self._begun = True
            self._planned = bool(self._dirty)
            waits = self._planned
        if waits:
            self._plan(self._delay)

    def changed(self, item: Item) -> None:
        """Take note that an item took a value."""
        with self._lock:
            self._dirty[item.key] = item
            planned, self._planned = self._planned, True
        if not planned:
            self._plan(self._delay)

    def forget(self, key: str) -> None:
        """Take the value of an item for the one that is on disk."""
        with self._lock:
            self._dirty.pop(key, None)

    def save(self) -> None:
        """Write what has changed; what cannot be written is tried again."""
        if not self._begun:
            return
        with self._writing:
            with self._lock:
                dirty, self._dirty = self._dirty, {}
                self._planned = False
            failed = self._write_all(dirty)
        if not failed:
            return
        with self._lock:
            self._dirty = {**failed, **self._dirty}
            planned, self._planned = self._planned, True
        if not planned:
            self._plan(_AGAIN)

    def close(self) -> None:
        """Write what is left, once."""
        self._closed = True
        self.save()
        try:
            self._persistent.settle()
        except OSError as error:
            _logger.warning(
                "the persistent values may be lost in a power cut: %s", error
            )

    def _plan(self, delay: float) -> None:
        if not self._closed:
            self._loop.later(delay, lambda: self._run(self.save))

    def _write_all(self, dirty: dict[str, Item]) -> dict[str, Item]:
        """Write values, and return the items for which it did not work."""
        answers = {key: item.cached_answer() for key, item in dirty.items()}
        together = {
            key: payload for key, (payload, bulk) in answers.items() if bulk is None
        }
        try:
            if together:
                self._persistent.save_together(together)
        except OSError:
            together = {}  # each by itself, so that it is known which ones cannot be
        self._failing.difference_update(together)
        return {
            key: item
            for key, item in dirty.items()
            if key not in together and not self._write(item)
        }

    def _write(self, item: Item) -> bool:
        """Return whether it worked: what one item cannot does not stop the others."""
        try:
            self._persistent.save(item.key, *item.cached_answer())
        except OSError as error:
            if item.key not in self._failing:
                self._failing.add(item.key)
                _logger.warning("%s is not on disk: %s", item.full_key, error)
            return False
        self._failing.discard(item.key)
        return True
