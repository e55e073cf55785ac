"""What the store has confirmed is on disk, whatever happens."""

from __future__ import annotations

import queue
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from klippy_extra.contract import Entry
from klippy_extra.storage.store import Store

DONE = Entry(1795219200, "rods", "done", "anna", "two drops", {"print_time": 151.5})


class FakeReactor:
    """Takes the place of the reactor. It runs what the store posts on demand."""

    def __init__(self):
        self.posted = queue.SimpleQueue()
        self.replies = []

    def post(self, function):
        self.posted.put(function)

    def next_reply(self):
        """Wait for one reply of the store and return it."""
        while not self.replies:
            self.posted.get(timeout=10)()
        return self.replies.pop()


@pytest.fixture
def reactor():
    return FakeReactor()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(reactor, path):
    store = Store(str(path), reactor.post)
    store.load()
    store.start()
    yield store
    store.close({})


def again(path):
    store = Store(str(path), lambda function: None)
    try:
        return store.load()
    finally:
        store.close({})


def power_cut(path):
    """Return what a start finds if the power goes now: the files as they are."""
    copy = path.with_name("copy.db")
    for tail in ("", "-wal"):
        there = path.with_name(path.name + tail)
        if there.exists():
            copy.with_name(copy.name + tail).write_bytes(there.read_bytes())
    return again(copy)


def write(path, documents, log=()):
    store = Store(str(path), lambda function: None)
    store.load()
    store.start()
    store.save(documents, log)
    store.close({})


def test_what_the_store_confirmed_is_on_disk(store, reactor, path):
    store.save({"meters": {"print_time": 1.5}}, [DONE], reactor.replies.append)
    assert reactor.next_reply() == ""

    loaded = power_cut(path)
    assert loaded.documents == {"meters": {"print_time": 1.5}}
    assert loaded.log == [DONE]
    assert loaded.problem == ""


def test_the_newest_value_is_kept_and_none_deletes(path):
    write(path, {"a": 1, "b": 2})
    write(path, {"a": 3, "b": None})
    assert again(path).documents == {"a": 3}


def test_close_writes_everything_that_is_queued(path, reactor):
    store = Store(str(path), reactor.post)
    store.load()
    store.start()
    for number in range(200):
        store.save({"n": number})
    store.close({"last": True})
    assert again(path).documents == {"n": 199, "last": True}


def test_a_log_is_read_newest_first_and_by_task(store, reactor):
    older = DONE._replace(time=1)
    other = DONE._replace(task="belts")
    store.save({}, [older, DONE, other])
    store.entries("rods", reactor.replies.append)
    assert reactor.next_reply() == [DONE, older]
    store.entries(None, reactor.replies.append)
    assert reactor.next_reply() == [other, DONE, older]


def test_one_document_that_is_not_json_does_not_block_the_others(
    store, reactor, path, caplog
):
    store.save({"bad": float("nan"), "good": 1}, (), reactor.replies.append)
    assert reactor.next_reply() == ""
    assert "unable to store 'bad'" in caplog.text
    assert power_cut(path).documents == {"good": 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"\0" * len(whole),
        lambda whole: b"",
        lambda whole: b"null",
        lambda whole: b"[]",
        lambda whole: whole[:4096] + b"\xff" * (len(whole) - 4096),
    ],
    ids=["truncated", "zeroed", "empty", "null", "list", "overwritten"],
)
def test_a_damaged_file_is_set_aside_and_the_backup_is_used(path, damage):
    write(path, {"meters": {"print_time": 1.5}}, [DONE])
    again(path)  # A good start makes the backup.
    path.write_bytes(damage(path.read_bytes()))

    loaded = again(path)
    assert loaded.documents == {"meters": {"print_time": 1.5}}
    assert loaded.log == [DONE]
    assert f"{path.name}.bad-1" in loaded.problem
    assert "The last good backup is used." in loaded.problem
    assert path.with_name(path.name + ".bad-1").exists()


