"""The SQLite file of a store: how it is opened, checked, renamed, copied and read.

All functions wait for the disk. They raise `Error` or OSError.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ..contract import Entry
from ..language import mark, tr
from ..ledger.stamps import Move, rows_of
from ..paths import shown
from . import documents

FULL = mark("the disk of {file} is full")
ROOM = 1 << 16  # bytes; a disk with less room counts as full
FORMAT = 1  # PRAGMA user_version
RECENT = 500  # entries of the log that are loaded at start
ASIDE = "bad-"  # the begin of the names of documents that are not valid

Connection = sqlite3.Connection
Error = sqlite3.Error

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, task TEXT NOT NULL,
    event TEXT NOT NULL, who TEXT NOT NULL, note TEXT NOT NULL, used TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_by_task ON log (task, id);
"""
_APPEND = (
    "INSERT INTO log (time, task, event, who, note, used, condition)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_READ = (
    "SELECT time, task, event, who, note, used, condition FROM log"
    " WHERE ? IS NULL OR task = ? ORDER BY id DESC LIMIT ?"
)
_READ_OLD = _READ.replace("condition", "''")
# An older version can still write to a log that has this column.
_WIDEN = "ALTER TABLE log ADD COLUMN condition TEXT NOT NULL DEFAULT ''"
_MOVE = "UPDATE log SET time = ? WHERE time = ? AND task = ? AND event = ?"
# The ends of sentences that begin with the name of a file.
_EMPTY, _GONE = mark("is empty"), mark("is gone")
_DAMAGED = mark("is damaged ({error})")
BACKUP_USED = mark("The last good backup is used.")


