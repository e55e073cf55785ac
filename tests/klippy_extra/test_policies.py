"""Rules that are one line of code each. Without that line its test fails."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from klippy_extra.contract import DISABLED, DUE, MAX_TEXT, OK, Command
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan
from klippy_extra.storage import database
from klippy_extra.storage.store import Store
from klippy_extra.upkeep.carry_out import CommandHandler

NOW = 1_795_219_200.0
HOUR, DAY = 3600.0, 86400.0
PRINTED = Limit("print_time", Counter("print_time"), "h", 100.0)
FED = Limit("filament", Counter("filament"), "m", 500.0)
RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"


def ledger(*limits, match="any", document=None, records=None, **plan):
    plan = Plan("rods", limits or (PRINTED,), match=match, **plan)
    return Ledger([plan], document, records)


def again(book, *limits, **more):
    """Return the ledger after a restart. Its documents go through JSON."""
    document = json.loads(json.dumps(book.document()))
    records = {t: json.loads(json.dumps(r.document())) for t, r in book.records.items()}
    return ledger(*limits, document=document, records=records, **more)


def give(book, task="rods", **fields):
    change = CommandHandler(book).handle(task, Command(**fields), NOW, ready=True)
    book.records[task] = change.record
    return change


# Forecasts


def watched(*limits, match="any", hours=48.0, **used):
    book = ledger(*limits, match=match)
    book.advance(used)
    book.settle_rates(hours)
    return book


def due_in(book):
    """Return in how many hours the task is due."""
    due_at = book.view("rods", NOW).due_at
    return None if due_at is None else round((due_at - NOW) / HOUR)


def test_any_is_due_with_the_first_limit_and_all_with_the_last():
    """10 of 100 h in 48 h leave 432 h. 250 of 500 m leave 48 h."""
    used = {"print_time": 10.0, "filament": 250.0}
    assert due_in(watched(PRINTED, FED, match="any", **used)) == 48
    assert due_in(watched(PRINTED, FED, match="all", **used)) == 432


def test_a_limit_without_a_rate_gives_any_a_forecast_and_all_none():
    used = {"filament": 250.0}
    assert due_in(watched(PRINTED, FED, match="any", **used)) == 48
    assert due_in(watched(PRINTED, FED, match="all", **used)) is None


def test_all_waits_for_the_last_limit_when_one_is_used_up():
    used = {"filament": 501.0, "print_time": 50.0}
    assert due_in(watched(PRINTED, FED, match="all", **used)) == 48


def test_a_limit_that_is_used_up_is_due_now():
    book = watched(PRINTED, print_time=100.0)
    view = book.view("rods", NOW)
    assert (view.status, view.deciding.remaining, view.due_at) == (DUE, 0.0, NOW)

    book.records["rods"], events = book.examine("rods", view, NOW)
    assert events == [DUE]
    later = book.view("rods", NOW + 30 * DAY)
    assert later.due_at == NOW  # the time since when it is due, not the present time


def test_a_limit_that_is_exceeded_is_due_now_and_not_in_the_past():
    book = watched(PRINTED, print_time=150.0)
    assert due_in(book) == 0
    book = ledger()
    give(book, command="adjust", used=150.0)
    assert book.rate(PRINTED.counter) is None
    assert due_in(book) == 0


def test_a_date_in_more_than_ten_years_is_no_forecast():
    assert due_in(watched(PRINTED, print_time=0.055)) == 87225
    assert due_in(watched(PRINTED, print_time=0.054)) is None


def test_a_rate_loses_half_of_its_weight_in_two_weeks():
    book = watched(PRINTED, print_time=10.0, hours=100.0)
    assert book.rate(PRINTED.counter) == pytest.approx(0.1)
    two_weeks = 14 * 24.0
    book.settle_rates(two_weeks)

    # Half of the 10 h in half of the 100 h, and nothing more in two weeks.
    assert book.rate(PRINTED.counter) == pytest.approx(5.0 / (50.0 + two_weeks))


def test_a_rate_follows_a_change_of_habits_and_survives_a_restart():
    book = ledger()
    for hours in (1.0, 4.0):
        for _ in range(60):
            book.advance({"print_time": hours})
            book.settle_rates(24.0)
    rate = book.rate(PRINTED.counter)
    assert 3.5 / 24 < rate < 4.0 / 24
    assert again(book).rate(PRINTED.counter) == pytest.approx(rate)


# Disabled


def test_a_disabled_task_makes_no_event():
    book = ledger()
    book.advance({"print_time": 99.0})
    give(book, command="disable")
    give(book, command="adjust", used=500.0)
    view = book.view("rods", NOW)
    record, events = book.examine("rods", view, NOW)

    assert (view.status, view.due_at, events) == (DISABLED, None, [])
    assert (record.announced, record.due_since) == (OK, None)


def test_a_disabled_task_reminds_nobody(bench):
    printer = bench(RODS)
    printer.use(print_time=100.0)
    printer.say("DISABLE_MAINTENANCE NAME=rods")
    printer.say("ADJUST_MAINTENANCE NAME=rods USED=500")
    begin = len(printer.console)
    printer.advance(3700, step=60)  # an hour is the usual interval
    printer.gcode("MAINTENANCE_CHECK")

    assert printer.console[begin:] == ["ok"]
    assert printer.status("maintain")["due"] == 0


def test_the_use_of_a_disabled_task_survives_a_restart():
    book = ledger()
    book.advance({"print_time": 12.0})
    give(book, command="disable")
    book.advance({"print_time": 30.0})
    book = again(book)
    book.advance({"print_time": 5.0})
    assert book.used("rods") == {"print_time": 12.0}

    give(book, command="enable")
    book.advance({"print_time": 1.0})
    assert book.used("rods") == {"print_time": 13.0}


# Commanded values


def test_a_commanded_warning_stays_until_the_configuration_changes():
    book = ledger()
    give(book, command="set", warn_at=30.0)
    book.advance({"print_time": 75.0})
    assert book.view("rods", NOW).deciding.warn_at == 30.0
    assert again(book).view("rods", NOW).deciding.warn_at == 30.0

    changed = PRINTED._replace(warn=5.0)
    after = again(book, changed)
    assert after.view("rods", NOW).deciding.warn_at == 5.0
    assert again(after).view("rods", NOW).deciding.warn_at == 10.0


# Commands


def test_skip_ends_the_snooze_and_counts_from_zero():
    book = ledger()
    book.advance({"print_time": 101.0})
    give(book, command="snooze", hours=48.0)
    record = give(book, command="skip").record

    assert (record.snoozed_to, record.snoozed_until) == (None, None)
    assert book.used("rods") == {"print_time": 0.0}
    assert (record.done_count, record.last_done) == (0, None)


def test_done_in_the_past_keeps_what_was_used_since_and_never_more_than_there_was():
    book = ledger()
    for _ in range(5):
        book.mark(NOW)
        book.advance({"print_time": 2.0, "time": 24.0})
    record = give(book, command="done", at=int(NOW - 3 * DAY)).record
    assert book.used("rods") == {"print_time": pytest.approx(6.0)}
    assert record.last_done == NOW - 3 * DAY

    book = ledger()
    book.mark(NOW)
    book.advance({"print_time": 24.0, "time": 24.0})
    give(book, command="adjust", used=1.0)
    give(book, command="done", at=int(NOW - DAY))
    assert book.used("rods") == {"print_time": 1.0}


def test_a_time_up_to_a_minute_in_the_future_is_accepted():
    book = ledger()
    assert give(book, command="done", at=int(NOW + 60)).record.last_done == NOW
    with pytest.raises(Exception, match="in the future"):
        give(book, command="done", at=int(NOW + 61))


def test_a_note_and_a_name_are_cut_after_1000_letters(bench):
    """This is so for commands from the broker and from the console."""
    long = "x" * (MAX_TEXT + 1)
    payload = json.dumps({"command": "done", "note": long, "by": long}).encode()
    command = Command.decode(payload)
    assert (MAX_TEXT, len(command.note), len(command.by)) == (1000, 1000, 1000)

    printer = bench(RODS)
    printer.say(f"UPDATE_MAINTENANCE NAME=rods NOTE={long} BY={long}")
    (entry,) = printer.manager.memory.log("rods", 1)
    assert (len(entry.note), len(entry.by)) == (1000, 1000)


# The disk


def test_every_commit_waits_for_the_disk(tmp_path):
    """2 means FULL: an answered command survives a power cut, not only a crash."""
    connection = database.open_file(tmp_path / "upkeep.sqlite")
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_backup_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    path = tmp_path / "upkeep.sqlite"
    calls = []
    fsync, replace = os.fsync, type(path).replace

    def synced(number):
        size = os.fstat(number).st_size
        calls.append(("fsync", stat.S_ISREG(os.fstat(number).st_mode), size > 0))
        fsync(number)

    def replaced(source, target):
        calls.append(("replace", source.name))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(type(path), "replace", replaced)
    connection = database.open_file(path)
    database.write(connection, {"a": 1}, [])
    database.back_up(connection, path)
    connection.close()

    assert calls == [("fsync", True, True), ("replace", "upkeep.sqlite.backup.new")]
    with sqlite3.connect(database.backup_of(path)) as backup:
        rows = backup.execute("SELECT name, body FROM documents").fetchall()
    backup.close()
    assert rows == [("a", "1")]


def test_the_journal_of_a_bad_file_is_set_aside_with_it(tmp_path):
    """SQLite would apply the old journal to the file that takes its place."""
    path = tmp_path / "upkeep.sqlite"
    tails = ("-wal", "-shm")
    connection = database.open_file(path)
    database.write(connection, {"a": "x" * 50_000}, [])
    connection.close()
    connection = database.open_file(path)
    database.write(connection, {"b": 1}, [])
    crashed = {tail: Path(f"{path}{tail}").read_bytes() for tail in tails}
    connection.close()
    for tail in tails:
        Path(f"{path}{tail}").write_bytes(crashed[tail])
    path.write_bytes(b"\xff" * 50_000)
    store = Store(str(path), lambda call: None)
    loaded = store.load()
    store.close({})

    assert "upkeep.sqlite.bad-1" in loaded.problem
    assert loaded.documents == {}
    wal = Path(f"{path}.bad-1-wal")
    assert wal.read_bytes() == crashed["-wal"]
    assert Path(f"{path}.bad-1-shm").exists()
