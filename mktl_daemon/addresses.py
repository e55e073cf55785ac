"""What a process has once for each address that it talks to."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar


class _Open(Protocol):
    @property
    def socket(self) -> Any: ...


T = TypeVar("T", bound=_Open)


class PerAddress(Generic[T]):
    """One *make*(host, port) for each address, made again once its socket is closed."""

    def __init__(self, make: Callable[[str, int], T]) -> None:
        self._make = make
        self.begin()
        _all.add(self)

    def begin(self) -> None:
        """Have nothing; also for a process that was forked."""
        self._lock = threading.Lock()  # it may have been held
        self._made: dict[tuple[str, int], T] = {}

    def __call__(self, host: str, port: int) -> T:
        with self._lock:
            found = self._made.get((host, port))
            if found is None or found.socket.closed:
                found = self._made[host, port] = self._make(host, port)
            return found

    def all(self) -> list[T]:
        with self._lock:
            return list(self._made.values())


_all: weakref.WeakSet[PerAddress[Any]] = weakref.WeakSet()


def _forked() -> None:
    for each in _all:
        each.begin()


os.register_at_fork(after_in_child=_forked)
