"""What was counted before a store could be read is added to what it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.contract import Command
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan
from klippy_extra.upkeep.carry_out import CommandHandler

NOW = 1_795_219_200.0
HOT = Counter("print_time", "extruder>250")


def limit(name, counter, threshold=100.0):
    return Limit(name, counter, "h", threshold)


PLANS = [
    Plan("rods", (limit("print_time", Counter("print_time")),)),
    Plan("hot", (limit("print_time", HOT), limit("time", Counter("time")))),
    Plan("off", (limit("print_time", Counter("print_time")),), disabled=True),
]
ORDERS = {
    "done": Command("done"),
    "skip": Command("skip"),
    "snooze": Command("snooze", hours=5.0),
    "unsnooze": Command("unsnooze"),
    "enable": Command("enable"),
    "disable": Command("disable"),
    "set": Command("set", threshold={"print_time": 7.0}),
    "adjust": Command("adjust", used={"print_time": 3.0}),
}
step = st.one_of(
    st.tuples(st.just("count"), st.integers(1, 40).map(float)),
    st.tuples(
        st.sampled_from(sorted(ORDERS)), st.sampled_from([p.task for p in PLANS])
    ),
)
life = st.lists(step, max_size=12)


def live(book, steps):
    """Let time and meters pass in a ledger, and carry out commands."""
    handler = CommandHandler(book)
    for what, argument in steps:
        if what == "count":
            book.advance({"print_time": argument, "time": argument})
        else:
            change = handler.handle(argument, ORDERS[what], NOW, ready=True)
            book.records[argument] = change.record
        for task in book.plans:
            book.records[task], _ = book.examine(task, book.view(task, NOW), NOW)


def documents(book):
    records = {task: record.document() for task, record in book.records.items()}
    return book.document(), records


def only_what_lasts(steps):
    """Leave out the commands whose effect depends on what only the store knows."""
    return [each for each in steps if each[0] not in ("unsnooze", "enable", "disable")]


@given(life, life.map(only_what_lasts))
def test_joining_late_gives_the_same_as_reading_the_store_at_the_start(before, since):
    stored = Ledger(PLANS)
    live(stored, before)
    late = Ledger(PLANS)
    live(late, since)
    late.join(Ledger(PLANS, *documents(stored)))

    in_time = Ledger(PLANS, *documents(stored))
    live(in_time, since)
    for book in (late, in_time):
        live(book, [("count", 0.0)])  # A snooze whose time has passed has ended.
    assert late.readings == pytest.approx(in_time.readings)
    for task in late.plans:
        mine, expected = late.records[task], in_time.records[task]
        restarted = {(word, task) for word in ("done", "skip", "adjust")} & set(since)
        if restarted and stored.records[task].enabled == late.plans[task].disabled:
            # At the time of the completion nobody knew whether the task was enabled.
            continue
        assert late.used(task) == pytest.approx(in_time.used(task)), task
        same = ["enabled", "thresholds", "done_count", "last_done"]
        if ("adjust", task) not in since:
            same.append("snoozed_to")
        for name in same:
            assert getattr(mine, name) == getattr(expected, name), (task, name)


def test_a_task_that_is_disabled_before_the_join_keeps_all_that_it_has_used():
    stored = Ledger(PLANS)
    stored.advance({"print_time": 10.0})
    late = Ledger(PLANS)
    live(late, [("count", 5.0), ("disable", "rods"), ("count", 1.0)])
    late.join(Ledger(PLANS, *documents(stored)))

    assert late.used("rods") == {"print_time": 15.0}
    assert not late.records["rods"].enabled


def test_a_task_that_was_disabled_in_the_store_counts_nothing_until_the_join():
    stored = Ledger(PLANS)
    live(stored, [("count", 10.0), ("disable", "rods")])
    late = Ledger(PLANS)
    live(late, [("count", 5.0)])
    late.join(Ledger(PLANS, *documents(stored)))

    assert late.used("rods") == {"print_time": 10.0}


def test_a_task_that_is_enabled_before_the_join_goes_on_from_the_stored_use():
    stored = Ledger(PLANS)
    live(stored, [("adjust", "off"), ("count", 10.0)])
    late = Ledger(PLANS)
    live(late, [("count", 5.0), ("enable", "off"), ("count", 1.0)])
    late.join(Ledger(PLANS, *documents(stored)))

    assert late.used("off") == {"print_time": 4.0}


def test_stored_marks_rates_and_results_are_joined():
    stored = Ledger(PLANS)
    stored.advance({"print_time": 10.0})
    stored.settle_rates(20.0)
    stored.mark(NOW)
    late = Ledger(PLANS)
    late.advance({"print_time": 2.0})
    late.settle_rates(4.0)
    late.mark(NOW + 90_000)
    records = {task: r.document() for task, r in stored.records.items()}
    late.join(Ledger(PLANS, stored.document(), records, stored.marks))

    assert [readings["print_time"] for _, readings in late.marks] == [10.0, 12.0]
    assert late.rate(Counter("print_time")) == pytest.approx(12.0 / 24.0)

    handler, earlier = (
        CommandHandler(late, [["b", "rods", 2, None, ""]]),
        CommandHandler(late, []),
    )
    earlier = CommandHandler(late, [["a", "rods", 1, None, ""]])
    handler.join(earlier)
    assert [row[0] for row in handler.answers()] == ["a", "b"]


def snoozed(hours, calendar=0.0):
    """Return a ledger whose task was snoozed when the calendar read *calendar*."""
    book = Ledger(PLANS)
    live(book, [("count", calendar)] if calendar else [])
    change = CommandHandler(book).handle(
        "rods", Command("snooze", hours=hours), NOW, ready=True
    )
    book.records["rods"] = change.record
    return book


def test_a_snooze_from_before_the_join_ends_after_its_hours():
    stored = Ledger(PLANS)
    stored.advance({"time": 1000.0})
    late = snoozed(5.0, calendar=2.0)
    late.join(Ledger(PLANS, *documents(stored)))

    assert late.records["rods"].snoozed_to == 1000.0 + 2.0 + 5.0
    assert late.records["rods"].snoozed_until == NOW + 5 * 3600


def test_a_completion_before_the_join_ends_the_stored_snooze():
    stored = snoozed(50.0)
    late = Ledger(PLANS)
    live(late, [("done", "rods")])
    late.join(Ledger(PLANS, *documents(stored)))

    record = late.records["rods"]
    assert (record.snoozed_to, record.snoozed_until) == (None, None)


def test_a_completion_and_a_snooze_before_the_join_keep_the_new_snooze():
    stored = snoozed(50.0)
    stored.advance({"time": 100.0})
    late = Ledger(PLANS)
    live(late, [("count", 2.0), ("done", "rods"), ("snooze", "rods")])
    late.join(Ledger(PLANS, *documents(stored)))

    record = late.records["rods"]
    assert (record.snoozed_to, record.snoozed_until) == (107.0, NOW + 5 * 3600)
    assert record.done_count == 1


def test_a_task_that_is_disabled_in_both_keeps_the_stored_use():
    stored = Ledger(PLANS)
    live(stored, [("count", 10.0), ("disable", "rods")])
    late = Ledger(PLANS)
    live(late, [("count", 5.0), ("disable", "rods")])
    late.join(Ledger(PLANS, *documents(stored)))

    assert late.used("rods") == {"print_time": 10.0}
