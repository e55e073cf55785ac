"""Which tasks become due during a print, and after which part of it.

The expected numbers were calculated by hand.
"""

from __future__ import annotations

import pytest

from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import SHELF, Counter, Limit, Plan
from klippy_extra.outlook import policy, sentences
from klippy_extra.outlook.due_in_print import DueInPrint, due_in_print, is_due
from klippy_extra.outlook.policy import Policy
from klippy_extra.outlook.slicers import Prediction

LONG = Prediction(14.0, (120.0,))
HOURS = Limit("print_time", Counter("print_time"), "h", 200.0)
METRES = Limit("filament", Counter("filament"), "m", 1000.0)
CALENDAR = Limit("time", Counter("time"), "h", 720.0)


def book(*limits, match="any", **used):
    """Return a ledger with one task, `rods`, of whose limits *used* is used up."""
    made = Ledger([Plan("rods", limits, match)])
    made.advance(used)
    return made


def foreseen(made, prediction=LONG, meters=None, weight=lambda counter: 1.0):
    return due_in_print(made, made.plans, prediction, meters or {}, weight)


def test_a_task_becomes_due_after_its_share_of_the_hours():
    """191 h of 200 h are used, so the ninth of 14 hours makes the task due."""
    [each] = foreseen(book(HOURS, print_time=191.0))
    assert each == DueInPrint("rods", "print_time", pytest.approx(9 / 14), 9.0, "h")
    assert (
        sentences.makes_due("Grease the rails", each, LONG)
        == 'This print (14 h, 120 m) makes "Grease the rails" due after 9 h.'
    )


def test_a_task_that_the_print_does_not_make_due_is_not_listed():
    assert foreseen(book(HOURS, print_time=185.0)) == []
    # It becomes due at the very end of the print.
    assert len(foreseen(book(HOURS, print_time=186.0))) == 1


def test_a_task_that_is_due_already_is_not_listed():
    made = book(HOURS, print_time=200.0)
    assert is_due(made, "rods")
    assert foreseen(made) == []


def test_any_needs_the_first_limit_and_all_needs_the_last():
    """By time 10 h of the 14 h pass until it is due, by length 60 m of the 120 m."""
    used = {"print_time": 190.0, "filament": 940.0}
    [first] = foreseen(book(HOURS, METRES, **used))
    [last] = foreseen(book(HOURS, METRES, match="all", **used))
    assert (first.meter, first.share) == ("filament", 0.5)
    assert (last.meter, last.share) == ("print_time", pytest.approx(10 / 14))
    used["filament"] = 100.0
    assert foreseen(book(HOURS, METRES, match="all", **used)) == []


def test_time_on_the_calendar_also_passes_during_a_print():
    [each] = foreseen(book(CALENDAR, time=713.0))
    assert each.share == 0.5


def test_a_length_alone_says_after_which_length():
    short = Prediction(None, (120.0,))
    [each] = foreseen(book(HOURS, METRES, print_time=199.0, filament=960.0), short)
    assert (
        sentences.makes_due("Nozzle", each, short)
        == 'This print (120 m) makes "Nozzle" due after 40 m.'
    )


def test_each_extruder_gets_the_filament_of_its_own_tool():
    second = Limit("filament_extruder1", Counter("filament_extruder1"), "m", 100.0)
    made = book(second, filament_extruder1=80.0)
    meters = {0: "filament_extruder", 1: "filament_extruder1"}
    [each] = foreseen(made, Prediction(14.0, (90.0, 40.0)), meters)
    assert each.share == 0.5
    # The file names three filaments for two extruders: nobody knows which goes where.
    assert foreseen(made, Prediction(14.0, (90.0, 40.0, 40.0)), meters) == []


