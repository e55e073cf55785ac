"""The clock of a virtual printer: faster than real time, or moved by a test."""

from __future__ import annotations

import time
from typing import Callable, Generic, TypeVar

import greenlet

Ready = TypeVar("Ready")


class FastClock(Generic[Ready]):
    """A clock that runs at most *factor* times faster than real time.

    It never passes a timer that is due. On a busy machine the virtual printer becomes
    slower, and no timer is late.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._now = 0.0
        self._read_at = time.monotonic()

    def monotonic(self) -> float:
        return self._now

    def wait(self, waketime: float, listen: Callable[[float], Ready]) -> Ready:
        ready = listen(max(0.0, (waketime - self._now) / self._factor))
        read_at = time.monotonic()
        flown = (read_at - self._read_at) * self._factor
        self._now = max(self._now, min(self._now + flown, waketime))
        self._read_at = read_at
        return ready


class TestClock(Generic[Ready]):
    """A clock that stands still until a test moves it.

    The virtual printer runs in a greenlet of the test's own thread. It switches to the
    test whenever it has nothing more to do before `target`.
    """

    __test__ = False  # pytest must not take this class for a test

    def __init__(self, start: float = 1000.0) -> None:
        self.target = start
        self.patience = 0.0  # real seconds to listen before switching to the test
        self._now = start
        self._test = greenlet.getcurrent()

    def monotonic(self) -> float:
        return self._now

    def wait(self, waketime: float, listen: Callable[[float], Ready]) -> Ready:
        ready = listen(0.0)
        if ready:
            return ready
        if waketime <= self.target:
            self._now = max(self._now, waketime)
            return ready
        self._now = max(self._now, self.target)
        patience, self.patience = self.patience, 0.0
        if patience:
            ready = listen(patience)
            if ready:
                return ready
        self._test.switch()
        return ready  # the test may have changed what is due
