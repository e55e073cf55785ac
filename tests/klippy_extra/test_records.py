"""The record of a task: what is saved, what is read, and what a change keeps."""

from __future__ import annotations

import json

import pytest

from klippy_extra.contract import DUE, OK
from klippy_extra.ledger import records
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import (
    SHELF,
    Counter,
    Limit,
    Override,
    Plan,
    Record,
    changed,
    counters_of,
    reconciled,
    sum_of_rates,
    switch,
)

PRINTED = Limit("print_time", Counter("print_time"), "h", 100.0)
FED = Limit("filament", Counter("filament"), "m", 500.0)
PLAN = Plan("rods", (PRINTED,))
READINGS = {"print_time": 10.0, "filament": 70.0, "time": 0.0}


@pytest.mark.parametrize(
    ("counter", "key"),
    [
        (Counter("filament"), "filament"),
        (Counter("filament", "a>1"), "filament?a>1"),
        (Counter("filament", "", "CF=5"), "filament*CF=5"),
        (Counter("filament", "", "", "T0"), "filament@T0"),
        (Counter("filament", "a>1", "CF=5", "T0"), "filament@T0?a>1*CF=5"),
    ],
)
def test_each_counter_has_its_own_key(counter, key):
    assert counter.key == key


FULL = Record(
    start={"print_time": 3.0},
    counters={"print_time": "print_time"},
    held={"print_time": 2.0},
    enabled=False,
    configured_disabled=True,
    thresholds={"print_time": Override(200.0, 100.0)},
    warns={"print_time": Override(20.0, 10.0)},
    snoozed_until=5,
    snoozed_to=6.0,
    last_done=7,
    last_by="anna",
    done_count=8,
    announced=DUE,
    due_since=9,
    reminded=10.0,
    ran=11.0,
    imported=True,
)


@pytest.mark.parametrize(
    "record",
    [
        Record(),
        FULL,
        FULL._replace(place="T0", export={"id": "x"}, imports=("a", "b")),
        Record(place=SHELF),
    ],
)
def test_a_record_is_the_same_after_saving_and_reading(record):
    again = Record.of(json.loads(json.dumps(record.document())))
    assert again == record
    assert isinstance(again.imports, tuple)


def test_only_a_part_is_saved_with_the_fields_of_parts():
    fields = {"place", "export", "imports"}
    assert not fields & set(FULL.document())
    assert fields <= set(Record(place=SHELF).document())


def test_a_field_of_a_newer_version_is_ignored():
    assert Record.of({"of_a_newer_version": 1, "done_count": 2}) == Record(done_count=2)


@pytest.mark.parametrize(
    ("place", "enabled", "counts"),
    [
        (None, True, True), (None, False, False), ("T0", True, True),
        ("T0", False, False), (SHELF, True, False),
    ],
)  # fmt: skip
def test_a_task_that_is_disabled_or_on_the_shelf_does_not_count(place, enabled, counts):
    assert Record(place=place, enabled=enabled).counts is counts


def test_a_warning_is_a_share_of_the_present_threshold_or_an_amount():
    record = Record(thresholds={"print_time": Override(300.0, 100.0)})
    assert records.warn_at(record, PRINTED) == 30.0
    assert records.warn_at(Record(), PRINTED._replace(warn=25.0)) == 25.0
    amount = PRINTED._replace(warn=7.0, warn_in_percent=False)
    assert records.warn_at(record, amount) == 7.0
    warned = record._replace(warns={"print_time": Override(1.5, 10.0)})
    assert records.warn_at(warned, PRINTED) == 1.5


# A changed configuration


def test_a_new_limit_starts_at_zero_and_the_others_go_on():
    record = Record(
        start={"print_time": 4.0}, counters={"print_time": "print_time"}, held={}
    )
    plan = Plan("rods", (PRINTED, FED))
    made = reconciled(plan, record, READINGS, READINGS)
    assert made.start == {"print_time": 4.0, "filament": 70.0}
    assert made.held == {"print_time": 6.0, "filament": 0.0}
    assert made.counters == {"print_time": "print_time", "filament": "filament"}


def test_a_start_above_its_counter_means_nothing_used():
    record = Record(start={"print_time": 99.0}, counters={"print_time": "print_time"})
    assert reconciled(PLAN, record, READINGS, READINGS).start == {"print_time": 10.0}


def test_a_counter_that_no_longer_exists_means_nothing_used():
    record = Record(start={"print_time": 4.0}, counters={"print_time": "gone"})
    assert reconciled(PLAN, record, READINGS, READINGS).start == {"print_time": 10.0}
    record = Record(start={}, counters={"print_time": "print_time"})
    assert reconciled(PLAN, record, READINGS, READINGS).start == {"print_time": 10.0}


def test_values_of_a_removed_limit_are_removed_with_it():
    record = Record(
        thresholds={"print_time": Override(7.0, 100.0), "old": Override(1.0, 2.0)},
        warns={"print_time": Override(3.0, 10.0), "old": Override(1.0, 2.0)},
    )
    made = reconciled(PLAN, record, READINGS, READINGS)
    assert made.thresholds == {"print_time": Override(7.0, 100.0)}
    assert made.warns == {"print_time": Override(3.0, 10.0)}


