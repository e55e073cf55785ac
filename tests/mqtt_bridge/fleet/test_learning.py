"""Items of a task with a learnt interval, and of a print that looks ahead."""

from __future__ import annotations

from mqtt_bridge import contract
from mqtt_bridge.contract import Ahead, Command, Habit, Job, Suggestion
from mqtt_bridge.fleet import decode, items
from mqtt_bridge.fleet.items import LEARNT
from tests.mqtt_bridge import messages as m

TEXT = "You do this at 240 h, not at 200 h. Set 240 h?"
LEARNT_STATE = m.state()._replace(
    due_from=1_000,
    due_to=2_000,
    habit=Habit("print_time", 3, 238.0, 240.0, 245.0, 0.2, agree=True),
    suggestion=Suggestion("print_time", 240.0, "h", "habit", TEXT),
)


def test_only_a_task_with_a_learnt_interval_has_its_items():
    plain, _ = m.values(m.state())
    learnt, _ = m.values(LEARNT_STATE)
    assert set(learnt) - set(plain) == {facet.field for facet in LEARNT}
    assert (learnt["suggestion"], learnt["usual"]) == (TEXT, 240.0)
    assert (learnt["due_from"], learnt["due_to"]) == (1_000, 2_000)
    assert {name: learnt[name] for name in plain} == plain


def test_a_task_that_learns_with_several_limits_keeps_their_numbers():
    limits = (m.limit(), m.limit("filament", "m", 100.0, 900.0))
    learnt, _ = m.values(LEARNT_STATE._replace(limits=limits))
    assert (learnt["filament.used"], learnt["usual"]) == (100.0, 240.0)


def test_setting_learn_follows_the_suggestion():
    made, shape = m.values(LEARNT_STATE)
    command = items.command(shape, tuple(made.values()), "learn", 1, "anna", "t1")
    assert command == Command("learn", "t1", "anna")


def test_the_fast_decoder_leaves_learnt_fields_to_the_contract():
    assert decode.state(LEARNT_STATE.encode(), "rods") is None
    assert decode.state(m.state().encode(), "rods") == m.state()
    assert contract.State.decode(LEARNT_STATE.encode()) == LEARNT_STATE


def test_a_printer_has_an_item_for_what_its_print_will_make_due():
    (facet,) = [each for each in items.PRINTER if each.field == "ahead"]
    state = items.PrinterState()
    assert facet.read(state) is None
    ahead = (Ahead("rails", "Rails", "print_time"), Ahead("belt", "Belt", "filament"))
    summary = contract.Summary(1, 1.0, 0, 0, None, None, None)
    assert facet.read(state._replace(summary=summary)) is None
    job = summary._replace(job=Job("part.gcode", ahead=ahead))
    assert facet.read(state._replace(summary=job)) == "Rails, Belt"
