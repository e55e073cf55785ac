"""Commands at the edges of their rules, their log entries and their sentences."""

from __future__ import annotations

import json

import pytest

from klippy_extra.contract import (
    BAD_ARGUMENT,
    NOT_READY,
    UNKNOWN_TASK,
    Command,
    Entry,
    Result,
    Suggestion,
)
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan
from klippy_extra.upkeep.carry_out import (
    LEAST,
    MOST,
    REMEMBERED,
    CommandHandler,
    RefusedError,
)

NOW = 1_795_219_200.0
HOUR, DAY = 3600, 86400
TEN_YEARS = 87_600.0  # hours
LIMITS = (
    Limit("print_time", Counter("print_time"), "h", 100.0),
    Limit("time", Counter("time"), "h", 720.0),
)


class Commands:
    """A ledger with a task of one limit and one of two, and its commands."""

    def __init__(self):
        self.book = Ledger([Plan("rods", LIMITS[:1]), Plan("belts", LIMITS)])
        self.book.advance({"print_time": 40.0, "time": 90.0})
        self.handler = CommandHandler(self.book)

    def give(self, word, task="rods", now=NOW, **fields):
        change = self.handler.handle(task, Command(word, **fields), now, ready=True)
        self.book.records[task] = change.record
        return change

    def refusal(self, word, task="rods", ready=True, **fields):
        """Return code and text of a refusal, which must change nothing."""
        before = dict(self.book.records)
        with pytest.raises(RefusedError) as refused:
            self.handler.handle(task, Command(word, **fields), NOW, ready)
        assert self.book.records == before
        return refused.value.code, str(refused.value)


@pytest.fixture
def commands():
    return Commands()


# Sentences for people


@pytest.mark.parametrize(
    ("before", "word", "fields", "event", "text"),
    [
        ([], "done", {}, "done", "is marked done; counting starts again."),
        ([], "skip", {}, "skipped", "is skipped this time; counting starts again."),
        ([], "snooze", {"hours": 5.0}, "snoozed", "is snoozed for 5 hours."),
        ([], "unsnooze", {}, "", "is not snoozed."),
        (["snooze"], "unsnooze", {}, "unsnoozed", "is no longer snoozed."),
        ([], "enable", {}, "", "is already enabled."),
        ([], "disable", {}, "disabled",
         "is disabled; nothing counts until it is enabled."),
        (["disable"], "disable", {}, "", "is already disabled."),
        (["disable"], "enable", {}, "enabled", "is enabled; counting goes on."),
        ([], "set", {"threshold": 150.0}, "changed",
         "has the threshold 150 h from now on."),
        ([], "set", {"warn_at": 30.0}, "changed",
         "has a warning 30 h before the end from now on."),
        ([], "set", {"threshold": 150.0, "warn_at": 30.0}, "changed",
         "has the threshold 150 h and a warning 30 h before the end from now on."),
        ([], "adjust", {"used": 7.0}, "changed", "counts 7 h as used now."),
        ([], "log", {}, "", "has this log."),
    ],
)  # fmt: skip
def test_every_command_is_answered_with_a_sentence(
    commands, before, word, fields, event, text
):
    for earlier in before:
        commands.give(earlier, hours=5.0 if earlier == "snooze" else None)
    change = commands.give(word, **fields)
    assert (change.event, change.text) == (event, text)
    assert (change.entry is None) == (event == "")


@pytest.mark.parametrize(
    ("word", "fields", "text"),
    [
        ("set", {"threshold": {"time": 500.0}}, "the threshold time 500 h"),
        ("adjust", {"used": {"time": 3.0, "print_time": 1.0}},
         "counts print_time 1 h, time 3 h as used now."),
    ],
)  # fmt: skip
def test_several_limits_are_named_in_their_order(commands, word, fields, text):
    assert text in commands.give(word, "belts", **fields).text


def test_the_log_has_the_value_before_and_the_note(commands):
    change = commands.give("set", threshold=150.0, warn_at=30.0, note="PETG", by="anna")
    assert change.entry == Entry(
        time=int(NOW),
        task="rods",
        event="changed",
        by="anna",
        note="threshold 150 h, before 100 h; warning at 30 h, before 10 h; PETG",
        used={"print_time": 40.0},
    )
    again = commands.give("set", threshold=200.0, warn_at=20.0)
    assert again.entry.note == (
        "threshold 200 h, before 150 h; warning at 20 h, before 30 h"
    )
    assert commands.give("adjust", used=7.0).entry.note == "used 7 h, before 40 h"
    assert commands.give("set", threshold=1.0, note="x").entry.note.endswith("h; x")
    assert commands.give("skip").entry.note == ""


