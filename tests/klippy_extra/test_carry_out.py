"""Commands are carried out once, always answered, and refused with a reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from klippy_extra.contract import (
    BAD_ARGUMENT,
    NOT_READY,
    UNKNOWN_TASK,
    Command,
    Result,
)
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan
from klippy_extra.upkeep.carry_out import (
    LONGEST_SNOOZE,
    MOST,
    REMEMBERED,
    CommandHandler,
    RefusedError,
)

NOW = 1_795_219_200.0
HOUR = 3600
LIMITS = (
    Limit("print_time", Counter("print_time"), "h", 100.0),
    Limit("time", Counter("time"), "h", 720.0),
)


@pytest.fixture
def book():
    made = Ledger([Plan("rods", LIMITS[:1]), Plan("belts", LIMITS)])
    made.advance({"print_time": 40.0, "time": 90.0})
    return made


@pytest.fixture
def handler(book):
    return CommandHandler(book)


def carry_out(handler, book, task="rods", now=NOW, **command):
    change = handler.handle(task, Command(**command), now, ready=True)
    book.records[task] = change.record
    return change


def refusal(handler, task="rods", ready=True, **command):
    with pytest.raises(RefusedError) as refused:
        handler.handle(task, Command(**command), NOW, ready)
    return refused.value.code


def test_done_starts_the_count_again_and_is_one_line_in_the_log(handler, book):
    change = carry_out(handler, book, command="done", by="anna", note="one drop")

    assert book.used("rods") == {"print_time": 0.0}
    assert (change.record.done_count, change.record.last_by) == (1, "anna")
    assert change.entry == (
        int(NOW),
        "rods",
        "done",
        "anna",
        "one drop",
        {"print_time": 40.0},
        "",
    )


def test_skip_starts_the_count_again_and_is_not_a_completion(handler, book):
    change = carry_out(handler, book, command="skip")

    assert book.used("rods") == {"print_time": 0.0}
    assert (change.event, change.record.done_count) == ("skipped", 0)


def test_done_ends_a_snooze(handler, book):
    carry_out(handler, book, command="snooze", hours=5.0)
    assert carry_out(handler, book, command="done").record.snoozed_to is None


def test_a_snooze_counts_on_the_calendar_and_ends_at_a_time_of_the_clock(handler, book):
    record = carry_out(handler, book, command="snooze", hours=5.0).record

    assert record.snoozed_to == 95.0
    assert record.snoozed_until == int(NOW) + 5 * HOUR


def test_done_with_a_past_time_keeps_what_was_used_since(handler, book):
    book.mark(NOW - 86400)
    book.advance({"print_time": 6.0, "time": 24.0})
    at = int(NOW) - 12 * HOUR

    change = carry_out(handler, book, command="done", at=at)

    assert book.used("rods")["print_time"] == pytest.approx(3.0)
    assert change.record.last_done == change.entry.time == at


def test_done_with_a_time_before_the_last_completion_is_refused(handler, book):
    carry_out(handler, book, command="done", at=int(NOW) - HOUR)

    assert refusal(handler, command="done", at=int(NOW) - 2 * HOUR) == BAD_ARGUMENT
    assert refusal(handler, command="done", at=int(NOW) + 2 * HOUR) == BAD_ARGUMENT


def test_done_can_start_with_a_given_use(handler, book):
    carry_out(handler, book, command="done", used=12.5)
    assert book.used("rods") == {"print_time": 12.5}


def test_a_given_use_over_the_threshold_is_kept(handler, book):
    """The task is due then.

    KlipperMaintenance began again from zero without a message.
    """
    carry_out(handler, book, command="done", used=300.0)
    assert book.view("rods", NOW).status == "due"


def test_several_limits_are_addressed_by_their_meters(handler, book):
    carry_out(handler, book, "belts", command="set", threshold={"time": 500.0})
    carry_out(handler, book, "belts", command="adjust", used={"print_time": 7.0})
    view = book.view("belts", NOW)

    assert [limit.threshold for limit in view.limits] == [100.0, 500.0]
    assert [limit.used for limit in view.limits] == [7.0, 90.0]
    assert refusal(handler, "belts", command="set", threshold=5.0) == BAD_ARGUMENT
    assert (
        refusal(handler, "belts", command="adjust", used={"filament": 5.0})
        == BAD_ARGUMENT
    )
    assert refusal(handler, "belts", command="adjust", used={}) == BAD_ARGUMENT


def test_a_disabled_task_keeps_its_use_and_goes_on_from_it_when_enabled(handler, book):
    """KlipperMaintenance lost its baseline."""
    carry_out(handler, book, command="disable")
    book.advance({"print_time": 1000.0})
    carry_out(handler, book, command="enable")
    book.advance({"print_time": 1.0})

    assert book.used("rods")["print_time"] == pytest.approx(41.0)


@pytest.mark.parametrize("command", ["enable", "unsnooze", "log"])
def test_a_command_that_changes_nothing_makes_no_event(handler, book, command):
    change = carry_out(handler, book, command=command)
    assert (change.event, change.entry) == ("", None)


def test_refusals_have_the_contracts_codes(handler):
    assert refusal(handler, "nobody", command="done") == UNKNOWN_TASK
    assert refusal(handler, command="done", ready=False) == NOT_READY
    assert refusal(handler, command="set", threshold=1e-9) == BAD_ARGUMENT
    assert refusal(handler, command="set", threshold=2 * MOST) == BAD_ARGUMENT
    assert refusal(handler, command="snooze", hours=2 * LONGEST_SNOOZE) == BAD_ARGUMENT


@given(
    st.sampled_from(["done", "skip", "snooze", "set", "adjust", "enable", "disable"]),
    st.floats(0.0, 1e300),
    st.integers(0, 2**37),
)
def test_no_number_in_a_command_makes_a_count_infinite_or_negative(word, number, at):
    book = Ledger([Plan("rods", LIMITS[:1])])
    book.advance({"print_time": 40.0, "time": 90.0})
    wanted = {
        "done": {"used": number, "at": at},
        "snooze": {"hours": number},
        "set": {"threshold": number},
        "adjust": {"used": number},
    }
    command = Command(word, **wanted.get(word, {}))
    try:
        change = CommandHandler(book).handle("rods", command, NOW, ready=True)
    except RefusedError:
        return
    book.records["rods"] = change.record
    deciding = book.view("rods", NOW).deciding
    assert all(math.isfinite(each) for each in deciding[2:])
    assert deciding.used >= 0.0


def test_results_survive_a_restart(book, handler):
    handler.answered(Result("t1", "rods", seq=7))

    later = CommandHandler(book, handler.answers())

    assert later.known("t1")
    assert later.answer("t1") == Result("t1", "rods", seq=7)


class Transactions(RuleBasedStateMachine):
    """Commands arrive in any order and again, while earlier ones are being saved."""

    def __init__(self):
        super().__init__()
        self.handler = CommandHandler(Ledger([Plan("rods", LIMITS[:1])]))
        self.under_way = []
        self.answered = {}
        self.carried_out = []
        self.seq = 0

    transactions = st.integers(0, 5).map("t{}".format)

    @rule(transaction=transactions)
    def arrives(self, transaction):
        if self.handler.known(transaction):
            answer = self.handler.answer(transaction)
            assert answer == self.answered.get(transaction)
            return
        self.seq += 1
        result = Result(transaction, "rods", seq=self.seq)
        self.carried_out.append(transaction)
        self.handler.opened(result)
        self.under_way.append(result)

    @rule()
    def is_on_disk(self):
        if self.under_way:
            result = self.under_way.pop(0)
            self.handler.answered(result)
            self.answered[result.transaction] = result

    @rule(transaction=transactions)
    def is_refused(self, transaction):
        if not self.handler.known(transaction):
            result = Result(transaction, "rods", code=BAD_ARGUMENT, text="no")
            self.handler.answered(result)
            self.answered[transaction] = result

    @rule()
    def restarts(self):
        while self.under_way:
            self.is_on_disk()
        self.handler = CommandHandler(
            Ledger([Plan("rods", LIMITS[:1])]), self.handler.answers()
        )

    @invariant()
    def each_was_carried_out_once_at_most(self):
        assert len(set(self.carried_out)) == len(self.carried_out)

    @invariant()
    def each_answer_stays_the_first(self):
        for transaction, result in self.answered.items():
            assert self.handler.answer(transaction) == result


TestTransactions = Transactions.TestCase


def test_the_handler_forgets_the_oldest_results(handler):
    for number in range(REMEMBERED + 1):
        handler.answered(Result(f"t{number}", "rods", seq=number))

    assert not handler.known("t0")
    assert len(handler.answers()) == REMEMBERED
