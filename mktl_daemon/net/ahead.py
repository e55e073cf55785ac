"""A request that is sent before somebody makes it.

Where a daemon is far away this saves the time of one way there and back.
"""

from __future__ import annotations

import time

from mktl_daemon.core import wire

KEEP = 1.0  # seconds after which the answer is too old for who asks then


class Ahead:
    """Holds the answer to a request until somebody makes the same request."""

    def __init__(self, request: wire.Request) -> None:
        self.request = request
        self.answer: wire.Answer | None = None
        self.is_twofold = False  # it went out on a second connection, too
        self._until = time.monotonic() + KEEP

    def is_same(self, request: wire.Request) -> bool:
        """Tell whether what was sent serves as *request*, which somebody makes now."""
        return (
            request._replace(ident=self.request.ident) == self.request
            and time.monotonic() < self._until
        )

    def note(self, answer: wire.Answer) -> None:
        """Take an answer, if it is the one."""
        if answer.ident == self.request.ident and answer.kind == wire.REP:
            self.answer = answer