def test_a_changed_condition_is_in_the_log(commands):
    assert commands.give("done", condition="worn").entry.condition == "worn"
    assert commands.give("done").entry.condition == ""


# The use in the log


def test_the_log_has_the_use_with_six_decimals(commands):
    commands.book.advance({"print_time": 1.0 / 3.0})
    assert commands.give("done").entry.used == {"print_time": 40.333333}


def test_the_log_has_the_whole_use_also_if_a_part_of_it_stays(commands):
    assert commands.give("done", used=12.5).entry.used == {"print_time": 40.0}


def test_the_log_of_an_earlier_completion_has_the_use_until_then(commands):
    commands.give("done", now=NOW - DAY)
    commands.book.mark(NOW - DAY)
    commands.book.advance({"print_time": 1.0, "time": 24.0})
    change = commands.give("done", at=int(NOW) - 6 * HOUR)
    assert change.entry.used == {"print_time": pytest.approx(0.75)}
    assert change.entry.time == change.record.last_done == int(NOW) - 6 * HOUR

    more = commands.give("done", at=int(NOW) - 3 * HOUR, used=9.0)
    assert more.entry.used == {"print_time": 0.0}


# Done


def test_each_completion_is_counted(commands):
    assert [commands.give("done").record.done_count for _ in range(3)] == [1, 2, 3]


def test_done_also_ends_the_shown_time_of_a_snooze(commands):
    commands.give("snooze", hours=5.0)
    record = commands.give("done").record
    assert (record.snoozed_to, record.snoozed_until) == (None, None)
    commands.give("snooze", hours=5.0)
    record = commands.give("unsnooze").record
    assert (record.snoozed_to, record.snoozed_until) == (None, None)


def test_done_at_the_time_of_the_last_completion_is_accepted(commands):
    at = int(NOW) - HOUR
    commands.give("done", at=at)
    assert commands.give("done", at=at).record.done_count == 2
    code, text = commands.refusal("done", at=at - 1)
    assert code == BAD_ARGUMENT
    assert "It was done later than" in text


def test_done_now_is_accepted_after_the_clock_was_set_back(commands):
    commands.give("done")
    assert commands.give("done", now=NOW - 30 * DAY).record.last_done == NOW - 30 * DAY


def test_done_with_amounts_for_some_limits_starts_the_others_at_zero(commands):
    commands.give("done", "belts", used={"time": 5.0})
    assert commands.book.used("belts") == {"print_time": 0.0, "time": 5.0}


def test_adjust_does_not_change_limits_without_an_amount(commands):
    commands.give("adjust", "belts", used={"time": 5.0})
    assert commands.book.used("belts") == {"print_time": 40.0, "time": 5.0}


# Snooze


@pytest.mark.parametrize("hours", [0.25, TEN_YEARS])
def test_a_snooze_lasts_the_given_hours(commands, hours):
    record = commands.give("snooze", hours=hours).record
    assert record.snoozed_to == 90.0 + hours
    assert record.snoozed_until == int(NOW + hours * HOUR)


def test_a_snooze_of_more_than_ten_years_is_refused(commands):
    assert commands.refusal("snooze", hours=TEN_YEARS + 1.0) == (
        BAD_ARGUMENT,
        "Nothing can be snoozed for more than ten years.",
    )


# Values


def test_values_of_several_limits_are_set_one_after_the_other(commands):
    for meter, value in (("time", 500.0), ("print_time", 50.0)):
        commands.give(
            "set", "belts", threshold={meter: value}, warn_at={meter: value / 10}
        )
    limits = commands.book.view("belts", NOW).limits
    assert [(each.threshold, each.warn_at) for each in limits] == [
        (50.0, 5.0),
        (500.0, 50.0),
    ]


@pytest.mark.parametrize("number", [LEAST, MOST])
def test_the_smallest_and_the_largest_value_can_be_set(commands, number):
    commands.give("set", threshold=number, warn_at=number)
    limit = commands.book.view("rods", NOW).deciding
    assert (limit.threshold, limit.warn_at) == (number, number)


@pytest.mark.parametrize("number", [0.0, MOST])
def test_the_smallest_and_the_largest_use_can_be_given(commands, number):
    assert commands.give("adjust", used=number).record is commands.book.records["rods"]
    assert commands.book.used("rods") == {"print_time": number}