def test_without_a_good_backup_counting_starts_again_and_the_problem_tells_it(path):
    path.write_bytes(b"not a database, but more than one hundred bytes" * 10)
    loaded = again(path)
    assert loaded.documents == {}
    assert "counting starts again" in loaded.problem
    assert again(path).problem == ""


def test_a_file_of_a_newer_version_is_set_aside_unchanged(path):
    write(path, {"a": 1})
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=9")
    database.close()
    whole = path.read_bytes()

    assert "newer version (format 9)" in again(path).problem
    assert path.with_name(path.name + ".bad-1").read_bytes() == whole


def test_a_deleted_file_is_restored_from_the_backup(path):
    write(path, {"a": 1})
    again(path)
    path.unlink()
    loaded = again(path)
    assert loaded.documents == {"a": 1}
    assert "is gone" in loaded.problem


@pytest.mark.logs_errors
def test_an_unreadable_file_is_never_replaced(path, reactor):
    """Nothing is overwritten without permission, or when a folder has its name."""
    path.mkdir()
    store = Store(str(path), reactor.post)
    loaded = store.load()
    assert (loaded.documents, loaded.known) == ({}, False)
    assert str(path) in loaded.refusal
    store.start()
    store.save({"a": 1}, (), reactor.replies.append)
    assert str(path) in reactor.next_reply()
    store.close({"a": 2})
    assert list(path.iterdir()) == []


@pytest.mark.logs_errors
def test_a_change_that_a_full_disk_refused_is_reported_and_saved_later(
    store, reactor, path
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    try:
        store.save({"a": "x" * 1_000_000}, [DONE], reactor.replies.append)
        assert str(path) in reactor.next_reply()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.save({"b": 2}, (), reactor.replies.append)
    assert reactor.next_reply() == ""

    loaded = power_cut(path)
    assert loaded.documents == {"a": "x" * 1_000_000, "b": 2}
    assert loaded.log == [DONE]


def test_a_disk_that_refuses_is_logged_once(reactor, path, caplog):
    path.mkdir()
    store = Store(str(path), reactor.post)
    store.load()
    store.start()
    for _ in range(5):
        store.save({"a": 1}, (), reactor.replies.append)
        reactor.next_reply()
    store.close({})
    assert caplog.text.count("unable to write") == 1


WRITER = """
import queue, sys
sys.path.insert(0, {root!r})
from klippy_extra.storage.store import Store
from klippy_extra.contract import Entry

posted = queue.SimpleQueue()
store = Store({path!r}, posted.put)
loaded = store.load()
print("problem", loaded.problem, flush=True) if loaded.problem else None
number = loaded.documents.get("number", 0)
assert len(loaded.log) == min(number, 500), (len(loaded.log), number)
store.start()
while True:
    number += 1
    entry = Entry(number, "rods", "done", "", "", {{}})
    told = lambda why: print(number, why, flush=True)
    store.save({{"number": number}}, [entry], told)
    posted.get()()
"""


@pytest.mark.soak
def test_kill_9_loses_no_confirmed_change_and_damages_nothing(tmp_path, rounds):
    """A writer is killed many times. Each confirmed number is still there."""
    path = tmp_path / "store.db"
    root = str(Path(__file__).parents[2])
    script = WRITER.format(root=root, path=str(path))
    answered = 0
    for turn in range(rounds(7, 100)):
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        ) as writer:
            for _ in range(1 + turn % 7):
                line = writer.stdout.readline()
                assert line, "the writer ended by itself"
                assert "problem" not in line
                answered = int(line.split()[0])
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
            answered = max([answered, *map(int, rest[:1])])
        loaded = again(path)
        assert loaded.problem == ""
        assert loaded.documents["number"] >= answered
        assert loaded.log[0].time == loaded.documents["number"]


def test_the_folder_is_made_at_the_very_first_start(tmp_path, reactor):
    store = Store(str(tmp_path / "printer_data" / "upkeep" / "upkeep.sqlite"), reactor)

    assert store.load().refusal == ""
    store.start()
    store.save({"meters": {"readings": {}}})
    store.close({})
    assert store.path.is_file()
