"""What the log tells of a task, and what its threshold should be: by hand."""

from __future__ import annotations

import pytest

from klippy_extra.contract import Entry
from klippy_extra.ledger.records import Counter, Limit, Override, Plan, Record
from klippy_extra.outlook.habits import completions, learnt, rounded, sentences

HOURS = Limit("print_time", Counter("print_time"), "h", 200.0)
DAYS = Limit("time", Counter("time"), "h", 720.0)
RAILS = Plan("rails", (HOURS,))


def log(*entries):
    """Entries, the newest first: hours used, and how it was then, or an event."""
    made = []
    for number, each in enumerate(reversed(entries)):
        hours, word = each if isinstance(each, tuple) else (each, "")
        event = word if word == "skipped" else "done"
        condition = "" if word == "skipped" else word
        used = {"print_time": float(hours)}
        made.append(Entry(number, "rails", event, "", "", used, condition))
    return made[::-1]


def of(*entries, record=Record()):  # noqa: B008 - a record does not change
    return learnt(RAILS, record, log(*entries))


def test_the_first_completion_is_no_measure():
    """What was used before the extra came is not in the log."""
    assert of(500) == (None, None)
    assert of() == (None, None)
    habit, _ = of(240, 500)
    assert (habit.times, habit.shortest, habit.longest) == (1, 240.0, 240.0)


def test_a_habit_is_shortest_median_and_longest():
    habit, suggestion = of(180, 260, 210, 240, 500)
    assert (habit.meter, habit.times) == ("print_time", 4)
    assert (habit.shortest, habit.median, habit.longest) == (180.0, 225.0, 260.0)
    assert habit.late == 0.125  # 225 h of 200 h
    assert not habit.agree  # 180, 260, 210
    assert suggestion is None
    assert sentences(habit, "h") == [
        "The last 4 times it was done at 180 h to 260 h, mostly at 225 h.",
        "That is 12 % later than due.",
        "The last three times differ.",
    ]


def test_uses_that_are_all_the_same_are_one_number():
    habit, _ = of(240, 240, 240, 500)
    assert sentences(habit, "h")[0] == "The last 3 times it was done at 240 h."


def test_three_that_agree_suggest_what_is_really_done():
    habit, suggestion = of(238, 240, 245, 100)
    assert habit.agree
    assert (suggestion.threshold, suggestion.unit, suggestion.why) == (
        240,
        "h",
        "habit",
    )
    assert suggestion.text == "You do this at 240 h, not at 200 h. Set 240 h?"

    _, suggestion = of(150, 148, 155, 100)
    assert suggestion.threshold == 150.0


@pytest.mark.parametrize(
    "uses",
    [
        (205, 195, 208, 100),  # as it should be
        (240, 245, 100),  # twice only
        (300, 240, 200, 100),  # they differ
    ],
)
def test_what_is_not_clear_suggests_nothing(uses):
    assert of(*uses)[1] is None


def test_a_suggestion_that_was_followed_is_none_any_more():
    record = Record(thresholds={"print_time": Override(240.0, 200.0)})
    habit, suggestion = of(238, 240, 245, 100, record=record)
    assert habit.late == 0.0
    assert suggestion is None


def test_three_times_good_suggests_longer():
    _, suggestion = of((200, "good"), (195, "good"), (210, "good"), 100)
    assert (suggestion.threshold, suggestion.why) == (240.0, "good")
    assert suggestion.text == "It was good three times. Set 240 h instead of 200 h?"
    assert of((200, "good"), (195, "worn"), (210, "good"), 100)[1] is None


def test_good_although_early_says_nothing_of_later():
    assert of((100, "good"), (100, "good"), (100, "good"), 100)[1] is None


def test_broken_suggests_shorter_and_never_longer():
    _, suggestion = of((200, "broken"), 200, 200, 100)
    assert (suggestion.threshold, suggestion.why) == (160.0, "broken")
    assert suggestion.text == "It was broken at 200 h. Set 160 h instead of 200 h?"
    # One that broke at 250 h long after its time is served by the 200 h it has.
    assert of((250, "broken"), 240, 240, 100)[1] is None
    # And nobody is told to wait longer after that.
    assert of(240, 240, (240, "broken"), 100)[1] is None


def test_worn_is_as_it_should_be():
    assert of((200, "worn"), (200, "worn"), (200, "worn"), 100)[1] is None


def test_a_skip_belongs_to_the_next_completion():
    habit, _ = of(50, (190, "skipped"), 200)
    assert (habit.times, habit.median) == (1, 240.0)


def test_who_presses_done_twice_has_not_done_it_twice():
    habit, _ = of(0.5, 239.5, 100)
    assert habit.times == 1
    assert completions(log(0.5, 239.5, 100), {"print_time": 2.0})[0].used == {
        "print_time": 239.5
    }


def test_the_fullest_limit_is_the_one_that_people_do_it_by():
    """Every 30 days at about 100 h: the calendar, not the hours."""
    plan = Plan("rails", (HOURS, DAYS))
    entries = [
        Entry(9 - n, "rails", "done", "", "", {"print_time": 100.0, "time": hours})
        for n, hours in enumerate((1000.0, 1020.0, 1010.0, 5.0))
    ]
    habit, suggestion = learnt(plan, Record(), entries)
    assert habit.meter == "time"
    assert (suggestion.meter, suggestion.threshold) == ("time", 1000.0)

    habit, _ = learnt(plan._replace(match="all"), Record(), entries)
    assert habit.meter == "print_time"


@pytest.mark.parametrize(
    ("amount", "unit", "as_chosen"),
    [
        (237.4, "h", 240.0),
        (1234.0, "m", 1200.0),
        (9.62, "h", 9.6),
        (0.123, "h", 0.12),
        (7.6, "", 8.0),
        (0.2, "", 1.0),
        (0.0, "h", 0.0),
    ],
)
def test_amounts_are_suggested_as_people_choose_them(amount, unit, as_chosen):
    assert rounded(amount, unit) == as_chosen
