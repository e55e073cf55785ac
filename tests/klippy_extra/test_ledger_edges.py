"""The ledger at the edges of its rules.

Each test was added after a planted fault was not noticed.
"""

from __future__ import annotations

import pytest

from klippy_extra.contract import DUE, OK, SNOOZED, SOON
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan

NOW = 1_795_219_200.0
DAY = 86400.0
PRINTED = Limit("print_time", Counter("print_time"), "h", 100.0)
AIR = Limit("time", Counter("time"), "h", 720.0)


def ledger(*limits, **more):
    return Ledger([Plan("rods", limits or (PRINTED,))], **more)


def examined(book, **fields):
    """Examine a task whose record has *fields*, and return its new record."""
    book.records["rods"] = book.records["rods"]._replace(**fields)
    return book.examine("rods", book.view("rods", NOW), NOW)[0]


def test_a_meter_without_a_limit_counts_from_zero():
    book = ledger()
    book.add_meters(["fan_part"])
    assert book.readings["fan_part"] == 0.0
    book.advance({"fan_part": 2.0})
    book.add_meters(["fan_part"])
    assert book.readings["fan_part"] == 2.0


def test_joining_adds_meters_that_only_one_of_the_two_ledgers_has():
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


def test_joining_keeps_as_many_marks_as_counting():
    earlier, late = ledger(), ledger()
    for book in (earlier, late):
        for _ in range(60):
            book.mark(NOW)
            book.advance({"time": 24.0})
    late.join(earlier)
    assert len(late.marks) == 91


def test_a_counter_that_is_newer_than_a_mark_has_no_past_before_it():
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
def test_a_new_level_is_reminded_of_again(used, announced, level):
    book = ledger()
    book.advance({"print_time": used})
    record = examined(book, announced=announced, reminded=1.0, ran=1.0)
    assert (record.announced, record.reminded, record.ran) == (level, None, None)


def test_the_same_level_is_not_reminded_of_again():
    book = ledger()
    book.advance({"print_time": 100.0})
    record = examined(book, announced=DUE, reminded=1.0, ran=2.0, due_since=5)
    assert (record.reminded, record.ran, record.due_since) == (1.0, 2.0, 5)


def test_a_task_that_is_no_longer_due_has_no_time_since_when_it_is_due():
    book = ledger()
    record = examined(book, announced=DUE, due_since=5)
    assert record.due_since is None


def test_a_task_with_half_an_hour_left_is_due_later():
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


def test_a_limit_that_is_exactly_used_up_is_due_now_without_a_rate():
    book = ledger()
    book.records["rods"] = book.restart("rods", {"print_time": 100.0})
    view = book.view("rods", NOW)
    assert (view.status, view.due_at) == (DUE, NOW)


@pytest.mark.parametrize(("left", "status"), [(0.5, SOON), (0.001, SOON), (0.0, DUE)])
def test_a_task_is_due_when_nothing_is_left_and_not_earlier(left, status):
    book = ledger(PRINTED._replace(warn=10.0))
    book.advance({"print_time": 100.0 - left})
    assert book.view("rods", NOW).status == status


def test_a_rate_includes_all_that_was_counted_since_it_was_last_settled():
    """The number of ticks does not matter, and neither does the printer's age."""
    book = ledger()
    book.advance({"print_time": 500.0}, recent=False)
    for _ in range(4):
        book.advance({"print_time": 12.0})
    book.settle_rates(48.0)
    assert book.rate(PRINTED.counter) == pytest.approx(1.0)


def test_the_first_mark_is_made_where_the_calendar_begins():
    """An old mark without a calendar is taken as one from its beginning."""
    book = Ledger([Plan("rods", (PRINTED,))], marks=[[NOW, {"print_time": 1.0}]])
    assert not book.mark(NOW)
    book.advance({"time": 23.5})
    assert not book.mark(NOW)
    book.advance({"time": 0.5})
    assert book.mark(NOW)
    assert len(book.marks) == 2


def test_only_counters_of_parts_and_conditions_are_dropped_when_no_limit_uses_them():
    """A meter's own reading always stays."""
    readings = {"print_time": 5.0, "fan_part": 2.0, "filament?CF": 3.0, "a*ABS=2": 1.0}
    readings["filament@extruder1"] = 4.0
    book = ledger(document={"readings": readings})
    assert book.readings == {"print_time": 5.0, "fan_part": 2.0, "time": 0.0}


# Counting


def test_an_invalid_increment_does_not_stop_the_others():
    book = ledger()
    book.advance({"fan_part": float("nan"), "print_time": 2.0, "travel_x": 1e12})
    assert book.readings == {"print_time": 2.0, "time": 0.0}


HOT = PRINTED._replace(name="hot", counter=Counter("print_time", "heater_bed>80"))


def test_a_condition_without_a_factor_counts_fully():
    book = ledger(PRINTED, HOT)
    book.advance({"print_time": 2.0})
    assert book.used("rods") == {"print_time": 2.0, "hot": 2.0}


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), 1e13])
def test_an_invalid_weight_counts_only_for_the_meter(weight):
    book = ledger(PRINTED, HOT)
    book.advance({"print_time": 2.0}, lambda counter: weight)
    assert book.used("rods") == {"print_time": 2.0, "hot": 0.0}


