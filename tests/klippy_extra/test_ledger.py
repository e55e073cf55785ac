"""The ledger: what was used, which limit decides, what a new configuration keeps."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.contract import DISABLED, DUE, OK, SNOOZED, SOON
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Override, Plan, switch

NOW = 1_795_219_200.0
PRINTED = Limit("print_time", Counter("print_time"), "h", 100.0)
FED = Limit("filament", Counter("filament"), "m", 500.0)
CALENDAR = Limit("time", Counter("time"), "h", 720.0)


def ledger(*limits, match="any", disabled=False, document=None, records=None, **more):
    plan = Plan("rods", limits or (PRINTED,), match=match, disabled=disabled)
    return Ledger([plan], document, records, **more)


def again(book, *limits, **more):
    """Return the ledger after a restart. Its documents go through JSON."""
    document = json.loads(json.dumps(book.document()))
    records = {t: json.loads(json.dumps(r.document())) for t, r in book.records.items()}
    return ledger(*limits, document=document, records=records, **more)


amounts = st.floats(0.0, 1000.0)


@given(st.lists(amounts))
def test_used_is_the_sum_of_all_increments(increments):
    book = ledger()
    for increment in increments:
        book.advance({"print_time": increment})

    assert book.used("rods")["print_time"] == pytest.approx(math.fsum(increments))


@given(
    st.lists(st.floats() | st.just(-1.0) | st.just(math.nan) | st.just(math.inf)),
)
def test_no_increment_can_lower_or_spoil_a_count(increments):
    book = ledger()
    before = 0.0
    for increment in increments:
        book.advance({"print_time": increment})
        used = book.used("rods")["print_time"]
        assert math.isfinite(used)
        assert used >= before
        before = used


@given(st.lists(st.sampled_from(["on", "off", 1.5, 10.0]), max_size=20))
def test_nothing_counts_while_disabled(steps):
    book, counted, enabled = ledger(), 0.0, True
    for step in steps:
        if isinstance(step, float):
            book.advance({"print_time": step})
            counted += step if enabled else 0.0
            continue
        enabled = step == "on"
        record, plan = book.records["rods"], book.plans["rods"]
        book.records["rods"] = switch(record, plan, book.readings, enabled=enabled)

    assert book.used("rods")["print_time"] == pytest.approx(counted)


def test_a_restart_keeps_what_was_used():
    book = ledger()
    book.advance({"print_time": 40.0})
    book.records["rods"] = book.restart("rods", {"print_time": 5.0})
    book.advance({"print_time": 2.0})

    assert again(book).used("rods") == {"print_time": pytest.approx(7.0)}


def test_a_new_task_starts_from_zero():
    """It is not due for what the printer did before the task existed."""
    book = ledger(FED)
    book.advance({"print_time": 5000.0})
    book.add_meters(["print_time"])

    assert again(book, FED, PRINTED).used("rods")["print_time"] == 0.0


def test_a_task_with_a_changed_condition_keeps_what_was_used():
    hot = PRINTED._replace(counter=Counter("print_time", "heater_bed>80"))
    book = ledger()
    book.advance({"print_time": 30.0})

    changed = again(book, hot)
    changed.advance({"print_time": 10.0}, lambda counter: 0.0)
    changed.advance({"print_time": 1.0}, lambda counter: 1.0)

    assert changed.used("rods")["print_time"] == pytest.approx(31.0)


def test_readings_that_are_older_than_the_record_never_give_a_negative_use():
    book = ledger()
    book.advance({"print_time": 30.0})
    old = book.document()
    book.records["rods"] = book.restart("rods", {"print_time": 0.0})
    records = {"rods": book.records["rods"].document()}

    assert ledger(document={}, records=records).used("rods")["print_time"] >= 0.0
    assert ledger(document=old, records=records).used("rods")["print_time"] == 0.0


def test_a_wear_factor_applies_only_to_limits_that_have_it():
    """An abrasive filament wears a nozzle five times as fast, and nothing else."""
    worn = FED._replace(name="filament", counter=Counter("filament", "", "CF=5"))
    book = Ledger([Plan("nozzle", (worn,)), Plan("gears", (FED,))])

    book.advance({"filament": 10.0}, lambda counter: 5.0)

    assert book.used("nozzle")["filament"] == 50.0
    assert book.used("gears")["filament"] == 10.0
    assert book.readings["filament"] == 10.0


@pytest.mark.parametrize(
    ("match", "printed", "passed", "trigger", "status"),
    [
        ("any", 10.0, 10.0, "print_time", OK),
        ("any", 10.0, 700.0, "time", SOON),
        ("any", 101.0, 10.0, "print_time", DUE),
        ("all", 101.0, 10.0, "time", OK),
        ("all", 101.0, 700.0, "time", SOON),
        ("all", 101.0, 721.0, "time", DUE),
    ],
)
def test_any_is_decided_by_the_nearest_limit_and_all_by_the_farthest(
    match, printed, passed, trigger, status
):
    book = ledger(PRINTED, CALENDAR, match=match)
    book.advance({"print_time": printed, "time": passed})
    view = book.view("rods", NOW)

    assert (view.trigger, view.status) == (trigger, status)


@given(amounts, amounts, st.sampled_from(["any", "all"]))
def test_the_deciding_limit_says_the_same_as_all_limits_together(printed, fed, match):
    book = ledger(PRINTED, FED, match=match)
    book.advance({"print_time": printed, "filament": fed})
    over = [limit.remaining <= 0.0 for limit in book.view("rods", NOW).limits]

    due = any(over) if match == "any" else all(over)
    assert (book.view("rods", NOW).status == DUE) == due


def test_a_warning_in_percent_follows_the_threshold_and_one_in_hours_does_not():
    book = ledger()
    book.records["rods"] = book.records["rods"]._replace(
        thresholds={"print_time": Override(200.0, 100.0)}
    )
    fixed = ledger(PRINTED._replace(warn=7.0, warn_in_percent=False))

    assert book.view("rods", NOW).deciding.warn_at == 20.0
    assert fixed.view("rods", NOW).deciding.warn_at == 7.0


def test_a_commanded_threshold_stays_until_the_configuration_changes():
    book = ledger()
    override = {"print_time": Override(200.0, 100.0)}
    book.records["rods"] = book.records["rods"]._replace(thresholds=override)

    kept = again(book)
    changed = again(kept, PRINTED._replace(threshold=120.0))
    back = again(changed)

    assert kept.view("rods", NOW).deciding.threshold == 200.0
    assert changed.view("rods", NOW).deciding.threshold == 120.0
    assert back.view("rods", NOW).deciding.threshold == 100.0


def test_a_task_disabled_by_configuration_stays_so_until_a_command():
    book = ledger(disabled=True)
    assert book.view("rods", NOW).status == DISABLED

    record, plan = book.records["rods"], book.plans["rods"]
    book.records["rods"] = switch(record, plan, book.readings, enabled=True)

    assert again(book, disabled=True).view("rods", NOW).status == OK
    assert again(book).view("rods", NOW).status == OK
    assert again(again(book), disabled=True).view("rods", NOW).status == DISABLED


def examine(book, now=NOW):
    record, events = book.examine("rods", book.view("rods", now), now)
    book.records["rods"] = record
    return events


def test_each_event_is_published_once():
    book = ledger()
    events = []
    for _ in range(12):
        book.advance({"print_time": 10.0})
        events += examine(book)

    assert events == [SOON, DUE]


def test_an_event_is_published_again_after_the_count_went_back():
    book = ledger()
    book.advance({"print_time": 101.0})
    assert examine(book) == [DUE]

    book.records["rods"] = book.restart("rods", {"print_time": 1.0})
    assert examine(book) == []
    book.advance({"print_time": 100.0})

    assert examine(book) == [DUE]


def test_a_snooze_ends_after_its_hours_on_the_calendar():
    book = ledger()
    book.advance({"print_time": 101.0, "time": 5.0})
    book.records["rods"] = book.records["rods"]._replace(
        snoozed_to=29.0, snoozed_until=int(NOW)
    )

    assert book.view("rods", NOW).status == SNOOZED
    # The wall clock does not decide, because it may have jumped by months.
    assert book.view("rods", NOW + 1e8).status == SNOOZED
    assert examine(book) == []

    book.advance({"time": 24.0})
    assert examine(book) == ["unsnoozed", DUE]
    assert book.view("rods", NOW).status == DUE


def test_a_forecast_follows_the_recent_rate():
    book = ledger()
    for _ in range(48):
        book.advance({"print_time": 0.5, "time": 1.0})
        book.settle_rates(1.0)

    due_at = book.view("rods", NOW).due_at

    assert due_at == pytest.approx(NOW + 76.0 / 0.5 * 3600, abs=3600)


def test_there_is_no_forecast_without_a_rate():
    """A rate needs some hours to pass and something to be used."""
    book = ledger()
    book.advance({"print_time": 0.5})
    book.settle_rates(0.5)
    assert book.view("rods", NOW).due_at is None

    idle = ledger()
    idle.settle_rates(1000.0)
    assert idle.view("rods", NOW).due_at is None


def test_one_print_on_the_first_day_is_no_high_rate():
    """One hour of printing on the first day is one hour a day."""
    book = ledger()
    book.advance({"print_time": 1.0})
    book.settle_rates(2.0)

    assert book.rate(PRINTED.counter) == pytest.approx(1 / 24)


def test_a_calendar_limit_needs_no_rate():
    book = ledger(CALENDAR)
    book.advance({"time": 20.0})

    assert book.view("rods", NOW).due_at == pytest.approx(NOW + 700 * 3600, abs=3600)


def test_any_is_due_with_the_first_limit_and_all_with_the_last():
    def due_at(match):
        book = ledger(CALENDAR, CALENDAR._replace(name="power_on"), match=match)
        return book.view("rods", NOW).due_at

    slow = PRINTED
    book = ledger(slow, CALENDAR, match="all")
    assert book.view("rods", NOW).due_at is None
    assert ledger(slow, CALENDAR).view("rods", NOW).due_at is not None
    assert due_at("any") == due_at("all")


def test_imported_history_changes_the_count_and_not_the_rate():
    book = ledger()
    book.settle_rates(48.0)
    book.advance({"print_time": 90.0}, recent=False)
    book.settle_rates(1.0)

    assert book.used("rods")["print_time"] == 90.0
    assert book.rate(PRINTED.counter) is None


def test_the_use_since_a_day_in_the_past_comes_from_daily_marks():
    day = 86400.0
    book = ledger(PRINTED, CALENDAR)
    for number in range(10):
        book.mark(NOW + number * day)
        book.advance({"print_time": 2.0, "time": 24.0})
    now = NOW + 10 * day

    assert book.since(PRINTED.counter, now - 3 * day, now) == pytest.approx(6.0)
    assert book.since(PRINTED.counter, now - 2.5 * day, now) == pytest.approx(5.0)
    assert book.since(CALENDAR.counter, now - 3 * day, now) == pytest.approx(72.0)
    assert book.since(PRINTED.counter, NOW - 99 * day, now) == pytest.approx(20.0)


@pytest.mark.parametrize("jump", [1e8, -1e8, 0.0])
def test_a_clock_that_jumps_loses_no_mark_and_adds_none(jump):
    book = ledger(PRINTED)
    for _ in range(20):
        assert book.mark(NOW)
        book.advance({"print_time": 2.0, "time": 24.0})
    assert book.mark(NOW + jump)
    assert not book.mark(NOW)
    assert not book.mark(NOW - jump)

    assert len(book.marks) == 21
    book.advance({"time": 24.0})
    assert book.mark(NOW + 1e9)
    # The past is reckoned by the calendar.
    now = NOW + jump
    assert book.since(PRINTED.counter, now - 5 * 86400, now) == pytest.approx(8.0)


def test_the_marks_of_ninety_days_are_kept():
    book = ledger(PRINTED)
    for _ in range(200):
        book.mark(NOW)
        book.advance({"print_time": 1.0, "time": 24.0})

    assert len(book.marks) == 91
    assert book.since(PRINTED.counter, NOW - 90 * 86400, NOW) == pytest.approx(90.0)
    assert book.since(PRINTED.counter, NOW - 150 * 86400, NOW) == pytest.approx(91.0)


def test_marks_that_lie_ahead_of_the_calendar_are_dropped():
    """They belong to a store that no longer exists."""
    book = Ledger([], None, {}, [[NOW, {"time": 500.0}]])
    assert book.mark(NOW)
    assert [readings for _, readings in book.marks] == [{"time": 0.0}]
