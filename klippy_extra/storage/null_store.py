"""Replaces a store that cannot be used. It keeps the data only in memory."""

from __future__ import annotations

import functools
from typing import Any, Sequence

from ..contract import Entry
from ..ledger.stamps import Move
from .loaded import Loaded, Post, Read, Then


class NullStore:
    """Has the methods of `Store`. It answers with *why* nothing is saved."""

    def __init__(self, post: Post, why: str) -> None:
        self._post = post
        self._why = why

    def load(self) -> Loaded:
        return Loaded({}, [], refusal=self._why)

    def start(self) -> None:
        """Do nothing, since there is no thread."""

    def save(
        self,
        documents: dict[str, Any],
        log: Sequence[Entry] = (),
        then: Then | None = None,
        moves: Sequence[Move] = (),
    ) -> None:
        if then is not None:
            self._post(functools.partial(then, self._why))

    def entries(self, task: str | None, then: Read) -> None:
        self._post(functools.partial(then, None))

    def release(self, documents: dict[str, Any]) -> None:
        """Do nothing, since there are no earlier documents."""

    def close(self, documents: dict[str, Any]) -> None:
        """Do nothing, since no file is open."""