@pytest.mark.parametrize(
    ("word", "fields", "text"),
    [
        ("set", {"threshold": LEAST / 2}, "'threshold' must be from 0.001 to"),
        ("set", {"warn_at": LEAST / 2}, "'warn_at' must be from 0.001 to"),
        ("set", {"threshold": MOST * 1.01}, "'threshold' must be from"),
        ("adjust", {"used": -0.001}, "'used' must be from 0"),
        ("done", {"used": MOST * 1.01}, "'used' must be from 0"),
        ("done", {"at": int(NOW) + 61}, "It cannot have been done in the future"),
    ],
)
def test_a_refused_number_is_named(commands, word, fields, text):
    code, why = commands.refusal(word, **fields)
    assert code == BAD_ARGUMENT
    assert text in why


@pytest.mark.parametrize(
    ("word", "fields", "text"),
    [
        ("set", {"threshold": 5.0},
         "name those of 'threshold', as in print_time=5,time=5."),
        ("set", {"warn_at": 5.0}, "name those of 'warn_at', as in"),
        ("done", {"used": 5.0}, "name those of 'used', as in"),
        ("adjust", {"used": 5.0}, "name those of 'used', as in"),
        ("adjust", {"used": {"filament": 5.0}},
         "This task has no limit 'filament', only print_time, time."),
        ("set", {"threshold": {}},
         "'threshold' is none of the limits print_time, time."),
    ],
)  # fmt: skip
def test_a_refusal_lists_the_limits_of_the_task(commands, word, fields, text):
    code, why = commands.refusal(word, "belts", **fields)
    assert code == BAD_ARGUMENT
    assert text in why


def test_an_unknown_task_and_a_printer_that_is_not_ready_are_reported(commands):
    assert commands.refusal("done", "nobody") == (
        UNKNOWN_TASK,
        "There is no maintenance task 'nobody'.",
    )
    assert commands.refusal("done", ready=False) == (
        NOT_READY,
        "The printer is not ready for commands.",
    )


# Suggestions from the log


def test_learn_sets_what_the_log_suggests(commands):
    assert commands.refusal("learn") == (
        BAD_ARGUMENT,
        "The log suggests no other threshold for this task.",
    )
    suggested = Suggestion("time", 480.0, "h", "habit", "Set 480 h?")
    commands.handler.suggestion = {"belts": suggested}.get
    change = commands.give("learn", "belts", by="anna")
    assert change.event == "changed"
    assert change.entry.note == "threshold time 480 h, before time 720 h"
    assert change.entry.by == "anna"
    assert [each.threshold for each in commands.book.view("belts", NOW).limits] == [
        100.0,
        480.0,
    ]
    assert commands.refusal("learn")[0] == BAD_ARGUMENT


# Results


def test_a_result_is_remembered_without_the_log_or_the_export(commands):
    """A log or an export may be long, and 256 results are kept."""
    entry = Entry(int(NOW), "rods", "done", "", "", {})
    history = {"time": ((1, 2.0),)}
    result = Result("t", "rods", 7, log=(entry,), history=history, part={"id": "x"})
    commands.handler.answered(result)
    assert commands.handler.answer("t") == Result("t", "rods", 7)


def test_results_are_the_same_after_saving_and_reading(commands):
    refused = Result("b", "rods", code=BAD_ARGUMENT, text="no")
    for result in (Result("a", "rods", 7), refused):
        commands.handler.answered(result)
    stored = json.loads(json.dumps(commands.handler.answers()))
    again = CommandHandler(commands.book, stored)
    assert [again.answer(each) for each in "ab"] == [Result("a", "rods", 7), refused]


def test_a_command_that_is_being_saved_has_no_result_yet(commands):
    commands.handler.opened(Result("t", "rods", 7))
    assert commands.handler.known("t")
    assert commands.handler.answer("t") is None
    commands.handler.answered(Result("t", "rods", 7))
    assert commands.handler.answer("t") == Result("t", "rods", 7)


def test_the_oldest_results_are_forgotten_sent_or_not(commands):
    commands.handler.opened(Result("oldest", "rods", 1))
    for number in range(REMEMBERED):
        commands.handler.answered(Result(f"t{number}", "rods", number))
    assert not commands.handler.known("oldest")
    assert commands.handler.known("t0")

    store = CommandHandler(commands.book, [["oldest", "rods", 1, None, ""]])
    fresh = CommandHandler(commands.book)
    fresh.join(store)
    commands.handler.join(fresh)
    assert len(commands.handler.answers()) == REMEMBERED
    assert len(store.answers()) == 1


def test_results_of_the_store_are_kept_beside_new_ones(commands):
    earlier = CommandHandler(commands.book, [["a", "rods", 1, None, ""]])
    commands.handler.answered(Result("b", "rods", 2))
    commands.handler.join(earlier)
    commands.handler.answered(Result("c", "rods", 3))
    assert [row[0] for row in commands.handler.answers()] == ["a", "b", "c"]
    assert [row[0] for row in earlier.answers()] == ["a"]
