"""What a process has once for each address that it talks to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from mktl_daemon import process


class _Open(Protocol):
    @property
    def socket(self) -> Any: ...


ANYWHERE = ("*", "0.0.0.0", "[::]")  # noqa: S104 - compared, not bound

T = TypeVar("T", bound=_Open)


class PerAddress(Generic[T]):
    """One *make*(host, port) for each address, made again once its socket is closed."""

    def __init__(self, make: Callable[[str, int], T]) -> None:
        self._make = make
        self.forked()
        _all.add(self)

    def forked(self) -> None:
        """Have nothing; also for a process that was forked."""
        self._lock = threading.Lock()  # it may have been held
        self._made: dict[tuple[str, int], T] = {}

    def __call__(self, host: str, port: int) -> T:
        with self._lock:
            made = self._made.get((host, port))
            if made is None or made.socket.closed:
                made = self._made[host, port] = self._make(host, port)
            return made

    def all(self) -> list[T]:
        with self._lock:
            return list(self._made.values())


_all: process.Family[PerAddress[Any]] = process.Family()
