"""Calls that repeat: one scheduler for all of them, and a bounded number of threads."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from . import process
from .net.workers import Pool

Method = Callable[[], Any]

_logger = logging.getLogger(__name__)

_SHORTEST = 1e-6  # seconds
_DAY = 86400.0  # seconds: a thread cannot be told to wait for centuries


def start(method: Method, period: float | None) -> None:
    """Call *method* now and every *period* seconds; None or 0 ends it.

    One call at a time: a method that takes longer than its period is called again as
    soon as it is done. A bound method does not keep its object alive. ValueError: the
    period is negative, infinite, or too short for any clock.
    """
    scheduler.poll(method, period)


def stop(method: Method) -> None:
    """Do not call *method* again; nothing happens if it is not polled."""
    scheduler.stop(method)


def period(method: Method) -> float | None:
    """Return the period with which *method* is polled, None if it is not."""
    return scheduler.period(method)


class Entry:
    """A method that is polled."""

    __slots__ = ("failing", "key", "owed", "period", "reference", "running", "stopped")

    def __init__(self, key: Hashable, method: Method, period: float) -> None:
        self.key = key
        self.reference = reference(method)
        self.period = period
        self.owed = 0
        self.failing = False
        self.running = False
        self.stopped = False


class Scheduler:
    """Calls methods again and again, each in a lane of its own."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self.pool = Pool(name, threads)
        self.forked()

    def forked(self) -> None:
        """Have nothing to poll; the pool begins anew by itself."""
        self.changed = threading.Condition()
        self._entries: dict[Hashable, Entry] = {}
        self._heap: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def poll(self, method: Method, period: float | None) -> None:
        """Do as `start` of this module."""
        if not period:
            self.stop(method)
        elif _SHORTEST <= period < math.inf:
            self.start(method, float(period))
        else:
            raise ValueError(
                f"a period must be at least {_SHORTEST} seconds, or None for no"
                f" polling, not {period!r}"
            )

    def start(self, method: Method, period: float) -> None:
        with self.changed:
            self._drop(_key(method))
            entry = Entry(_key(method), method, period)
            self._entries[entry.key] = entry
            heapq.heappush(self._heap, (time.monotonic(), next(self._order), entry))
            self.changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=self._name, daemon=True
                )
                self._thread.start()

    def stop(self, method: Method) -> None:
        with self.changed:
            self._drop(_key(method))

    def period(self, method: Method) -> float | None:
        entry = self.find(method)
        return None if entry is None else entry.period

    def find(self, method: Method) -> Entry | None:
        return self._entries.get(_key(method))

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.stopped = True

    def _run(self) -> None:
        with self.changed:
            while True:
                if not self._heap:
                    self.changed.wait()
                    continue
                due, _, entry = self._heap[0]
                left = due - time.monotonic()
                if left > 0:
                    self.changed.wait(min(left, _DAY))
                    continue
                heapq.heappop(self._heap)
                if not entry.stopped:
                    self.ring(entry)
                    item = (due + entry.period, next(self._order), entry)
                    heapq.heappush(self._heap, item)

    def ring(self, entry: Entry) -> None:
        """Have *entry* called now; the caller holds `changed`."""
        if entry.running:
            # Fast polls catch up after a hiccup; slow ones do not pile up.
            entry.owed = min(entry.owed + 1, max(1, int(1 / entry.period)))
            return
        entry.running = self.pool.submit(entry.key, lambda: self._call(entry))

    def _call(self, entry: Entry) -> None:
        method = entry.reference()
        try:
            if method is None:
                self._drop(entry.key)
            elif not entry.stopped:
                method()
                if entry.failing:
                    entry.failing = False
                    _logger.warning("the poll of %s works again", _name(method))
        except BaseException:
            # A poll may fail a thousand times a second, also by sys.exit().
            if not entry.failing:
                entry.failing = True
                _logger.exception("the poll of %s fails", _name(method))
        finally:
            self._done(entry)

    def _done(self, entry: Entry) -> None:
        with self.changed:
            again = entry.owed > 0 and not entry.stopped
            entry.owed -= again
            entry.running = again and self.pool.submit(
                entry.key, lambda: self._call(entry)
            )


def reference(method: Callable[..., Any]) -> Callable[[], Callable[..., Any] | None]:
    """Return what finds *method* again: bound methods go when their object goes."""
    if hasattr(method, "__self__") and hasattr(method, "__func__"):
        return weakref.WeakMethod(method)
    return lambda: method


def _name(method: Method | None) -> str:
    """Return the full key of the item that a method is of, or else what it is."""
    owner = getattr(method, "__self__", None)
    return str(getattr(owner, "full_key", method))


def _key(method: Method) -> Hashable:
    # A bound method is a new object every time one looks at it.
    owner = getattr(method, "__self__", None)
    if owner is None:
        return id(method)
    return id(owner), id(getattr(method, "__func__", method))


# What is polled is polled by the parent.
scheduler = process.kept(Scheduler("mktl-client-poll", 16))
# For what a daemon publishes about itself: users' methods may all be stuck.
builtins = process.kept(Scheduler("mktl-client-builtin", 1))
