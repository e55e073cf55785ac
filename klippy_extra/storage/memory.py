"""The store for the reactor, which never waits: documents, the log and `seq`."""

from __future__ import annotations

import collections
import itertools
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence

from .. import wording
from ..contract import Entry
from ..language import tr
from ..ledger.stamps import Move
from ..paths import path_of, shown
from .loaded import Loaded, Post, Then
from .null_store import NullStore
from .owner import OccupiedError

if TYPE_CHECKING:
    from .store import Store

SEQ_BLOCK = 1000  # numbers that are reserved in the store at once
SEQ_LEAP = 1_000_000  # after a loss, numbers that may have been published are skipped
LOGGED = 500  # entries of the log in memory
NAMESPACE = uuid.UUID(
    "5f1c5b0e-2c0c-5a3e-9c38-6f1d4e6a7b21"
)  # for uuids without a store


class Memory:
    """The store, with a copy of the data that the reactor reads without a wait.

    *who* names this Klippy to another one that wants the same store. ``report`` gets
    the problem with saving as a sentence, and "" when there is none any more. ``say``
    gets sentences that people should read once. ``on_late`` is called when a store
    opens that was not readable at the start. Nothing is written to it until `adopt` is
    called.
    """

    def __init__(
        self,
        path: str,
        post: Post,
        who: str,
        wall: Callable[[], float],
        report: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self._path = path
        self._post = post
        self._who = who
        self._wall = wall
        self._report = report
        self._say = say
        self.on_late: Callable[[dict[str, Any]], None] = lambda documents: None
        self._store: Store | NullStore = self._make()
        self._log: collections.deque[Entry] = collections.deque(maxlen=LOGGED)
        self._fresh: collections.deque[Entry] = collections.deque(maxlen=LOGGED)
        self.documents: dict[str, Any] = {}  # the documents at the start
        self.known = True  # whether the documents could be read
        self._problem = ""  # the reported problem with saving
        self.uuid = ""
        self._seq = self._reserved = 0

    def load(self) -> None:
        """Read everything. Only this call waits for the disk."""
        try:
            loaded = self._store.load()
        except OccupiedError as error:
            self._store = NullStore(
                self._post,
                tr(
                    "{file}: {error}. Each printer needs its own: give one of them"
                    " another 'store' in its section [maintain], or stop the other one,"
                    " and then restart this one",
                    file=shown(path_of(self._path)),
                    error=str(error),
                ),
            )
            loaded = self._store.load()
        self.known = loaded.known
        self._learn(loaded)
        if loaded.problem:
            self.lost(loaded.problem)
        if loaded.refusal:
            # The last Klippy may also have published numbers that it could not save.
            self._leap()
            self._refused(loaded.refusal)

    def _make(self) -> Store | NullStore:
        try:
            from .store import Store  # noqa: PLC0415
        except ImportError as error:
            return NullStore(
                self._post,
                tr(
                    "the Python that runs Klippy lacks what is needed for it ({error}):"
                    " install its 'sqlite3'",
                    error=str(error),
                ),
            )
        return Store(self._path, self._post, self._who, self._refused, self._late)

    def _learn(self, loaded: Loaded) -> None:
        self.documents = loaded.documents
        self._log.extend(loaded.log)
        identity = loaded.documents.get("printer") or {}
        self.uuid = str(identity.get("uuid") or self._new_uuid())
        self._seq = self._reserved = max(self._seq, int(identity.get("seq", 0)))

    def _new_uuid(self) -> str:
        if isinstance(self._store, NullStore):
            # The uuid cannot be stored, so it is computed and the same each time.
            return uuid.uuid5(NAMESPACE, f"{_machine()} {self._who}").hex
        return uuid.uuid4().hex

    def renew(self) -> None:
        """Become another printer, which has not published anything yet."""
        self.uuid = uuid.uuid4().hex
        for name in ("published", "unpublish"):
            self.documents.pop(name, None)
        self._leap()

    def lost(self, problem: str) -> None:
        """Continue after a loss with numbers that were certainly never published."""
        self._say(problem)
        self._leap()

    def _leap(self) -> None:
        # The clock in milliseconds is larger. So two starts without a store begin with
        # different numbers.
        self._seq = max(self._seq + SEQ_LEAP, int(self._wall() * 1000.0))

    def _refused(self, why: str) -> None:
        """Handle the store's report that writing fails, or works again."""
        text, moment = "", wording.moment(self._wall())
        if why and isinstance(self._store, NullStore):
            text = tr(
                "Nothing is saved: {why}. Counts are kept in memory only, and a"
                " restart loses what was counted since {moment}.",
                why=why,
                moment=moment,
            )
        elif why and self.known:
            text = tr(
                "Nothing is saved since {moment}: {why}. Counting goes on, and all is"
                " saved as soon as that works. A restart before then loses what was"
                " counted since.",
                why=why,
                moment=moment,
            )
        elif why:
            text = tr(
                "The maintenance store cannot be read: {why}. It is tried again, and"
                " what is counted meanwhile is added to it; a restart before then"
                " loses that. Until then nothing is published.",
                why=why,
            )
        self._report(text)
        if not (text and self._problem):
            self._say(text or tr("Maintenance is saved again."))
        self._problem = text

    def _late(self, loaded: Loaded) -> None:
        """Join with the documents of a store that has opened late."""
        self._log.extend(loaded.log)
        mine = self._seq
        self._learn(loaded._replace(log=[]))
        self._seq = max(self._seq, mine)
        self.known = True
        if loaded.problem:
            self.lost(loaded.problem)
        self.on_late(loaded.documents)

    def adopt(self, documents: dict[str, Any]) -> None:
        """Begin to write to a late store. *documents* have all counts together."""
        self._store.release({**documents, **self.identity()})

    def start(self) -> None:
        self._store.start()

    def save(
        self,
        documents: dict[str, Any],
        entries: Sequence[Entry] = (),
        then: Then | None = None,
    ) -> None:
        """Give values to the store. ``then(problem)`` follows, "" if all is on disk."""
        self._log.extendleft(entries)
        self._fresh.extend(entries)
        self._store.save(documents, entries, then)

    def fresh(self) -> list[Entry]:
        """Return the entries of the log since the last call."""
        fresh = list(self._fresh)
        self._fresh.clear()
        return fresh

    def correct(self, documents: dict[str, Any], moves: Sequence[Move]) -> None:
        """Save the corrected records, and give these log entries their new times."""
        times = {move.row: move.time for move in moves}
        for number, entry in enumerate(self._log):
            row = (entry.time, entry.task, entry.event)
            self._log[number] = entry._replace(time=times.get(row, entry.time))
        self._store.save(documents, moves=moves)

    def close(self, documents: dict[str, Any]) -> None:
        """Save for the last time, and give unused numbers back."""
        if documents:
            documents["printer"] = {"uuid": self.uuid, "seq": self._seq}
        self._store.close(documents)

    def identity(self) -> dict[str, Any]:
        """Return the document that reserves the next block of numbers."""
        self._reserved = self._seq + SEQ_BLOCK
        return {"printer": {"uuid": self.uuid, "seq": self._reserved}}

    def next_seq(self) -> int:
        """Return a number that was never used. The next block is reserved in time."""
        self._seq += 1
        if self._reserved - self._seq == SEQ_BLOCK // 2:
            self._store.save(self.identity())
        return self._seq

    def log(self, task: str | None, limit: int) -> list[Entry]:
        """Return the newest entries of a task's log, or of all, the newest first."""
        entries = (each for each in self._log if task in (None, each.task))
        return list(itertools.islice(entries, limit))

    def whole_log(self, task: str | None, then: Callable[[list[Entry]], None]) -> None:
        """Call *then* with the log from disk, or from memory if that fails."""

        def read(entries: list[Entry] | None) -> None:
            then(self.log(task, LOGGED) if entries is None else entries)

        self._store.entries(task, read)


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
