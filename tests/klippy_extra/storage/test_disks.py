"""A store on a disk that is full, read-only, locked or missing loses nothing."""

from __future__ import annotations

import contextlib
import queue
import sqlite3

import pytest

from klippy_extra.contract import Entry
from klippy_extra.storage.store import Store

COUNTED = {"meters": {"readings": {"print_time": 1.5}, "rates": {}}}
DONE = Entry(1795219200, "rods", "done", "anna", "", {"print_time": 151.5})


class Life:
    """A store from one start to its end, with everything that it reports."""

    def __init__(self, path):
        self.posted = queue.SimpleQueue()
        self.refusals = []
        self.late = []
        self.store = Store(
            str(path),
            self.posted.put,
            "which runs a.cfg",
            self.refusals.append,
            self.late.append,
        )
        self.loaded = self.store.load()
        self.store.start()

    def save(self, documents, log=()):
        """Save, and return the store's reply."""
        answers = []
        self.store.save(documents, log, answers.append)
        self.until(lambda: answers)
        return answers[0]

    def until(self, condition):
        while not condition():
            self.posted.get(timeout=20)()


@pytest.fixture
def life():
    """Return a function that starts a store.

    It ends with the test or with the next store.
    """
    lives = []

    def start(path):
        end()
        lives.append(Life(path))
        return lives[-1]

    def end():
        for each in lives:
            each.store.close({})
        lives.clear()

    yield start
    end()


@pytest.fixture(params=["full", "read-only"])
def refusing(request, disk):
    """A disk that refuses to write, and the way to make it write again."""
    if request.param == "full":
        disk.refuse, disk.allow = disk.fill, disk.drain
    else:
        disk.refuse, disk.allow = disk.write_protect, disk.allow_writing
    disk.word = request.param
    return disk


def test_a_store_on_a_disk_that_refuses_writing_is_read(life, refusing):
    path = refusing.folder / "upkeep.sqlite"
    life(path).save(COUNTED, [DONE])
    life(path).store.close({})
    refusing.refuse()

    loaded = life(path).loaded
    assert loaded.documents == COUNTED
    assert loaded.log == [DONE]
    assert loaded.known
    assert loaded.refusal == f"the disk of {path} is {refusing.word}"


def test_the_journal_that_a_crash_left_is_read_as_well(life, refusing, tmp_path):
    """The journal beside the store holds the last minutes before a power cut."""
    path = refusing.folder / "upkeep.sqlite"
    before = life(path)
    before.save(COUNTED)
    there = {p.name: p.read_bytes() for p in refusing.folder.glob("upkeep.sqlite*")}
    assert there["upkeep.sqlite-wal"]
    before.store.close({})
    for name in ("upkeep.sqlite", "upkeep.sqlite-wal"):
        (refusing.folder / name).write_bytes(there[name])
    refusing.refuse()

    assert life(path).loaded.documents == COUNTED


def test_everything_is_written_as_soon_as_the_disk_allows_it(life, refusing):
    path = refusing.folder / "upkeep.sqlite"
    life(path).save({**COUNTED, "material": "ABS"})
    life(path).store.close({})
    refusing.refuse()
    now = life(path)
    assert refusing.word in now.save({"material": "PETG"}, [DONE])
    assert now.refusals == []  # `load` has reported the refusal already

    refusing.allow()
    assert now.save({"history": "taken"}) == ""
    assert now.refusals == [""]
    loaded = life(path).loaded
    assert loaded.documents == {**COUNTED, "material": "PETG", "history": "taken"}
    assert loaded.log == [DONE]
    assert loaded.refusal == loaded.problem == ""


def test_a_first_start_without_room_on_the_disk_is_written_later(life, refusing):
    path = refusing.folder / "upkeep.sqlite"
    refusing.refuse()
    now = life(path)
    assert (now.loaded.documents, now.loaded.known) == ({}, True)
    assert refusing.word in now.save(COUNTED)

    refusing.allow()
    assert now.save({}) == ""
    assert now.late == []
    assert life(path).loaded.documents == COUNTED


def test_the_store_tries_again_by_itself(life, refusing, monkeypatch):
    monkeypatch.setattr("klippy_extra.storage.store.RETRY", 0.05)
    path = refusing.folder / "upkeep.sqlite"
    refusing.refuse()
    now = life(path)
    now.save(COUNTED)
    refusing.allow()

    now.until(lambda: now.refusals == [""])
    assert life(path).loaded.documents == COUNTED


