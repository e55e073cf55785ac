"""What must survive: JSON documents and the log, in SQLite, in a thread of their own.

The reactor hands over values and is told when they are on disk; it never waits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

from .contract import Entry

FORMAT = 1  # PRAGMA user_version
RETRY = 5.0  # seconds between attempts while the disk refuses
CLOSE_WITHIN = 2.0  # seconds
BACKUP_EVERY = 6 * 3600.0  # seconds
RECENT = 500  # entries of the log that are loaded at start

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, task TEXT NOT NULL,
    event TEXT NOT NULL, who TEXT NOT NULL, note TEXT NOT NULL, used TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_by_task ON log (task, id);
"""
_APPEND = (
    "INSERT INTO log (time, task, event, who, note, used) VALUES (?, ?, ?, ?, ?, ?)"
)

Post = Callable[[Callable[[], None]], None]
Then = Callable[[str], None]


class Loaded(NamedTuple):
    """What was on disk, and a sentence about what went wrong, if anything did."""

    documents: dict[str, Any]
    log: list[Entry]  # newest first
    problem: str = ""


class _Save(NamedTuple):
    documents: dict[str, Any]
    log: Sequence[Entry]
    then: Then | None


class _Read(NamedTuple):
    task: str | None
    then: Callable[[list[Entry]], None]