def test_tools_that_share_an_extruder_each_get_their_own_filament():
    """T1 uses 40 m of the 130 m, and its nozzle has 20 m left."""
    own = Limit("filament", Counter("filament", place="tool 1"), "m", 100.0)
    made = book(own)
    made.readings[own.counter.key] = 80.0
    [each] = foreseen(made, Prediction(14.0, (90.0, 40.0)))
    assert each.share == 0.5
    # One length does not tell which tool uses it, and hours are never given by tool.
    assert foreseen(made, Prediction(14.0, (130.0,))) == []
    assert foreseen(made, Prediction(14.0, (130.0, 0.0))) == []
    hours = Limit("print_time", Counter("print_time", place="tool 1"), "h", 100.0)
    made = book(hours)
    made.readings[hours.counter.key] = 99.0
    assert foreseen(made, Prediction(14.0, (90.0, 40.0))) == []


def test_a_print_does_not_wear_a_part_on_the_shelf():
    made = book(HOURS, print_time=191.0)
    assert len(foreseen(made)) == 1
    made.records["rods"] = made.records["rods"]._replace(
        place=SHELF, held={"print_time": 191.0}
    )
    assert foreseen(made) == []


def test_a_wear_factor_counts_and_an_unknown_factor_leaves_the_task_out():
    """The nozzle wears twice as fast, so 7 h of printing are 14 h of wear."""
    weighted = Limit("print_time", Counter("print_time", factor="CF=2"), "h", 200.0)
    made = Ledger([Plan("rods", (weighted,))])
    made.advance({"print_time": 93.0}, lambda counter: 2.0)
    [each] = foreseen(made, weight=lambda counter: 2.0)
    assert each.share == 0.5
    assert foreseen(made, weight=lambda counter: None) == []


def test_travel_is_estimated_from_the_last_prints():
    """The last 40 h of printing moved 4000 m, so 14 h will move about 1400 m."""
    travel = Limit("travel_x", Counter("travel_x"), "m", 10_000.0)
    made = book(travel, print_time=40.0, travel_x=4000.0)
    made.advance({"travel_x": 5300.0}, recent=False)
    assert foreseen(made) == []  # No rate is settled yet, so no proportion is known.

    made.settle_rates(100.0)
    [each] = foreseen(made)
    assert each.about
    assert each.share == 0.5
    assert 'makes "Rods" due after about 7 h.' in sentences.makes_due(
        "Rods", each, LONG
    )


def test_a_few_hours_of_printing_give_no_proportion():
    travel = Limit("travel_x", Counter("travel_x"), "m", 10_000.0)
    made = book(travel, print_time=19.0, travel_x=9900.0)
    made.settle_rates(100.0)
    assert foreseen(made) == []


def test_meters_that_a_file_does_not_predict_are_left_out():
    homings = Limit("homings", Counter("homings"), "", 100.0)
    made = book(homings, homings=99.0, print_time=50.0)
    made.settle_rates(100.0)
    assert foreseen(made) == []


def test_a_snooze_that_ends_later_than_the_task_is_due_keeps_it_out():
    made = book(HOURS, print_time=191.0)
    until = made.calendar + 10.0
    made.records["rods"] = made.records["rods"]._replace(snoozed_to=until)
    assert foreseen(made) == []
    made.records["rods"] = made.records["rods"]._replace(snoozed_to=until - 2.0)
    assert len(foreseen(made)) == 1


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0.004, "1 min"), (0.5, "30 min"), (9.25, "9.2 h"), (9.0, "9 h"), (14.4, "14 h")],
)
def test_hours_are_rounded_as_exactly_as_they_are_known(hours, text):
    assert sentences.hours(hours) == text


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", Policy("warn", "off")),
        ("confirm", Policy("confirm", "off")),
        ("ahead=warn", Policy("warn", "warn")),
        ("Block, Ahead = Confirm", Policy("block", "confirm")),
    ],
)
def test_at_print_start_has_a_policy_for_now_and_one_for_ahead(text, parsed):
    assert policy.parse(text, Policy()) == parsed


@pytest.mark.parametrize("text", ["maybe", "ahead=maybe", "later=warn", "ahead="])
def test_an_unknown_word_is_refused(text):
    with pytest.raises(ValueError, match=r"choose one of|only 'ahead='"):
        policy.parse(text, Policy())
