"""Runs calls on Klipper's reactor, for other threads or at a later time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Callable

from .guard import guarded

if TYPE_CHECKING:
    from .klipper_objects import Reactor


class Entries:
    """Runs calls on the reactor, and lets none of their exceptions escape into it."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def post(self, call: Callable[[], None]) -> None:
        """Run *call* on the reactor. Any thread may use this, also after the end."""
        entry = guarded(lambda eventtime: call(), "a message from a thread")
        # Klipper's reactor raises TypeError before it runs and after it has ended.
        with contextlib.suppress(TypeError):
            self._reactor.register_async_callback(entry)

    def later(self, call: Callable[[], None], seconds: float) -> None:
        """Run *call* on the reactor after *seconds*."""
        entry = guarded(lambda eventtime: call(), "a message that waited")
        self._reactor.register_callback(entry, self._reactor.monotonic() + seconds)
