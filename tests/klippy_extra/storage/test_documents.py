"""A damaged document is set aside by itself, and the readings stay."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.contract import Entry
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Record
from klippy_extra.storage.documents import CHECKS, checked
from klippy_extra.storage.store import Store
from klippy_extra.upkeep.carry_out import CommandHandler

GOOD = {
    "meters": {"readings": {"print_time": 1.5}, "rates": {"print_time": [1.0, 2.0]}},
    "memory": {"calendar": {"anchor": None}},
    "marks": [[1795219200.0, {"print_time": 1.0}]],
    "answers": [["a1", "rods", 7, None, ""]],
    "printer": {"uuid": "abc", "seq": 5000},
    "moonraker": [1.0, 2.0, 3.0],
    "clock": {"boot": "x", "offset": None, "at": 1.0, "rows": [[1, "rods", "done"]]},
    "history": "taken",
    "material": "ABS",
    "published": {"base": "k", "tasks": ["rods"], "components": {"a": "sensor"}},
    "unpublish": ["a/b"],
    "task/rods": Record(start={"print_time": 1.0}, thresholds={}).document(),
}
BAD = {
    "meters": '{"readings": "many"}',
    "memory": "[]",
    "marks": '[["yesterday", {}]]',
    "answers": "[[]]",
    "printer": '{"seq": "x"}',
    "moonraker": "[NaN, 1]",
    "clock": '{"marks": [null]}',
    "history": "7",
    "material": "null",
    "published": '{"tasks": 7}',
    "unpublish": "{}",
    "task/rods": '{"start": {"print_time": "a"}}',
}


def write(path, rows):
    """Write raw rows into an intact store."""
    store = Store(str(path), lambda call: None)
    store.load()
    store.close({})
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?)", rows)


def load(path):
    store = Store(str(path), lambda call: None)
    try:
        return store.load()
    finally:
        store.close({})


def save(path, documents):
    store = Store(str(path), lambda call: None)
    store.load()
    store.start()
    store.save(documents)
    store.close({})


def test_each_document_has_a_check():
    assert set(BAD) == set(GOOD) == {*CHECKS, "task/rods"}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("body", [None, "", "{", "[" * 100_000])
def test_one_bad_document_is_set_aside_and_the_others_stay(tmp_path, name, body):
    path = tmp_path / "upkeep.sqlite"
    save(path, {each: value for each, value in GOOD.items() if each != name})
    write(path, [(name, BAD[name] if body is None else body)])

    loaded = load(path)
    assert loaded.documents == {k: v for k, v in GOOD.items() if k != name}
    assert name in loaded.problem
    assert "bad-" in loaded.problem
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = dict(database.execute("SELECT name, body FROM documents"))
    assert rows[f"bad-1/{name}"] == (BAD[name] if body is None else body)
    assert load(path).problem == ""


def test_a_damaged_document_is_taken_from_the_backup(tmp_path):
    path = tmp_path / "upkeep.sqlite"
    save(path, GOOD)
    load(path)  # A good start makes the backup.
    write(path, [("meters", "{"), ("marks", "7"), ("new", "1")])

    loaded = load(path)
    assert loaded.documents == {**GOOD, "new": 1}
    assert "The last good backup is used for: meters, marks" in loaded.problem


def test_a_second_bad_document_with_the_same_name_does_not_replace_the_first(tmp_path):
    path = tmp_path / "upkeep.sqlite"
    for body in ("7", "8"):
        write(path, [("marks", body)])
        load(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = dict(database.execute("SELECT name, body FROM documents"))
    assert (rows["bad-1/marks"], rows["bad-2/marks"]) == ("7", "8")


def test_a_damaged_row_of_the_log_costs_no_other_row(tmp_path):
    path = tmp_path / "upkeep.sqlite"
    save(path, GOOD)
    row = "INSERT INTO log (time, task, event, who, note, used) VALUES (?,?,?,?,?,?)"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(row, (1, "rods", "done", "", "", '{"print_time": 1.0}'))
        database.execute(row, (2, "rods", "done", "", "", "{"))
        database.execute(row, ("soon", "rods", "done", "", "", "{}"))

    assert load(path).log == [
        Entry(2, "rods", "done", "", "", {}),
        Entry(1, "rods", "done", "", "", {"print_time": 1.0}),
    ]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_document_passes_its_check(name, tmp_path):
    save(tmp_path / "upkeep.sqlite", {name: GOOD[name]})
    assert load(tmp_path / "upkeep.sqlite").documents == {name: GOOD[name]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["readings", "rates", "start", "counters", "a"]), inner
        )
    ),
    max_leaves=10,
)


@given(json_values, st.sampled_from(["meters", "marks", "answers", "task/rods"]))
def test_a_document_that_passes_its_check_can_always_be_used(value, name):
    try:
        document = checked(name, json.dumps(value))
    except ValueError:
        return
    meters = document if name == "meters" else None
    records = {"rods": document} if name == "task/rods" else {}
    book = Ledger([], meters, records, document if name == "marks" else ())
    CommandHandler(book, document if name == "answers" else ())
    if name == "task/rods":
        Record.of(document)