class Contents(NamedTuple):
    """The contents of a file. *bad* names the documents that are not valid."""

    documents: dict[str, Any]
    log: list[Entry]  # the newest first
    bad: tuple[str, ...] = ()


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file for writing, and make it if there is none."""
    database = sqlite3.connect(str(path), timeout=1.0)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        # A confirmed command must survive a power cut, and not only a crash.
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(_TABLES)
        if not _has_condition(database):
            database.execute(_WIDEN)
        database.execute(f"PRAGMA user_version={FORMAT}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def prepare(path: Path) -> str:
    """Leave a good file or none at *path*; return how a bad one was repaired."""
    path.parent.mkdir(parents=True, exist_ok=True)
    why = _fault(path) if path.exists() else tr(_GONE)
    if not why:
        return ""
    backup = backup_of(path)
    has_backup = backup.exists() and not _fault(backup)
    if why in (tr(_EMPTY), tr(_GONE)) and not has_backup:
        return ""
    texts = [_bad(path, why)]
    aside = _set_aside(path)
    if aside is not None:
        texts.append(tr("It was set aside as {file}.", file=shown(aside.name)))
    if not has_backup:
        texts.append(tr("There is no good backup: counting starts again from zero."))
        return " ".join(texts)
    backup.replace(path)
    return " ".join([*texts, tr(BACKUP_USED)])


def read_only(path: Path) -> tuple[Contents, str]:
    """Read a file that cannot be written, or its backup; return which one it was.

    No file beside it is changed. The file is copied with its journal to a folder that
    has room.
    """
    faults: list[str] = []
    for candidate in filter(Path.exists, (path, backup_of(path))):
        with _copied(candidate) as copy:
            fault = _fault(copy)
            if not fault:
                text = f"{_bad(path, faults[0])} {tr(BACKUP_USED)}" if faults else ""
                with contextlib.closing(sqlite3.connect(str(copy))) as database:
                    return everything(database), text
        faults.append(fault)
    if set(faults) <= {tr(_EMPTY)}:
        return Contents({}, []), ""
    raise OSError(tr("it {fault}", fault=faults[0]))


def _bad(path: Path, why: str) -> str:
    file = shown(path)
    return tr("The maintenance store {file} {fault}.", file=file, fault=why)


def explained(error: Exception, path: Path) -> str:
    """Return why writing at *path* failed. SQLite calls a full disk an I/O error."""
    try:
        disk = os.statvfs(str(path.parent))
    except OSError as missing:
        return f"{shown(path.parent)}: {missing.strerror}"
    if disk.f_flag & os.ST_RDONLY:
        return tr("the disk of {file} is read-only", file=shown(path))
    if disk.f_bavail * disk.f_frsize < ROOM:
        # The file stays open. A close would free a little room, but only for one more
        # save.
        return tr(FULL, file=shown(path))
    text = getattr(error, "strerror", None) or str(error)
    return f"{shown(path)}: {text}"


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[Path]:
    for room in ("/dev/shm", None):  # noqa: S108 - a folder of its own is made there
        try:
            folder = Path(tempfile.mkdtemp(prefix="upkeep-", dir=room))
        except OSError:
            continue
        try:
            for tail in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{tail}", str(folder / f"store{tail}"))
            yield folder / "store"
        finally:
            shutil.rmtree(str(folder), ignore_errors=True)
        return
    raise OSError(tr("there is no room for a copy of {file}", file=shown(path)))


def _fault(path: Path) -> str:
    """Return the fault of the file at *path*, or "". It changes nothing."""
    # When a connection that may write is closed, the journal goes into the file.
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, timeout=1.0, uri=True)
        with contextlib.closing(connection) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                return tr(
                    "was written by a newer version (format {format})", format=version
                )
            if (
                version == 0
            ):  # after a power cut, a file that was not written yet may be like this
                return tr(_EMPTY)
            verdict = database.execute("PRAGMA quick_check").fetchone()[0]
            if verdict != "ok":
                return tr(_DAMAGED, error=str(verdict))
            everything(database)
    except sqlite3.OperationalError as error:
        # It is not permitted, or the file is locked. The file itself may be good.
        missing = "no such" in str(error)  # a table is missing
        return tr(_DAMAGED, error=str(error)) if missing else ""
    except (sqlite3.DatabaseError, ValueError) as error:
        return tr(_DAMAGED, error=str(error))
    return ""


def _set_aside(path: Path) -> Path | None:
    """Rename the file and its journal. None: there was no file."""
    number = 1
    while Path(f"{path}.bad-{number}").exists():
        number += 1
    aside = Path(f"{path}.bad-{number}")
    for tail in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{tail}").replace(f"{aside}{tail}")
    return aside if aside.exists() else None


def backup_of(path: Path) -> Path:
    return Path(f"{path}.backup")


def back_up(database: sqlite3.Connection, path: Path) -> None:
    """Write the backup to another file, and then rename that."""
    fresh = Path(f"{path}.backup.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with contextlib.closing(sqlite3.connect(str(fresh))) as copy:
            database.backup(copy)
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(backup_of(path))
    except (sqlite3.Error, OSError) as error:
        logging.warning("maintain: unable to back up %s: %s", shown(path), error)


def is_whole(path: Path) -> bool:
    """Return whether all pages of the file can be read."""
    return not _fault(path)


def everything(database: sqlite3.Connection) -> Contents:
    """Read all valid documents, and the newest entries of the log."""
    good, bad = {}, []
    for name, body in database.execute("SELECT name, body FROM documents").fetchall():
        if name.startswith(ASIDE):
            continue
        try:
            good[name] = documents.checked(name, body)
        except ValueError:
            bad.append(name)
    return Contents(good, entries(database, None, RECENT), tuple(bad))


def set_documents_aside(database: sqlite3.Connection, names: Sequence[str]) -> None:
    """Keep these documents under other names, so that nothing overwrites them."""
    with database:
        for name in names:
            query = "SELECT count(*) FROM documents WHERE name LIKE ?"
            number = database.execute(query, (f"{ASIDE}%/{name}",)).fetchone()[0] + 1
            database.execute(
                "UPDATE documents SET name = ? WHERE name = ?",
                (f"{ASIDE}{number}/{name}", name),
            )


def from_backup(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return those of these documents that the last good backup has."""
    backup = backup_of(path)
    if not (names and backup.exists() and is_whole(backup)):
        return {}
    with contextlib.closing(sqlite3.connect(str(backup))) as database:
        there = everything(database).documents
    return {name: there[name] for name in names if name in there}


def entries(database: sqlite3.Connection, task: str | None, most: int) -> list[Entry]:
    """Return the newest entries of a task's log, or of all tasks; -1: all entries."""
    query = _READ if _has_condition(database) else _READ_OLD
    rows = database.execute(query, (task, task, most))
    entries = map(documents.entry, rows.fetchall())
    return [entry for entry in entries if entry is not None]


def _has_condition(database: sqlite3.Connection) -> bool:
    """Return whether the log has the column `condition`."""
    columns = database.execute("PRAGMA table_info(log)").fetchall()
    return any(column[1] == "condition" for column in columns)


def write(
    database: sqlite3.Connection,
    changed: Mapping[str, Any],
    log: Sequence[Entry],
    moves: Sequence[Move] = (),
) -> None:
    """Write documents (None deletes one) and the log, all or nothing."""
    with database:
        for name, value in changed.items():
            _put(database, name, value)
        rows = [(*entry[:5], _json(entry.used), entry.condition) for entry in log]
        database.executemany(_APPEND, rows)
        database.executemany(_MOVE, rows_of(moves))


def _put(database: sqlite3.Connection, name: str, value: Any) -> None:
    if value is None:
        database.execute("DELETE FROM documents WHERE name = ?", (name,))
        return
    try:
        body = _json(value)
    except (TypeError, ValueError):
        # A bug of the extra in one document must not prevent the others.
        logging.exception("maintain: unable to store %r", name)
        return
    database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (name, body))


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def close(database: sqlite3.Connection | None) -> None:
    if database is not None:
        with contextlib.suppress(sqlite3.Error):
            database.close()