@pytest.mark.parametrize("disabled", [True, False])
def test_a_change_of_the_option_disabled_applies_once(disabled):
    plan = PLAN._replace(disabled=disabled)
    record = Record(
        start={"print_time": 4.0},
        counters={"print_time": "print_time"},
        held={"print_time": 2.0},
        enabled=disabled,
        configured_disabled=not disabled,
    )
    made = reconciled(plan, record, READINGS, READINGS)
    assert (made.enabled, made.configured_disabled) == (not disabled, disabled)
    if disabled:
        assert made.held == {"print_time": 6.0}
    else:
        assert made.start == {"print_time": 8.0}
    again = made._replace(enabled=disabled)
    assert reconciled(plan, again, READINGS, READINGS).enabled is disabled


# Enabling, disabling, fitting


def test_a_task_that_stops_counting_keeps_its_use_which_is_never_negative():
    record = Record(start={"print_time": 4.0})
    off = switch(record, PLAN, READINGS, enabled=False)
    assert (off.held, off.enabled) == ({"print_time": 6.0}, False)
    ahead = Record(start={"print_time": 99.0})
    assert switch(ahead, PLAN, READINGS, enabled=False).held == {"print_time": 0.0}
    on = switch(off, PLAN, dict(READINGS, print_time=50.0), enabled=True)
    assert (on.start, on.enabled) == ({"print_time": 44.0}, True)


def test_a_task_that_counts_as_before_keeps_its_start():
    record = Record(start={"print_time": 4.0}, held={"print_time": 1.0})
    fresh = record._replace(last_by="anna")
    assert changed(record, PLAN, READINGS, fresh) is fresh
    off = record._replace(enabled=False)
    assert changed(off, PLAN, READINGS, off._replace(place=SHELF)) == off._replace(
        place=SHELF
    )


# Missing tasks, and rates


def test_the_counters_of_missing_tasks_are_known():
    stored = {
        "rods": {"counters": {"print_time": "print_time"}},
        "hot": {"counters": {"print_time": "print_time?a>1", "filament": "filament"}},
        "bare": {},
    }
    assert counters_of(stored, ["rods"]) == {"print_time?a>1", "filament"}
    assert counters_of({}, []) == set()


def test_rates_of_the_same_counter_are_added():
    before = {"a": (1.0, 10.0), "b": (2.0, 20.0)}
    since = {"b": (3.0, 30.0), "c": (4.0, 40.0)}
    assert sum_of_rates(before, since) == {
        "a": (1.0, 10.0), "b": (5.0, 50.0), "c": (4.0, 40.0),
    }  # fmt: skip
    assert before["b"] == (2.0, 20.0)


# A store that opens late


def joined(before, since, stored=None, plans=(PLAN,)):
    """Join a ledger that counted *since* with a stored one that counted *before*."""
    earlier = Ledger(plans)
    earlier.advance(before)
    earlier.records["rods"] = earlier.records["rods"]._replace(**(stored or {}))
    late = Ledger(plans)
    for each in since:
        each(late)
    late.join(earlier)
    return late


def setting(**fields):
    def change(book):
        book.records["rods"] = book.records["rods"]._replace(**fields)

    return change


@pytest.mark.parametrize("name", ["snoozed_to", "reminded", "ran"])
def test_times_from_before_the_join_move_by_the_stored_calendar(name):
    late = joined({"time": 100.0}, [setting(**{name: 5.0})])
    assert getattr(late.records["rods"], name) == 105.0


@pytest.mark.parametrize("name", ["snoozed_to", "reminded", "ran"])
def test_stored_times_stay_the_same_in_the_join(name):
    late = joined({"time": 100.0}, [], {name: 70.0})
    assert getattr(late.records["rods"], name) == 70.0


def test_completions_of_both_ledgers_are_added():
    late = joined({}, [setting(done_count=2, last_by="ben")], {"done_count": 3})
    assert (late.records["rods"].done_count, late.records["rods"].last_by) == (5, "ben")
    late = joined({}, [], {"done_count": 3, "announced": DUE, "last_by": "anna"})
    record = late.records["rods"]
    assert (record.done_count, record.announced, record.last_by) == (3, DUE, "anna")
    assert late.records["rods"].announced != OK


def test_the_use_of_both_ledgers_is_added():
    late = joined(
        {"print_time": 10.0},
        [lambda book: book.advance({"print_time": 2.0})],
    )
    assert late.used("rods") == {"print_time": 12.0}


@pytest.mark.parametrize("before", [0.0, 0.25, 10.0])
def test_a_task_disabled_before_the_join_keeps_the_use_of_both_ledgers(before):
    def disabled(book):
        book.advance({"print_time": 0.5})
        record, plan = book.records["rods"], book.plans["rods"]
        book.records["rods"] = switch(record, plan, book.readings, enabled=False)
        book.advance({"print_time": 7.0})

    late = joined({"print_time": before}, [disabled])
    assert late.used("rods") == {"print_time": before + 0.5}


def test_a_task_disabled_before_the_join_holds_its_use_since_it_was_done():
    earlier = Ledger([PLAN])
    earlier.advance({"print_time": 3.0})
    earlier.records["rods"] = earlier.restart("rods", {"print_time": 0.0})
    earlier.advance({"print_time": 0.25})
    late = Ledger([PLAN])
    late.advance({"print_time": 0.5})
    off = switch(late.records["rods"], PLAN, late.readings, enabled=False)
    late.records["rods"] = off
    late.join(earlier)
    assert late.used("rods") == {"print_time": 0.75}


def test_after_a_completion_before_the_join_only_later_use_counts():
    def done(book):
        book.advance({"print_time": 2.0})
        book.records["rods"] = book.restart("rods", {"print_time": 0.5})
        book.advance({"print_time": 1.0})

    late = joined({"print_time": 10.0}, [done])
    assert late.used("rods") == {"print_time": 1.5}
    assert late.records["rods"].held == {"print_time": 1.5}