def test_use_from_before_the_rates_gives_no_weighted_rate():
    book = ledger(HOT)
    book.advance({"print_time": 50.0}, recent=False)
    book.advance({"print_time": 24.0})
    book.settle_rates(24.0)
    assert book.rate(HOT.counter) == pytest.approx(1.0)


@pytest.mark.parametrize(("hours", "rate"), [(0.999, None), (1.0, 0.5)])
def test_a_rate_is_known_after_an_hour(hours, rate):
    book = ledger()
    book.advance({"print_time": 12.0})
    book.settle_rates(hours)
    assert book.rate(PRINTED.counter) == rate


def test_a_rate_is_taken_over_at_least_a_day():
    book = ledger()
    book.advance({"print_time": 12.0})
    book.settle_rates(23.0)
    assert book.rate(PRINTED.counter) == 0.5
    book.settle_rates(2.0)
    assert book.rate(PRINTED.counter) == pytest.approx(12.0 / 25.0, rel=1e-2)


def test_short_times_are_counted_once_in_a_rate():
    book = ledger()
    book.advance({"print_time": 48.0})
    for hours in (0.0, -1.0, 0.5, 0.5, 47.0):
        book.settle_rates(hours)
    fading = 0.5 ** (47.5 / (14 * 24))
    assert book.rate(PRINTED.counter) == pytest.approx(48.0 * fading / 48.0, rel=2e-2)


def test_a_time_of_zero_settles_no_rate():
    book = ledger()
    book.advance({"print_time": 48.0})
    book.settle_rates(0.0)
    book.settle_rates(14 * 24.0)
    assert book.rate(PRINTED.counter) == 48.0 / (14 * 24.0)


# Removed meters


def forgetful():
    book = ledger()
    book.advance({"print_time": 10.0, "chamber": 4.0, "old": 3.0})
    book.settle_rates(48.0)
    return book


def test_a_removed_meter_starts_again_from_zero():
    book = forgetful()
    book.advance({"old": 1.0})
    book.forget("old")
    book.forget("nobody")
    assert "old" not in book.readings
    assert book.rate(Counter("old")) is None
    assert book.used("rods") == {"print_time": 10.0}

    book.advance({"old": 2.0})
    book.settle_rates(24.0)
    assert book.readings["old"] == 2.0
    assert book.rate(Counter("old")) == pytest.approx(2.0 / 24.0)


def test_a_renamed_meter_keeps_its_reading():
    book = forgetful()
    book.forget("old", into="chamber")
    assert (book.readings["chamber"], "old" in book.readings) == (7.0, False)
    book.forget("chamber", into="fresh")
    assert book.readings["fresh"] == 7.0
    book.forget("fresh", into="print_time")
    assert book.readings["print_time"] == 17.0
    assert book.used("rods") == {"print_time": 10.0}
    book.advance({"print_time": 1.0})
    assert book.used("rods") == {"print_time": 11.0}


def test_a_task_that_was_missing_keeps_its_counter():
    away = {"hot": {"counters": {"print_time": "print_time?heater_bed>80"}}}
    document = {"readings": {"print_time?heater_bed>80": 5.0, "travel_x*PLA=2": 6.0}}
    book = ledger(document=document, records=away)
    assert book.readings == {
        "print_time?heater_bed>80": 5.0, "print_time": 0.0, "time": 0.0,
    }  # fmt: skip


# Marks and history


def test_marks_with_corrected_times_keep_their_readings():
    book = ledger(
        marks=[[1.0, {"time": 0.0, "print_time": 3.0}], [2.0, {"time": 24.0}]]
    )
    book.restamp({1.0: 7.0})
    assert book.mark_times == [7.0, 2.0]
    assert book.marks == [
        [7.0, {"time": 0.0, "print_time": 3.0}],
        [2.0, {"time": 24.0}],
    ]


def test_the_history_has_the_readings_of_each_limit_until_now():
    marks = [
        [NOW - DAY + 0.4, {"time": 0.0, "print_time": 1.23456}],
        [NOW + 1.0, {"time": 1.0, "print_time": 99.0}],
        [NOW - 1.0, {"time": 2.0}],
    ]
    document = {"readings": {"time": 2.0, "print_time": 5.0}}
    book = ledger(PRINTED, AIR, document=document, marks=marks)
    assert book.history("rods", NOW) == {
        "print_time": [(round(NOW - DAY), 1.2346), (round(NOW), 5.0)]
    }


def test_use_since_the_latest_mark_is_divided_by_time():
    document = {"readings": {"time": 30.0, "print_time": 8.0}}
    marks = [[NOW, {"time": 0.0, "print_time": 2.0}]]
    marks.append([NOW, {"time": 20.0, "print_time": 4.0}])
    book = ledger(document=document, marks=marks)

    def since(hours):
        return book.since(PRINTED.counter, NOW - hours * 3600, NOW)

    amounts = [since(hours) for hours in (0, 2.5, 10, 20, 30, 40)]
    assert amounts == pytest.approx([0.0, 1.0, 4.0, 5.0, 6.0, 6.0])