class Store:
    """One SQLite file, with a backup beside it.

    ``post`` runs a callable on the reactor; the thread calls it.
    """

    def __init__(self, path: str, post: Post) -> None:
        self.path = Path(path).expanduser()
        self._post = post
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._usable = True
        # From here on the thread's.
        self._waiting: list[_Save] = []  # not on disk yet
        self._refusal = ""  # why the disk refuses, as it was logged
        self._copied = time.monotonic()

    def load(self) -> Loaded:
        """Read everything, before the printer runs: here the disk may take its time.

        A file that cannot be read is set aside, never deleted, and the backup
        takes its place; where nothing can be used, this run counts in memory.
        """
        try:
            problem = _prepare(self.path)
            with contextlib.closing(_open(self.path)) as database:
                documents, log = _everything(database)
                _back_up(database, self.path)
        except (sqlite3.Error, OSError, ValueError) as error:
            # Writing now could replace what is still there by what is not known.
            self._usable = False
            return Loaded(
                {},
                [],
                f"The maintenance store {self.path} cannot be used ({error}): until the"
                " next restart counts are kept in memory only. Check the disk, and"
                " that the file belongs to the user who runs Klipper.",
            )
        return Loaded(documents, log, problem)

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
    ) -> None:
        """Write *documents* (None deletes one) and append *log*, all or nothing.

        The values must not change afterwards: another thread reads them.
        ``then("")`` follows on the reactor once they are on disk, ``then(why)``
        where they could not be written; they are kept and tried again.
        """
        self._jobs.put(_Save(documents, tuple(log), then))

    def entries(self, task: str | None, then: Callable[[list[Entry]], None]) -> None:
        """Hand the whole log of *task* (None: of all), newest first, to *then*."""
        self._jobs.put(_Read(task, then))

    def close(self, documents: dict[str, Any]) -> None:
        """Write *documents* and all that is queued, then end the thread."""
        self.save(documents)
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(CLOSE_WITHIN)
            self._thread = None

    def _run(self) -> None:
        database: sqlite3.Connection | None = None
        closing = False
        while not closing:
            jobs = self._next()
            closing = None in jobs
            self._waiting += [job for job in jobs if isinstance(job, _Save)]
            try:
                if database is None:
                    database = self._connect()
                self._write(database)
                self._copy(database)
            except Exception as error:
                why = f"{self.path}: {error}"
                if why != self._refusal:
                    logging.exception("maintain: unable to write %s", self.path)
                self._refused(why)
                _close(database)
                database = None
            self._answer([job for job in jobs if isinstance(job, _Read)], database)
        _close(database)

    def _connect(self) -> sqlite3.Connection:
        if not self._usable:
            raise sqlite3.OperationalError("it could not be read at start")
        return _open(self.path)

    def _next(self) -> list[Any]:
        """Wait for work, or for the time to try again, and take all there is."""
        jobs: list[Any] = []
        with contextlib.suppress(queue.Empty):
            jobs.append(self._jobs.get(timeout=RETRY if self._waiting else None))
            while True:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _write(self, database: sqlite3.Connection) -> None:
        merged = self._merged()
        with database:
            for name, value in merged.documents.items():
                _put(database, name, value)
            database.executemany(
                _APPEND, [(*entry[:5], _json(entry.used)) for entry in merged.log]
            )
        if self._refusal:
            logging.info("maintain: %s can be written again", self.path)
        self._tell("")
        self._waiting, self._refusal = [], ""

    def _refused(self, why: str) -> None:
        """Tell whoever waits, once; the values stay until they are on disk."""
        self._tell(why)
        self._waiting = [self._merged()] if self._waiting else []
        self._refusal = why

    def _merged(self) -> _Save:
        documents: dict[str, Any] = {}
        for save in self._waiting:
            documents.update(save.documents)
        return _Save(documents, [e for save in self._waiting for e in save.log], None)

    def _tell(self, why: str) -> None:
        for save in self._waiting:
            if save.then is not None:
                self._post(_bound(save.then, why))

    def _copy(self, database: sqlite3.Connection) -> None:
        if time.monotonic() - self._copied > BACKUP_EVERY:
            self._copied = time.monotonic()
            if not _fault(self.path):
                _back_up(database, self.path)

    def _answer(
        self, reads: Sequence[_Read], database: sqlite3.Connection | None
    ) -> None:
        for read in reads:
            entries: list[Entry] = []
            try:
                if database is not None:
                    entries = _entries(database, read.task, -1)
            except Exception:
                logging.exception("maintain: unable to read the log in %s", self.path)
            self._post(_bound(read.then, entries))


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(str(path), timeout=1.0)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        # An answered command must survive a power cut, not only a crash.
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(_TABLES)
        database.execute(f"PRAGMA user_version={FORMAT}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _prepare(path: Path) -> str:
    """Put a whole file, or none, at *path*; say what was done about another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    why = _fault(path) if path.exists() else "is gone"
    if not why:
        return ""
    backup = _backup(path)
    has_backup = backup.exists() and not _fault(backup)
    if why in (_EMPTY, "is gone") and not has_backup:
        return ""
    said = f"The maintenance store {path} {why}"
    aside = _set_aside(path)
    if aside is not None:
        said += f"; it was set aside as {aside.name}"
    if not has_backup:
        return said + ". There is no good backup: counting starts anew."
    backup.replace(path)
    return said + ". The last good backup is used."


_EMPTY = "is empty"


def _fault(path: Path) -> str:
    """Return what is wrong with the file at *path*, or nothing."""
    try:
        with contextlib.closing(sqlite3.connect(str(path), timeout=1.0)) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                return f"was written by a newer version (format {version})"
            if version == 0:  # what a power cut leaves of a file not yet written
                return _EMPTY
            verdict = database.execute("PRAGMA quick_check").fetchone()[0]
            if verdict != "ok":
                return f"is damaged ({verdict})"
            _everything(database)
    except sqlite3.OperationalError as error:
        # Not permitted, or locked: the file itself may be whole.
        return f"is damaged ({error})" if "no such" in str(error) else ""
    except (sqlite3.DatabaseError, ValueError) as error:
        return f"is damaged ({error})"
    return ""


def _set_aside(path: Path) -> Path | None:
    """Rename the file and its journal; None where there was nothing."""
    number = 1
    while Path(f"{path}.bad-{number}").exists():
        number += 1
    aside = Path(f"{path}.bad-{number}")
    for tail in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{tail}").replace(f"{aside}{tail}")
    return aside if aside.exists() else None


def _backup(path: Path) -> Path:
    return Path(f"{path}.backup")


def _back_up(database: sqlite3.Connection, path: Path) -> None:
    """Make the backup under another name and put it in place whole."""
    fresh = Path(f"{path}.backup.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with contextlib.closing(sqlite3.connect(str(fresh))) as copy:
            database.backup(copy)
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(_backup(path))
    except (sqlite3.Error, OSError) as error:
        logging.warning("maintain: unable to back up %s: %s", path, error)


def _everything(database: sqlite3.Connection) -> tuple[dict[str, Any], list[Entry]]:
    rows = database.execute("SELECT name, body FROM documents").fetchall()
    documents = {name: json.loads(body) for name, body in rows}
    return documents, _entries(database, None, RECENT)


def _entries(database: sqlite3.Connection, task: str | None, most: int) -> list[Entry]:
    rows = database.execute(
        "SELECT time, task, event, who, note, used FROM log"
        " WHERE ?1 IS NULL OR task = ?1 ORDER BY id DESC LIMIT ?2",
        (task, most),
    )
    return [
        Entry(when, name, event, who, note, json.loads(used))
        for when, name, event, who, note, used in rows.fetchall()
    ]


def _put(database: sqlite3.Connection, name: str, value: Any) -> None:
    if value is None:
        database.execute("DELETE FROM documents WHERE name = ?", (name,))
        return
    try:
        body = _json(value)
    except (TypeError, ValueError):
        # A bug of ours in one document must not hold up the others.
        logging.exception("maintain: unable to store %r", name)
        return
    database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (name, body))


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _bound(function: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: function(value)


def _close(database: sqlite3.Connection | None) -> None:
    if database is not None:
        with contextlib.suppress(sqlite3.Error):
            database.close()
