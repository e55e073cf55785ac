"""What the log tells of how a task is done, and which threshold it suggests.

The expected numbers were calculated by hand.
"""

from __future__ import annotations

import pytest

from klippy_extra.contract import Entry
from klippy_extra.ledger.records import Counter, Limit, Override, Plan, Record
from klippy_extra.outlook.habits import completions, learnt, rounded, sentences

HOURS = Limit("print_time", Counter("print_time"), "h", 200.0)
DAYS = Limit("time", Counter("time"), "h", 720.0)
RAILS = Plan("rails", (HOURS,))


def log(*entries):
    """Return log entries, the newest first.

    Each argument gives the hours used, and optionally the condition or the event.
    """
    made = []
    for number, each in enumerate(reversed(entries)):
        hours, word = each if isinstance(each, tuple) else (each, "")
        event = word if word == "skipped" else "done"
        condition = "" if word == "skipped" else word
        used = {"print_time": float(hours)}
        made.append(Entry(number, "rails", event, "", "", used, condition))
    return made[::-1]


def of(*entries, record=Record()):  # noqa: B008 - a record never changes
    return learnt(RAILS, record, log(*entries))


def test_the_first_completion_does_not_count():
    """The log does not tell what was used before the extra was installed."""
    assert of(500) == (None, None)
    assert of() == (None, None)
    habit, _ = of(240, 500)
    assert (habit.times, habit.shortest, habit.longest) == (1, 240.0, 240.0)


def test_a_habit_has_a_shortest_a_median_and_a_longest_use():
    habit, suggestion = of(180, 260, 210, 240, 500)
    assert (habit.meter, habit.times) == ("print_time", 4)
    assert (habit.shortest, habit.median, habit.longest) == (180.0, 225.0, 260.0)
    assert habit.late == 0.125  # the median of 225 h against the threshold of 200 h
    assert not habit.agree  # 180, 260 and 210 differ too much
    assert suggestion is None
    assert sentences(habit, "h") == [
        "The last 4 times it was done at 180 h to 260 h, mostly at 225 h.",
        "That is 12 % later than due.",
        "The last three times differ.",
    ]


def test_uses_that_are_all_the_same_are_told_as_one_number():
    habit, _ = of(240, 240, 240, 500)
    assert sentences(habit, "h")[0] == "The last 3 times it was done at 240 h."


def test_three_uses_that_agree_suggest_their_median():
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
        (205, 195, 208, 100),  # they agree with the threshold
        (240, 245, 100),  # these are only two uses
        (300, 240, 200, 100),  # these uses differ
    ],
)
def test_a_habit_that_is_not_clear_gives_no_suggestion(uses):
    assert of(*uses)[1] is None


def test_a_suggestion_that_was_followed_is_not_made_again():
    record = Record(thresholds={"print_time": Override(240.0, 200.0)})
    habit, suggestion = of(238, 240, 245, 100, record=record)
    assert habit.late == 0.0
    assert suggestion is None


def test_the_condition_good_three_times_suggests_a_longer_interval():
    _, suggestion = of((200, "good"), (195, "good"), (210, "good"), 100)
    assert (suggestion.threshold, suggestion.why) == (240.0, "good")
    assert suggestion.text == "It was good three times. Set 240 h instead of 200 h?"
    assert of((200, "good"), (195, "worn"), (210, "good"), 100)[1] is None


def test_the_condition_good_before_the_threshold_suggests_nothing():
    assert of((100, "good"), (100, "good"), (100, "good"), 100)[1] is None


def test_the_condition_broken_suggests_shorter_and_never_longer():
    _, suggestion = of((200, "broken"), 200, 200, 100)
    assert (suggestion.threshold, suggestion.why) == (160.0, "broken")
    assert suggestion.text == "It was broken at 200 h. Set 160 h instead of 200 h?"
    # The part broke at 250 h, long after it was due: the threshold of 200 h is right.
    assert of((250, "broken"), 240, 240, 100)[1] is None
    # No suggestion to wait longer is made after that.
    assert of(240, 240, (240, "broken"), 100)[1] is None


def test_the_condition_worn_confirms_the_threshold():
    assert of((200, "worn"), (200, "worn"), (200, "worn"), 100)[1] is None


def test_the_use_before_a_skip_belongs_to_the_next_completion():
    habit, _ = of(50, (190, "skipped"), 200)
    assert (habit.times, habit.median) == (1, 240.0)


def test_two_completions_in_a_row_count_as_one():
    habit, _ = of(0.5, 239.5, 100)
    assert habit.times == 1
    assert completions(log(0.5, 239.5, 100), {"print_time": 2.0})[0].used == {
        "print_time": 239.5
    }


def test_the_habit_is_told_by_the_limit_that_is_used_up_most():
    """It is done every 30 days at about 100 h: people follow the calendar."""
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
def test_suggested_amounts_are_round_numbers(amount, unit, as_chosen):
    assert rounded(amount, unit) == as_chosen