def test_nothing_was_used_since_now_even_at_a_mark():
    document = {"readings": {"time": 20.0, "print_time": 8.0}}
    marks = [[NOW, {"time": 20.0, "print_time": 4.0}]]
    book = ledger(document=document, marks=marks)
    assert book.since(PRINTED.counter, NOW, NOW) == 0.0
    assert book.since(PRINTED.counter, NOW - 3600, NOW) == 4.0


def test_a_mark_without_the_needed_readings_gives_no_use():
    """It has no calendar, is ahead of the present, or has a larger reading."""
    document = {"readings": {"time": 20.0, "print_time": 8.0}}

    def since(*marks):
        book = ledger(document=document, marks=[[NOW, each] for each in marks])
        return book.since(PRINTED.counter, NOW - 15 * 3600, NOW)

    known = {"time": 10.0, "print_time": 5.0}
    assert since({"print_time": 1.0}, known) == 3.0
    assert since({"time": 12.0, "print_time": 1.0}, known) == 3.0
    assert since({"time": 0.0, "print_time": 50.0}) == 0.0


def test_no_calendar_time_has_passed_since_a_future_time():
    book = ledger(AIR)
    assert book.since(AIR.counter, NOW + 5.0, NOW) == 0.0
    assert book.since(AIR.counter, NOW - 1800.0, NOW) == 0.5


# The view of a task


def test_a_view_has_the_numbers_of_each_limit():
    book = ledger(PRINTED._replace(warn=20.0))
    book.advance({"print_time": 25.0})
    (limit,) = book.view("rods", NOW).limits
    assert limit == ("print_time", "h", 100.0, 25.0, 75.0, 25.0, 20.0)


def test_a_threshold_of_zero_is_used_up():
    book = ledger(PRINTED._replace(threshold=0.0))
    view = book.view("rods", NOW)
    assert (view.status, view.deciding.percent) == (DUE, 100.0)


@pytest.mark.parametrize(("left", "status"), [(10.0, SOON), (10.001, OK)])
def test_a_warning_begins_at_its_remaining_amount(left, status):
    book = ledger()
    book.advance({"print_time": 100.0 - left})
    assert book.view("rods", NOW).status == status


@pytest.mark.parametrize(
    ("printed", "passed", "trigger"),
    [
        (150.0, 1000.0, "print_time"),
        (110.0, 1000.0, "time"),
        (99.0, 700.0, "print_time"),
        (91.0, 719.0, "time"),
        (91.0, 721.0, "time"),
        (50.0, 100.0, "print_time"),
    ],
)
def test_of_two_equally_urgent_limits_the_more_used_one_decides(
    printed, passed, trigger
):
    book = ledger(PRINTED, AIR)
    book.advance({"print_time": printed, "time": passed})
    view = book.view("rods", NOW)
    assert view.trigger == view.deciding.meter == trigger


def test_a_snooze_ends_at_its_hour_and_hides_only_a_due_task():
    book = ledger(document={"readings": {"time": 10.0}})
    snoozed = book.records["rods"]._replace(snoozed_to=10.5, snoozed_until=5)
    book.records["rods"] = snoozed
    assert book.view("rods", NOW).status == OK
    book.advance({"print_time": 100.0})
    assert book.view("rods", NOW).status == SNOOZED
    book.advance({"time": 0.5})
    assert book.view("rods", NOW).status == DUE


def test_a_task_is_due_since_the_second_in_which_it_was_examined():
    book = ledger()
    book.advance({"print_time": 100.0})
    record, events = book.examine("rods", book.view("rods", NOW), NOW + 0.9)
    assert (record.due_since, events) == (int(NOW), [DUE])


def test_a_forecast_is_rounded_to_a_whole_hour():
    book = ledger(AIR)
    due_at = book.view("rods", NOW + 1000.0).due_at
    assert due_at == NOW + 720 * 3600
    assert isinstance(due_at, int)


@pytest.mark.parametrize(("hours", "is_shown"), [(87_600, True), (87_601, False)])
def test_a_forecast_of_up_to_ten_years_is_shown(hours, is_shown):
    book = ledger(AIR._replace(threshold=float(hours)))
    due_at = NOW + hours * 3600 if is_shown else None
    assert book.view("rods", NOW).due_at == due_at


def test_all_waits_for_the_other_limit_if_one_is_used_up():
    plan = Plan("rods", (PRINTED, AIR), match="all")
    book = Ledger([plan], {"readings": {"print_time": 0.0, "time": 0.0}})
    book.records["rods"] = book.restart("rods", {"print_time": 100.0, "time": 700.0})
    book.records["rods"] = book.records["rods"]._replace(due_since=5)
    assert book.view("rods", NOW).due_at == NOW + 20 * 3600
