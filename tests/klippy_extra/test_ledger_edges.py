"""The ledger at the edges of its rules: each was found by a fault that survived."""

from __future__ import annotations

import pytest

from klippy_extra.contract import DUE, OK, SOON
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan

NOW = 1_795_219_200.0
DAY = 86400.0
PRINTED = Limit("print_time", Counter("print_time"), "h", 100.0)
AIR = Limit("time", Counter("time"), "h", 720.0)


def ledger(*limits, **more):
    return Ledger([Plan("rods", limits or (PRINTED,))], **more)


def examined(book, **fields):
    """The record after a look at a task that was as *fields* say."""
    book.records["rods"] = book.records["rods"]._replace(**fields)
    return book.examine("rods", book.view("rods", NOW), NOW)[0]


def test_a_meter_that_nobody_limits_counts_from_zero():
    book = ledger()
    book.add_meters(["fan_part"])
    assert book.readings["fan_part"] == 0.0
    book.advance({"fan_part": 2.0})
    book.add_meters(["fan_part"])
    assert book.readings["fan_part"] == 2.0


def test_joining_adds_meters_that_only_one_of_the_two_has():
    earlier, late = ledger(), ledger()
    earlier.advance({"only_before": 3.0, "print_time": 1.0})
    earlier.settle_rates(10.0)
    late.advance({"only_since": 4.0, "print_time": 2.0})
    late.settle_rates(30.0)
    late.join(earlier)

    readings = {"only_before": 3.0, "only_since": 4.0, "print_time": 3.0, "time": 0.0}
    assert late.readings == readings
    assert late.rate(Counter("only_since")) == pytest.approx(4.0 / 30.0)
    assert late.rate(Counter("only_before")) == pytest.approx(3.0 / 24.0)
    assert late.rate(Counter("print_time")) == pytest.approx(3.0 / 40.0)


def test_joining_keeps_as_many_marks_as_counting_does():
    earlier, late = ledger(), ledger()
    for book in (earlier, late):
        for _ in range(60):
            book.mark(NOW)
            book.advance({"time": 24.0})
    late.join(earlier)
    assert len(late.marks) == 91


def test_a_counter_that_is_younger_than_a_mark_has_no_past_before_it():
    marks = [[NOW, {"time": 0.0}]]
    document = {"readings": {"time": 24.0, "print_time": 5.0}}
    book = ledger(document=document, marks=marks)
    assert book.since(PRINTED.counter, NOW - DAY, NOW + DAY) == 0.0
    assert book.since(AIR.counter, NOW, NOW) == 0.0


def test_a_snooze_that_ends_lets_the_task_remind_at_once():
    book = ledger(document={"readings": {"time": 10.0}})
    record = examined(book, snoozed_to=10.0, snoozed_until=1, reminded=9.0, ran=9.0)
    assert (record.snoozed_to, record.snoozed_until) == (None, None)
    assert (record.reminded, record.ran) == (None, None)


@pytest.mark.parametrize(
    ("used", "announced", "level"),
    [(100.0, SOON, DUE), (95.0, OK, SOON), (95.0, DUE, SOON), (0.0, DUE, OK)],
)
def test_another_level_is_reminded_of_anew(used, announced, level):
    book = ledger()
    book.advance({"print_time": used})
    record = examined(book, announced=announced, reminded=1.0, ran=1.0)
    assert (record.announced, record.reminded, record.ran) == (level, None, None)


def test_the_same_level_is_not_reminded_of_anew():
    book = ledger()
    book.advance({"print_time": 100.0})
    record = examined(book, announced=DUE, reminded=1.0, ran=2.0, due_since=5)
    assert (record.reminded, record.ran, record.due_since) == (1.0, 2.0, 5)


def test_what_is_no_longer_due_was_due_since_never():
    book = ledger()
    record = examined(book, announced=DUE, due_since=5)
    assert record.due_since is None


def test_half_an_hour_before_its_end_a_task_is_not_due():
    book = ledger()
    book.advance({"print_time": 99.5})
    book.settle_rates(24.0)
    book.records["rods"] = book.records["rods"]._replace(due_since=5)
    rate = 99.5 / 24.0
    assert book.view("rods", NOW).due_at == pytest.approx(NOW + 1800 / rate, abs=1800)
    slow = ledger()
    slow.advance({"print_time": 99.5}, recent=False)
    slow.advance({"print_time": 0.01})
    slow.settle_rates(240.0)
    assert slow.view("rods", NOW).due_at > NOW + DAY


def test_a_limit_used_up_to_the_last_is_due_now_without_a_rate():
    book = ledger()
    book.records["rods"] = book.restart("rods", {"print_time": 100.0})
    view = book.view("rods", NOW)
    assert (view.status, view.due_at) == (DUE, NOW)


@pytest.mark.parametrize(("left", "status"), [(0.5, SOON), (0.001, SOON), (0.0, DUE)])
def test_a_task_is_due_when_nothing_is_left_and_not_before(left, status):
    book = ledger(PRINTED._replace(warn=10.0))
    book.advance({"print_time": 100.0 - left})
    assert book.view("rods", NOW).status == status


def test_a_rate_is_of_all_that_was_counted_since_the_last_look():
    """However many ticks there were, and however long ago the printer began."""
    book = ledger()
    book.advance({"print_time": 500.0}, recent=False)
    for _ in range(4):
        book.advance({"print_time": 12.0})
    book.settle_rates(48.0)
    assert book.rate(PRINTED.counter) == pytest.approx(1.0)


def test_the_first_mark_is_made_where_the_calendar_begins():
    """An old mark without a calendar is one from its beginning."""
    book = Ledger([Plan("rods", (PRINTED,))], marks=[[NOW, {"print_time": 1.0}]])
    assert not book.mark(NOW)
    book.advance({"time": 23.5})
    assert not book.mark(NOW)
    book.advance({"time": 0.5})
    assert book.mark(NOW)
    assert len(book.marks) == 2


def test_only_counters_of_parts_and_conditions_are_dropped_when_nobody_counts_them():
    """A meter's own reading stays, whatever the tasks are."""
    readings = {"print_time": 5.0, "fan_part": 2.0, "filament?CF": 3.0, "a*ABS=2": 1.0}
    readings["filament@extruder1"] = 4.0
    book = ledger(document={"readings": readings})
    assert book.readings == {"print_time": 5.0, "fan_part": 2.0, "time": 0.0}
