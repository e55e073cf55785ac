"""Keeps JSON documents and the log in SQLite, in its own thread.

The reactor gives it values, and gets a call when they are on disk. It never waits.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import time
from typing import Any, Callable, NamedTuple, Sequence

from ..contract import Entry
from ..language import in_english, tr
from ..ledger.stamps import Move
from ..paths import path_of, shown
from . import database as files
from .database import Connection, Contents
from .loaded import Loaded, Post, Read, Then
from .owner import Owner

RETRY = 5.0  # seconds between two attempts while writing fails
CLOSE_WITHIN = 2.0  # seconds
BACKUP_EVERY = 6 * 3600.0  # seconds


class _Save(NamedTuple):
    documents: dict[str, Any]
    log: Sequence[Entry]
    then: Then | None
    moves: Sequence[Move] = ()


class _Read(NamedTuple):
    task: str | None
    then: Read


class _Release(NamedTuple):
    documents: dict[str, Any]


class Store:
    """One SQLite file, with a backup beside it.

    The thread calls ``post``, which runs a function on the reactor. These functions run
    there: ``on_refusal(why)`` when writing fails, and with "" when it works again, and
    ``on_late(loaded)`` when a file opens that was not readable at the start. *who*
    names this Klippy to another one that wants the same file.
    """

    def __init__(
        self,
        path: str,
        post: Post,
        who: str = "",
        on_refusal: Callable[[str], None] = lambda why: None,
        on_late: Callable[[Loaded], None] = lambda loaded: None,
    ) -> None:
        self.path = path_of(path)
        self._post = post
        self._on_refusal = on_refusal
        self._on_late = on_late
        self._owner = Owner(self.path, who)
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Only the thread uses the attributes from here on.
        self._waiting: list[_Save] = []  # values that are not on disk yet
        self._refusal = ""  # the reported reason why writing fails
        self._opened = False  # whether the file was opened for writing since the start
        self._unread = False  # whether the file was not readable since the start
        self._held_since: float | None = None  # when the reactor got its contents
        self._copied = time.monotonic()

    def load(self) -> Loaded:
        """Read everything before the printer runs. This may wait for the disk.

        A file that cannot be read is renamed and never deleted, and the backup replaces
        it. A disk that cannot be written is still read. OccupiedError: another process
        has the store.
        """
        try:
            self._owner.take()
            problem = files.prepare(self.path)
            with contextlib.closing(files.open_file(self.path)) as database:
                contents = self._settled(database)
                if not contents.bad:
                    files.back_up(database, self.path)
            problem = " ".join(filter(None, [problem, _about(contents)]))
            return Loaded(contents.documents, contents.log, problem)
        except (files.Error, OSError, ValueError) as error:
            logging.warning("maintain: unable to write %s", shown(self.path))
            self._refusal = files.explained(error, self.path)
        return self._read_only()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run, name="maintain-store", daemon=True
        )
        self._thread.start()

    def save(
        self,
        documents: dict[str, Any],
        log: Sequence[Entry] = (),
        then: Then | None = None,
        moves: Sequence[Move] = (),
    ) -> None:
        """Write *documents* (None deletes one) and append *log*, all or nothing.

        *moves* give entries of the log other times.

        The values must not change afterwards, since another thread reads them. On the
        reactor, ``then("")`` follows when they are on disk, or ``then(why)`` if they
        could not be written. They are then kept and tried again.
        """
        self._jobs.put(_Save(documents, tuple(log), then, tuple(moves)))

    def entries(self, task: str | None, then: Read) -> None:
        """Give *then* the whole log of *task* (None: of all), the newest first.

        ``then(None)`` follows if the disk cannot be read.
        """
        self._jobs.put(_Read(task, then))

    def release(self, documents: dict[str, Any]) -> None:
        """Continue after ``on_late``. *documents* have the earlier and the new counts.

        Documents that were given before this call are not written any more.
        """
        self._jobs.put(_Release(documents))

    def close(self, documents: dict[str, Any]) -> None:
        """Write *documents* and all queued values, then end the thread."""
        if self._thread is None:
            self._owner.leave()
            return
        self.save(documents)
        self._jobs.put(None)
        self._thread.join(CLOSE_WITHIN)
        self._thread = None

    # Reading at the start

    def _read_only(self) -> Loaded:
        """Read the file although it cannot be written."""
        try:
            contents, problem = files.read_only(self.path)
        except (files.Error, OSError, ValueError) as error:
            self._unread = True
            why = f"{self._refusal}; {error}"
            return Loaded({}, [], refusal=why, known=False)
        # If there is no file, a disk that is mounted later may still have a store.
        self._unread = not contents.documents
        return Loaded(contents.documents, contents.log, problem, self._refusal)

    def _settled(self, database: Connection) -> Contents:
        """Read the file, and rename documents that are not valid."""
        contents = files.everything(database)
        if contents.bad:
            older = files.from_backup(self.path, contents.bad)
            files.set_documents_aside(database, contents.bad)
            contents = contents._replace(documents={**older, **contents.documents})
        self._opened = True
        return contents

    # The thread

    def _run(self) -> None:
        database: Connection | None = None
        closing = False
        while not closing:
            jobs = self._next()
            closing = None in jobs
            for job in jobs:
                self._take(job)
            try:
                if database is None:
                    database = self._connect()
                self._write(database)
                self._copy(database)
            except Exception as error:
                why = files.explained(error, self.path)
                if not self._refusal:
                    by_disk = isinstance(error, (files.Error, OSError))
                    trace = None if by_disk else error
                    logging.warning(
                        "maintain: unable to write: %s",
                        in_english(why),
                        exc_info=trace,
                    )
                self._refused(why)
                if why != tr(files.FULL, file=shown(self.path)):
                    files.close(database)
                    database = None
            self._answer([job for job in jobs if isinstance(job, _Read)], database)
        files.close(database)
        self._owner.leave()

    def _next(self) -> list[Any]:
        """Wait for work or for the next attempt, and return all waiting work."""
        jobs: list[Any] = []
        with contextlib.suppress(queue.Empty):
            jobs.append(self._jobs.get(timeout=RETRY if self._waiting else None))
            while True:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _take(self, job: Any) -> None:
        if isinstance(job, _Release):
            # Counts that began at zero must not replace the stored ones.
            self._waiting = [save._replace(documents={}) for save in self._waiting]
            self._waiting.append(_Save(job.documents, (), None))
            self._held_since, self._unread = None, False
        elif isinstance(job, _Save):
            self._waiting.append(job)

    def _connect(self) -> Connection:
        if self._opened:
            return files.open_file(self.path)
        self._owner.take()
        problem = files.prepare(self.path)
        database = files.open_file(self.path)
        try:
            contents = self._settled(database)
        except BaseException:
            database.close()
            raise
        if self._unread and contents.documents:
            problem = " ".join(filter(None, [problem, _about(contents)]))
            loaded = Loaded(contents.documents, contents.log, problem)
            self._held_since = time.monotonic()
            self._post(functools.partial(self._on_late, loaded))
        return database

    def _write(self, database: Connection) -> None:
        if self._held_since is not None:
            if time.monotonic() - self._held_since > RETRY:
                raise OSError(
                    tr("its contents could not be joined with the present counts")
                )
            return
        merged = self._merged()
        files.write(database, merged.documents, merged.log, merged.moves)
        if self._refusal:
            logging.info("maintain: %s can be written again", shown(self.path))
            self._refusal = ""
            self._post(functools.partial(self._on_refusal, ""))
        self._tell("")
        self._waiting = []

    def _refused(self, why: str) -> None:
        """Report the reason once. The values wait until they are on disk."""
        if why != self._refusal:
            self._post(functools.partial(self._on_refusal, why))
        self._refusal = why
        self._tell(why)
        self._waiting = [self._merged()] if self._waiting else []

    def _merged(self) -> _Save:
        documents: dict[str, Any] = {}
        for save in self._waiting:
            documents.update(save.documents)
        log = [entry for save in self._waiting for entry in save.log]
        moves = [move for save in self._waiting for move in save.moves]
        return _Save(documents, log, None, moves)

    def _tell(self, why: str) -> None:
        for save in self._waiting:
            if save.then is not None:
                self._post(functools.partial(save.then, why))

    def _copy(self, database: Connection) -> None:
        if time.monotonic() - self._copied > BACKUP_EVERY:
            self._copied = time.monotonic()
            if files.is_whole(self.path):
                files.back_up(database, self.path)

    def _answer(self, reads: Sequence[_Read], database: Connection | None) -> None:
        for read in reads:
            entries: list[Entry] | None = None
            try:
                if database is not None:
                    entries = files.entries(database, read.task, -1)
            except Exception:
                logging.exception(
                    "maintain: unable to read the log in %s", shown(self.path)
                )
            self._post(functools.partial(read.then, entries))


def _about(contents: Contents) -> str:
    """Return a text about the renamed documents, and what replaces them."""
    if not contents.bad:
        return ""
    names = ", ".join(contents.bad)
    older = [name for name in contents.bad if name in contents.documents]
    text = tr(
        "These documents in the maintenance store are not valid: {names}. They "
        "were kept there under names that begin with '{start}'.",
        names=names,
        start=files.ASIDE,
    )
    used = tr("The last good backup is used for: {names}.", names=", ".join(older))
    return f"{text} {used}" if older else text
