"""What is remembered over restarts is appended, and is lost only with the disk."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys

import pytest

from mqtt_bridge.push import memory as memory_module
from mqtt_bridge.push.memory import Memory
from tests.mqtt_bridge.processes import ROOT


@pytest.fixture
def memory(tmp_path):
    made = Memory(str(tmp_path / "push.db"))
    made.load()
    yield made
    made.close()


def reload(memory):
    memory.close()
    return memory.load()


def test_what_was_remembered_survives_a_restart(memory):
    secret = memory.secret
    memory.append([
        ("told", "voron/1/rods/due"), ("printer", "voron"),
        ("waiting", 1, json.dumps(["d", ["note"], 1.0, 2.0, True, 0])),
        ("waiting", 2, "[]"), ("over", 2), ("used", "[1]"), ("used", "[2]"),
        ("free", "[1]"),
    ])  # fmt: skip
    kept = reload(memory)
    assert kept == {
        "told": ["voron/1/rods/due"], "printers": ["voron"],
        "waiting": [[1, "d", ["note"], 1.0, 2.0, True, 0]], "used": [[2]],
    }  # fmt: skip
    assert memory.secret == secret


# The process remembers two events, and runs until it is killed.
PROGRAM = """
import sys, time
from mqtt_bridge.push.memory import Memory
from tests.mqtt_bridge.processes import ROOT
memory = Memory(sys.argv[1])
memory.load()
memory.append([("told", "first"), ("waiting", 1, "[]")])
memory.append([("told", "second")])
print("kept", flush=True)
time.sleep(600)
"""


def killed(file):
    """Let a process remember two events, and kill it."""
    command = [sys.executable, "-c", PROGRAM, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout.readline() == b"kept\n"
        process.kill()


def test_what_was_remembered_survives_a_kill(tmp_path):
    file = tmp_path / "push.db"
    killed(file)
    memory = Memory(str(file))
    kept = memory.load()
    memory.close()
    assert kept["told"] == ["first", "second"]
    assert kept["waiting"] == [[1]]


@pytest.mark.parametrize("lost", [1, 100, 4000])
def test_a_power_cut_during_a_write_loses_only_the_last_event(tmp_path, lost):
    """The end of the last write never got to the disk."""
    file, log = tmp_path / "push.db", tmp_path / "push.db-wal"
    killed(file)
    log.write_bytes(log.read_bytes()[:-lost])
    memory = Memory(str(file))
    assert memory.load()["told"] == ["first"]
    memory.append([("told", "third")])
    assert reload(memory)["told"] == ["first", "third"]
    memory.close()


def test_other_users_cannot_read_the_file(memory, tmp_path):
    assert (tmp_path / "push.db").stat().st_mode & 0o077 == 0


def test_another_event_writes_little_however_much_is_remembered(memory, tmp_path):
    """Once ten megabytes were written for each event."""
    memory.append(("told", f"printer{n}/{n}/rods/due") for n in range(100_000))
    with contextlib.closing(sqlite3.connect(tmp_path / "push.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    memory.append([("told", "one more")])
    assert (tmp_path / "push.db-wal").stat().st_size < 100_000


def test_a_full_disk_is_reported_once_and_the_events_are_written_later(
    tmp_path, monkeypatch, caplog
):
    """The limit belongs to one connection of SQLite, so it is set on Memory's own."""
    opened, connect = [], sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: opened.append(connect(*a, **k)) or opened[0]
    )
    memory = Memory(str(tmp_path / "push.db"))
    memory.load()
    [database] = opened
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(5):
        memory.append(("told", f"{number}/{n}" + "x" * 500) for n in range(100))
    assert caplog.text.count("is not written") == 1
    database.execute("PRAGMA max_page_count = 100000")
    memory.append([("told", "last")])
    assert caplog.text.count("is written again") == 1
    monkeypatch.undo()
    assert len(reload(memory)["told"]) == 501
    memory.close()


@pytest.mark.parametrize("name", ["push.db", "push.json"])
def test_the_file_of_an_older_version_is_imported(tmp_path, name):
    old = {"told": ["a"], "printers": ["p"], "waiting": [], "used": [["p", "t"]],
           "secret": "00"}  # fmt: skip
    (tmp_path / name).write_text(json.dumps(old))
    memory = Memory(str(tmp_path / "push.db"))
    kept = memory.load()
    assert (kept["told"], kept["printers"], kept["used"]) == (
        ["a"],
        ["p"],
        [["p", "t"]],
    )
    assert reload(memory)["told"] == ["a"], "the file is imported only once"
    memory.close()
    assert (tmp_path / f"{name}.imported").exists()


def test_a_damaged_file_is_set_aside(tmp_path, caplog):
    (tmp_path / "push.db").write_bytes(b"SQLite format 3\0" + b"rubbish" * 1000)
    memory = Memory(str(tmp_path / "push.db"))
    assert memory.load()["told"] == []
    memory.close()
    assert (tmp_path / "push.db.damaged").exists()
    assert "begun anew" in caplog.text


def test_without_a_file_nothing_is_kept_and_nothing_fails():
    memory = Memory("")
    assert memory.load() == {}
    memory.append([("told", "x")])
    memory.close()


def test_the_file_is_a_database(memory, tmp_path):
    memory.append([("told", "x")])
    with sqlite3.connect(tmp_path / "push.db") as database:
        assert database.execute("SELECT count(*) FROM told").fetchone() == (1,)
    database.close()


def test_the_number_of_remembered_events_is_limited(memory, monkeypatch):
    monkeypatch.setattr(memory_module, "REMEMBERED", 4)
    monkeypatch.setattr(memory_module, "TRIM", 10)
    memory.append([("told", f"voron/{number}/rods/due") for number in range(10)])
    assert reload(memory)["told"] == [f"voron/{n}/rods/due" for n in range(6, 10)]


def test_the_number_of_remembered_printers_and_links_is_limited(memory, monkeypatch):
    monkeypatch.setattr(memory_module, "MOST_PRINTERS", 2)
    monkeypatch.setattr(memory_module, "MOST_LINKS", 3)
    monkeypatch.setattr(memory_module, "TRIM", 10)
    memory.append([("printer", f"p{number}") for number in range(5)])
    memory.append([("used", f"[{number}]") for number in range(5)])
    kept = reload(memory)
    assert kept["printers"] == ["p3", "p4"]
    assert kept["used"] == [[2], [3], [4]]