def test_a_bad_file_on_a_read_only_disk_is_replaced_by_its_backup(life, disk):
    path = disk.folder / "upkeep.sqlite"
    life(path).save(COUNTED)
    life(path).store.close({})  # This start has made the backup.
    path.write_bytes(b"\xff" * path.stat().st_size)
    disk.write_protect()

    now = life(path)
    assert now.loaded.documents == COUNTED
    assert "The last good backup is used." in now.loaded.problem
    disk.allow_writing()
    assert now.save({"material": "ABS"}) == ""
    assert path.with_name("upkeep.sqlite.bad-1").exists()
    assert life(path).loaded.documents == {**COUNTED, "material": "ABS"}


def test_a_store_that_another_process_has_locked_is_read_and_written_later(
    life, tmp_path
):
    path = tmp_path / "upkeep.sqlite"
    life(path).save(COUNTED)
    life(path).store.close({})
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        now = life(path)
        assert now.loaded.documents == COUNTED
        assert "locked" in now.loaded.refusal
        assert "locked" in now.save({"material": "ABS"})
        other.rollback()
    assert now.save({}) == ""
    assert life(path).loaded.documents == {**COUNTED, "material": "ABS"}


def forbidden(path):
    """Put something in place of the file that even root cannot read."""
    aside = path.with_name("aside")
    path.rename(aside)
    path.mkdir()

    def permitted():
        path.rmdir()
        aside.rename(path)

    return permitted


def test_a_store_that_opens_late_hands_over_its_documents(life, tmp_path):
    path = tmp_path / "upkeep.sqlite"
    life(path).save(COUNTED, [DONE])
    life(path).store.close({})
    permitted = forbidden(path)
    now = life(path)
    assert not now.loaded.known
    assert str(path) in now.save({"meters": "from nothing"}, [DONE._replace(time=5)])

    permitted()
    now.store.save({"meters": "from nothing", "material": "PLA"})
    now.until(lambda: now.late)
    assert now.late[0].documents == COUNTED
    assert now.late[0].log == [DONE]
    now.store.release({"meters": {"readings": {"print_time": 2.0}}})
    assert now.save({}) == ""
    loaded = life(path).loaded
    assert loaded.documents == {"meters": {"readings": {"print_time": 2.0}}}
    assert [entry.time for entry in loaded.log] == [5, DONE.time]


def test_a_store_that_opens_late_is_not_overwritten_before_it_is_joined(
    life, tmp_path, monkeypatch
):
    path = tmp_path / "upkeep.sqlite"
    life(path).save(COUNTED)
    life(path).store.close({})
    permitted = forbidden(path)
    now = life(path)
    now.save({"meters": {"readings": {"print_time": 0.0}}})
    permitted()
    monkeypatch.setattr("klippy_extra.storage.store.RETRY", 0.05)
    now.store.save({})
    now.until(lambda: now.late)
    now.until(lambda: any("could not be joined" in text for text in now.refusals))

    assert life(path).loaded.documents == COUNTED


def test_a_disk_that_is_mounted_late_keeps_its_documents(life, disk, tmp_path):
    """At first the folder exists and cannot be written.

    Then a disk with a store is mounted.
    """
    path = disk.folder / "upkeep.sqlite"
    disk.write_protect()
    now = life(path)
    assert now.loaded.known
    now.save({"material": "PLA"})
    disk.allow_writing()
    with contextlib.closing(sqlite3.connect(path)) as there:
        there.executescript(
            "CREATE TABLE documents (name TEXT PRIMARY KEY, body TEXT NOT NULL);"
            "CREATE TABLE log (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, task TEXT"
            " NOT NULL, event TEXT NOT NULL, who TEXT NOT NULL, note TEXT NOT NULL,"
            " used TEXT NOT NULL);"
            "INSERT INTO documents VALUES ('material', '\"ABS\"');"
            "PRAGMA user_version=1;"
        )
    now.store.save({})
    now.until(lambda: now.late)
    assert now.late[0].documents == {"material": "ABS"}


def test_a_folder_that_cannot_be_made_is_reported(life, tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "upkeep.sqlite"
    now = life(path)
    assert str(path.parent) in now.loaded.refusal
    assert now.save(COUNTED) == now.loaded.refusal


def test_the_log_of_a_disk_that_cannot_be_read_is_none(life, tmp_path):
    path = tmp_path / "upkeep.sqlite"
    path.mkdir()
    now = life(path)
    answers = []
    now.store.entries(None, answers.append)
    now.until(lambda: answers)
    assert answers == [None]
