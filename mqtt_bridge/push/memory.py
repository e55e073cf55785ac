"""Keeps the data for messages to people over restarts, in SQLite.

Only one thread at a time uses it. Each change is appended, and nothing else is written.
A full disk is logged once.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mqtt_bridge.push.rules import MOST_PRINTERS, Entry
from mqtt_bridge.push.signed_links import REMEMBERED as MOST_LINKS

logger = logging.getLogger(__name__)

REMEMBERED = 250_000  # events about which messages have been sent
TRIM = 1000  # entries after which the oldest are dropped

_TABLES = """
    CREATE TABLE IF NOT EXISTS told (ident TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS printers (slug TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS waiting (number INTEGER PRIMARY KEY, row TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS used (row TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS secret (word TEXT NOT NULL);
"""
# The SQL of each kind of entry.
_SQL = {
    "told": "INSERT OR IGNORE INTO told VALUES (?)",
    "printer": "INSERT OR IGNORE INTO printers VALUES (?)",
    "waiting": "INSERT OR REPLACE INTO waiting VALUES (?, ?)",
    "over": "DELETE FROM waiting WHERE number = ?",
    "used": "INSERT OR IGNORE INTO used VALUES (?)",
    "free": "DELETE FROM used WHERE row = ?",
}


class Memory:
    """The data in the file *path*. With an empty *path*, nothing is kept."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser() if path else None
        self._database: sqlite3.Connection | None = None
        self._complained = False
        self._written = 0
        self._unwritten: list[Entry] = []
        self.secret = secrets.token_bytes(32)

    def load(self) -> dict[str, Any]:
        """Return the kept entries. A file that cannot be read gets another name."""
        if self._path is None:
            return {}
        old = _old_file(self._path)
        try:
            kept = self._open()
        except (OSError, sqlite3.Error) as error:
            kept = self._begin_anew(error)
        if old:
            self._import(old, kept)
        return kept

    def append(self, entries: Iterable[Entry]) -> None:
        """Keep *entries*. If the disk is full, they are written with later entries."""
        entries = [*self._unwritten, *entries]
        self._unwritten = []
        if self._database is None or not entries:
            return
        try:
            with self._database:
                for kind, *values in entries:
                    self._database.execute(_SQL[kind], values)
        except sqlite3.Error as error:
            self._unwritten = entries[-REMEMBERED:]
            if not self._complained:
                self._complained = True
                logger.error("push.state: %s is not written: %s", self._path, error)  # noqa: TRY400
            return
        if self._complained:
            self._complained = False
            logger.warning("push.state: %s is written again", self._path)
        self._trim(len(entries))

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> dict[str, Any]:
        assert self._path is not None  # noqa: S101 - the callers have checked
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # the file has the secret for the links
        # Several threads use the connection, but one after the other.
        database = sqlite3.connect(self._path, timeout=5.0, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_TABLES)
            kept = _read(database)
            word = database.execute("SELECT word FROM secret").fetchone()
            if word is None:
                with database:
                    database.execute("INSERT INTO secret VALUES (?)",
                                     (self.secret.hex(),))  # fmt: skip
            else:
                self.secret = bytes.fromhex(word[0])
        except BaseException:
            database.close()
            raise
        self._database = database
        return kept

    def _begin_anew(self, error: Exception) -> dict[str, Any]:
        logger.warning("push.state: %s is begun anew: %s", self._path, error)
        assert self._path is not None  # noqa: S101 - the caller has checked
        try:
            self._path.replace(f"{self._path}.damaged")
            return self._open()
        except (OSError, sqlite3.Error) as again:
            logger.error("push.state: %s cannot be used: %s", self._path, again)  # noqa: TRY400
            return {}

    def _import(self, old: dict[str, Any], kept: dict[str, Any]) -> None:
        """Import the JSON file of an older version."""
        for name in ("told", "printers", "used"):
            if isinstance(old.get(name), list) and not kept.get(name):
                kept[name] = old[name]
        entries: list[Entry] = [("told", str(each)) for each in kept.get("told", ())]
        entries += [("printer", str(each)) for each in kept.get("printers", ())]
        entries += [("used", json.dumps(each)) for each in kept.get("used", ())]
        self.append(entries)

    def _trim(self, count: int) -> None:
        self._written += count
        if self._written < TRIM or self._database is None:
            return
        self._written = 0
        try:
            with self._database:
                for table, most in (
                    ("told", REMEMBERED),
                    ("printers", MOST_PRINTERS),
                    ("used", MOST_LINKS),
                ):
                    oldest = f"SELECT rowid FROM {table} ORDER BY rowid DESC"  # noqa: S608 - ours
                    self._database.execute(
                        f"DELETE FROM {table} WHERE rowid IN "  # noqa: S608 - ours
                        f"({oldest} LIMIT -1 OFFSET ?)",
                        (most,),
                    )
        except sqlite3.Error as error:
            logger.debug("push.state: %s is not trimmed: %s", self._path, error)


def _read(database: sqlite3.Connection) -> dict[str, Any]:
    def column(sql: str) -> list[Any]:
        return [row[0] for row in database.execute(sql)]

    return {
        "told": column("SELECT ident FROM told ORDER BY rowid"),
        "printers": column("SELECT slug FROM printers ORDER BY rowid"),
        "waiting": [
            [number, *json.loads(row)]
            for number, row in database.execute("SELECT number, row FROM waiting")
        ],
        "used": [json.loads(row) for row in column("SELECT row FROM used")],
    }


def _old_file(path: Path) -> dict[str, Any]:
    """Return what an older version kept as JSON, at *path* or beside it.

    The file gets another name.
    """
    for old in (path, path.with_suffix(".json")):
        try:
            text = old.read_bytes()
        except OSError:
            continue
        if not text or text.startswith(b"SQLite format 3"):
            continue
        try:
            kept = json.loads(text)
            old.replace(f"{old}.imported")
        except (OSError, ValueError):
            continue  # the file at *path* is made new later
        if isinstance(kept, dict):
            return kept
    return {}
