"""Learnt intervals on a printer: console, dialog, log, command and forecast."""

from __future__ import annotations

import json

import pytest

from klippy_extra.contract import Command, ContractError, Entry, State
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan
from klippy_extra.outlook.learning import Learning

RAILS = """
[maintain]
learn: {learn}
[maintain rails]
label: Grease the rails
trigger: print_time
threshold: 200
"""
ASKS = "You do this at 240 h, not at 200 h. Set 240 h?"


@pytest.fixture
def rails(bench):
    def start(learn="True", uses=(100, 240, 238, 245), condition=""):
        printer = bench(RAILS.format(learn=learn))
        for use in uses:
            printer.use(print_time=float(use))
            printer.say(f"MAINTENANCE_DONE NAME=rails {condition}")
        return printer

    return start


def state(printer):
    return printer.life.upkeep.board.state("rails")


def test_three_similar_completions_ask_once_and_change_nothing(rails):
    printer = rails()
    assert printer.times(f"// Grease the rails: {ASKS}") == 1
    assert printer.times(f"prompt_text {ASKS}") == 1
    assert printer.times("prompt_button Set 240 h|MAINTENANCE_LEARN NAME=rails") == 1
    assert state(printer).deciding.threshold == 200.0


def test_one_command_sets_the_learnt_threshold_and_the_log_has_it(rails):
    printer = rails()
    answer = printer.say("MAINTENANCE_LEARN NAME=rails SET=1")
    assert "has the threshold 240 h from now on." in answer
    assert state(printer).deciding.threshold == 240.0
    assert state(printer).suggestion is None
    newest = printer.life.upkeep.memory.log("rails", 1)[0]
    assert (newest.event, newest.note) == (
        "changed",
        "threshold 240 h, before 200 h",
    )
    assert "suggests no other" in printer.say("MAINTENANCE_LEARN NAME=rails SET=1")


def test_check_and_learn_show_the_habit(rails):
    printer = rails()
    for command in ("CHECK_MAINTENANCE", "MAINTENANCE_LEARN"):
        answer = printer.say(f"{command} NAME=rails")
        assert "The last 3 times it was done at 238 h to 245 h" in answer
        assert "That is 20 % later than due." in answer
        assert "The last three times agree." in answer
        assert f"{ASKS} (MAINTENANCE_LEARN NAME=rails SET=1)" in answer


def test_a_printer_without_the_option_shows_nothing_of_it(rails):
    printer = rails(learn="False")
    assert printer.times("You do this") == 0
    assert printer.times("CONDITION=") == 0
    payload = json.loads(state(printer).encode())
    assert not {"habit", "suggestion", "due_from", "due_to"} & set(payload)
    assert "The last" not in printer.say("CHECK_MAINTENANCE NAME=rails")
    # MAINTENANCE_LEARN answers also without the option.
    assert ASKS in printer.say("MAINTENANCE_LEARN NAME=rails")


def test_a_condition_is_in_the_log_and_survives_a_restart(rails, bench):
    printer = rails(uses=(100, 200), condition="CONDITION=broken")
    printer.close()
    again = bench(RAILS.format(learn="True"))
    newest = again.life.upkeep.memory.log("rails", 1)[0]
    assert newest.condition == "broken"
    assert state(again).suggestion.threshold == 160.0


def test_an_unknown_condition_is_refused_and_nothing_is_done(rails):
    printer = rails(uses=(100,))
    printer.use(print_time=10.0)
    answer = printer.say("MAINTENANCE_DONE NAME=rails CONDITION=awful")
    assert "CONDITION=awful must be one of good, worn, broken." in answer
    assert state(printer).deciding.used == 10.0


def test_the_dialog_offers_the_conditions(rails):
    printer = rails(uses=())
    printer.use(print_time=201.0)
    assert printer.times("prompt_button Done|UPDATE_MAINTENANCE NAME=rails") == 1
    assert printer.times("Done: worn|UPDATE_MAINTENANCE NAME=rails BY=screen") == 1
    assert printer.times("CONDITION=good") == 1


def test_a_completion_on_an_earlier_day_has_what_was_used_by_then(rails, wall):
    """Of the 240 h, 40 h were used after that day, so it was done at 200 h."""
    printer = rails(uses=(100,))
    upkeep = printer.life.upkeep
    upkeep.book.advance({"print_time": 200.0, "time": 24.0})
    wall.ahead += 24 * 3600.0
    at = int(upkeep.wall())
    upkeep.book.mark(at)
    upkeep.book.advance({"print_time": 40.0, "time": 24.0})
    wall.ahead += 24 * 3600.0

    change = upkeep.handler.handle(
        "rails", Command("done", at=at), upkeep.wall(), ready=True
    )
    assert change.entry.used["print_time"] == pytest.approx(200.0, abs=0.1)
    assert upkeep.book.used("rails", change.record)["print_time"] == pytest.approx(
        40.0, abs=0.1
    )


def test_the_published_state_has_habit_and_suggestion(rails):
    made = state(rails())
    again = State.decode(made.encode())
    assert again.habit == made.habit
    assert again.suggestion == made.suggestion
    assert json.loads(made.encode())["suggestion"]["text"] == ASKS


def test_four_weeks_of_use_give_a_date_and_a_span(rails):
    """Days of 5 h and of 7 h take turns for 28 days."""
    printer = rails(uses=())
    book = printer.life.upkeep.book
    for day in range(28):
        book.advance({"print_time": 5.0 if day // 7 % 2 else 7.0, "time": 24.0})
        book.mark(printer.life.upkeep.wall() - (27 - day) * 86400.0)
    printer.advance(1)
    made = state(printer)
    assert made.due_from < made.due_at < made.due_to
    assert State.decode(made.encode()).due_to == made.due_to
    assert " to " in printer.say("CHECK_MAINTENANCE NAME=rails")


def test_the_contract_takes_a_condition_only_with_done():
    command = Command.decode(b'{"command": "done", "condition": "worn"}')
    assert command.condition == "worn"
    assert Command.decode(command.encode()) == command
    for wrong in (
        b'{"command": "done", "condition": "awful"}',
        b'{"command": "skip", "condition": "good"}',
        b'{"command": "done", "condition": 1}',
    ):
        with pytest.raises(ContractError):
            Command.decode(wrong)
    assert Command.decode(b"learn").command == "learn"


def test_a_log_entry_without_a_condition_has_no_such_field():
    entry = Entry(0, "rails", "done", "", "", {})
    assert "condition" not in entry.fields()
    assert Entry.of(entry.fields()) == entry
    worn = entry._replace(condition="worn")
    assert Entry.of(worn.fields()) == worn


def test_one_turn_of_the_reactor_reads_the_weekdays_of_one_counter():
    """A hundred tasks would hold the reactor.

    The others wait, and use the rate meanwhile.
    """
    limits = [Limit(n, Counter(n), "h", 500.0) for n in ("print_time", "power_on")]
    plans = [Plan(limit.name, (limit,)) for limit in limits]
    book, now = Ledger(plans), [2e9]
    for day in range(28):
        book.advance({"print_time": 5.0, "power_on": 6.0, "time": 24.0})
        book.mark(now[0] - (27 - day) * 86400.0)
    book.settle_rates(28 * 24.0)
    made = Learning(book, lambda task, most: [], lambda: now[0])

    def forecast(task):
        return made.forecast(task, book.view(task, now[0]))

    assert forecast("print_time").first is not None
    assert forecast("power_on").first is None
    now[0] += 0.25
    assert forecast("power_on").first is not None
    assert forecast("print_time").first is not None
