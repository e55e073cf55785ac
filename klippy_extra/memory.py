"""What must survive, as the reactor sees it: documents, the log, and `seq`."""

from __future__ import annotations

import collections
import itertools
import uuid
from typing import Any, Callable, Sequence

from .contract import Entry
from .store import Store

SEQ_BLOCK = 1000  # numbers that are taken from the store at once
SEQ_LEAP = 1_000_000  # after a loss, over whatever may have been published
LOGGED = 500  # entries of the log that are kept at hand


class Memory:
    """The store, with what the reactor must know of it without asking."""

    def __init__(self, path: str, post: Callable[[Callable[[], None]], None]) -> None:
        self._store = Store(path, post)
        self._log: collections.deque[Entry] = collections.deque(maxlen=LOGGED)
        self.documents: dict[str, Any] = {}  # as they were at start
        self.problem = ""
        self.uuid = ""
        self._seq = self._reserved = 0

    def load(self) -> None:
        """Read everything; the only call that waits for the disk."""
        loaded = self._store.load()
        self.documents = loaded.documents
        self._log.extend(loaded.log)
        identity = loaded.documents.get("printer") or {}
        self.uuid = str(identity.get("uuid") or uuid.uuid4().hex)
        self._seq = self._reserved = int(identity.get("seq", 0))
        if loaded.problem:
            self.lost(loaded.problem)

    def lost(self, problem: str) -> None:
        """Go on after a loss, beyond all that may have been published before."""
        self.problem = problem
        self._seq += SEQ_LEAP

    def start(self) -> None:
        self._store.start()

    def save(
        self,
        documents: dict[str, Any],
        entries: Sequence[Entry] = (),
        then: Callable[[str], None] | None = None,
    ) -> None:
        """Hand over to the store; ``then(problem)`` follows, "" once it is on disk."""
        self._log.extendleft(entries)
        self._store.save(documents, entries, then)

    def close(self, documents: dict[str, Any]) -> None:
        """Save for the last time, with no number left unused."""
        if documents:
            documents["printer"] = {"uuid": self.uuid, "seq": self._seq}
        self._store.close(documents)

    def identity(self) -> dict[str, Any]:
        """The document that makes the next block of numbers ours."""
        self._reserved = self._seq + SEQ_BLOCK
        return {"printer": {"uuid": self.uuid, "seq": self._reserved}}

    def next_seq(self) -> int:
        """A number that was never used; the next block is taken in good time."""
        self._seq += 1
        if self._reserved - self._seq == SEQ_BLOCK // 2:
            self._store.save(self.identity())
        return self._seq

    def log(self, task: str | None, limit: int) -> list[Entry]:
        """The newest entries of a task's log, or of all, newest first."""
        entries = (each for each in self._log if task in (None, each.task))
        return list(itertools.islice(entries, limit))

    def whole_log(self, task: str | None, then: Callable[[list[Entry]], None]) -> None:
        """Read it from disk, and hand it over later."""
        self._store.entries(task, then)
