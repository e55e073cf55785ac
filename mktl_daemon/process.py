"""What a process has once, and what a forked child makes anew. The one fork handler."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Inherited(Protocol):
    """Something that a forked child has a copy of."""

    def forked(self) -> None:
        """Begin anew: threads, sockets and locks that are held are the parent's."""


T = TypeVar("T")
I = TypeVar("I", bound=Inherited)  # noqa: E741 - one letter, as T

_in_child: list[Callable[[], None]] = []


def kept(thing: I) -> I:
    """Return *thing*, which is there as long as the process is.

    Forked children call `forked` of such things in the order in which they were made.
    """
    _in_child.append(thing.forked)
    return thing


class Guard:
    """A lock of the process; a child has another, since this one may be held."""

    __slots__ = ("_make", "lock")

    def __init__(self, make: Callable[[], threading.Lock] = threading.Lock) -> None:
        self._make = make
        self.lock = make()
        _in_child.append(self.forked)

    def forked(self) -> None:
        self.lock = self._make()


class Once(Generic[T]):
    """A thing that is made when it is first needed, whichever thread needs it.

    *in_child* returns what a child has of its parent's thing: None is nothing yet.
    """

    def __init__(
        self,
        make: Callable[[], T],
        in_child: Callable[[T], T | None] = lambda thing: thing,
        is_usable: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self._make = make
        self._in_child = in_child
        self._is_usable = is_usable
        self._thing: T | None = None
        self._lock = threading.Lock()
        _in_child.append(self.forked)

    def get(self) -> T:
        with self._lock:
            thing = self._thing
            if thing is None or not self._is_usable(thing):
                thing = self._thing = self._make()
            return thing

    def peek(self) -> T | None:
        """Return the thing if it has been made."""
        return self._thing

    def put(self, thing: T | None) -> None:
        with self._lock:
            self._thing = thing

    def take(self) -> T | None:
        """Return the thing, if it has been made, and have none."""
        with self._lock:
            thing, self._thing = self._thing, None
            return thing

    def forked(self) -> None:
        self._lock = threading.Lock()
        if self._thing is not None:
            self._thing = self._in_child(self._thing)


class Family(Generic[I]):
    """All things of a kind that are in use, for what a child has to do with them."""

    def __init__(self) -> None:
        self._members: weakref.WeakSet[I] = weakref.WeakSet()
        _in_child.append(self.forked)

    def add(self, thing: I) -> None:
        self._members.add(thing)

    def forked(self) -> None:
        for thing in list(self._members):
            thing.forked()


def _begin_anew() -> None:
    for act in _in_child:
        act()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_anew)
