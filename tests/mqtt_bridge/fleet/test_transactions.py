"""Commands that wait for their result. Each ends once, with its outcome."""

from __future__ import annotations

import pytest

from mqtt_bridge import contract
from mqtt_bridge.contract import Result
from mqtt_bridge.fleet import transactions
from mqtt_bridge.fleet.transactions import Transactions


@pytest.fixture
def waiting():
    made = Transactions()
    made.open("t", "voron", "rods", now=0.0)
    return made


def test_the_reply_waits_for_the_state_that_has_the_change(waiting):
    assert waiting.answered("voron", Result("t", "rods", seq=7), seq=6) == []
    assert waiting.seen([("voron", "rods", 6), ("ender", "rods", 9)]) == []

    [outcome] = waiting.seen([("voron", "rods", 8)])
    assert (outcome.transaction, outcome.error) == ("t", None)
    assert len(waiting) == 0


def test_a_state_that_came_before_the_result_counts(waiting):
    [outcome] = waiting.answered("voron", Result("t", "rods", seq=7), seq=7)
    assert outcome.error is None


def test_a_refusal_needs_no_state(waiting):
    refused = Result("t", "rods", code=contract.BAD_ARGUMENT, text="no such hour")
    [outcome] = waiting.answered("voron", refused, seq=-1)

    error = outcome.error
    assert isinstance(error, ValueError)
    assert str(error) == "no such hour"
    assert outcome.result is None


EXCEPTIONS = {
    contract.UNKNOWN_TASK: KeyError,
    contract.BAD_ARGUMENT: ValueError,
    contract.NOT_READY: RuntimeError,
    contract.INTERNAL: RuntimeError,
    contract.NO_ANSWER: TimeoutError,
}


@pytest.mark.parametrize("code", contract.CODES)
def test_every_code_has_its_exception(waiting, code):
    refused = Result("t", "rods", code=code, text="why")
    [outcome] = waiting.answered("voron", refused, seq=-1)
    assert type(outcome.error) is EXCEPTIONS[code]
    assert outcome.error.args == ("why",)


def test_the_result_of_another_printer_does_not_count(waiting):
    assert waiting.answered("ender", Result("t", "rods", seq=1), seq=1) == []
    assert len(waiting) == 1


def test_a_repeated_result_does_nothing(waiting):
    waiting.answered("voron", Result("t", "rods", seq=1), seq=1)

    assert waiting.answered("voron", Result("t", "rods", seq=1), seq=1) == []


def test_a_command_without_a_result_ends_with_a_timeout(waiting):
    waiting.open("later", "voron", "rods", now=1.0)
    assert waiting.expired(4.9) == []
    assert waiting.deadline == 5.0

    [(transaction, error, _)] = waiting.expired(5.0)
    assert transaction == "t"
    assert isinstance(error, TimeoutError)
    assert str(error) == "the printer did not answer within 5 s"
    assert waiting.deadline == 6.0


def test_when_a_printer_goes_offline_only_its_commands_end(waiting):
    waiting.open("other", "ender", "rods", now=0.0)

    [(transaction, error, _)] = waiting.gone("voron")
    assert transaction == "t"
    assert isinstance(error, TimeoutError)
    assert str(error) == "printer 'voron' went offline before it answered"
    assert len(waiting) == 1
    assert waiting.gone("voron") == []


def test_when_the_broker_is_lost_all_commands_end(waiting):
    waiting.open("other", "ender", "rods", now=0.0)

    outcomes = waiting.lost("the broker was lost")
    assert {outcome.transaction for outcome in outcomes} == {"t", "other"}
    assert all(isinstance(outcome.error, TimeoutError) for outcome in outcomes)
    assert {str(outcome.error) for outcome in outcomes} == {
        "the broker was lost before the printer answered"
    }
    assert len(waiting) == 0


def test_nothing_is_kept_of_a_transaction_that_has_ended():
    """It may end in any way, because printers and clients come and go for years."""
    made = Transactions()
    for number, client in enumerate(("a@x", "a@x", "b@x", "")):
        made.open(str(number), "voron", "rods", now=0.0, client=client)
        made.answered("voron", Result(str(number), "rods", seq=number), seq=-1)
    made.open("other", "ender", "belt", now=0.0)
    assert [each.transaction for each in made.seen([("voron", "rods", 1)])] == [
        "0",
        "1",
    ]
    made.gone("voron")
    made.expired(5.0)
    kept = [each for each in vars(made).values() if isinstance(each, dict)]
    assert kept
    assert not any(kept)


def test_the_end_of_a_command_makes_room_for_another(monkeypatch):
    """This is so for each of the limits."""
    for limit in ("MAX_FOR_PRINTER", "MAX_FOR_TASK", "MAX_OF_CLIENT"):
        monkeypatch.setattr(transactions, limit, 2)
        made = Transactions()
        for number in ("1", "2"):
            made.open(number, "voron", "rods", now=0.0, client="a@x")
        made.refused("1", "Not authorized")
        made.check("voron", "rods", "a@x")
        made.open("3", "voron", "rods", now=0.0, client="a@x")
        with pytest.raises(RuntimeError):
            made.check("voron", "rods", "a@x")
        monkeypatch.undo()


def test_an_unknown_error_code_is_an_error_too():
    error = transactions.error("on_fire", "")
    assert isinstance(error, RuntimeError)
    assert str(error) == "on_fire"


def test_the_number_of_waiting_commands_is_limited(monkeypatch):
    monkeypatch.setattr(transactions, "MAX_OPEN", 1)
    made = Transactions()
    made.open("t", "voron", "rods", now=0.0)

    with pytest.raises(RuntimeError, match="wait for an answer"):
        made.open("u", "voron", "rods", now=0.0)


def test_a_command_that_changes_nothing_waits_for_no_state():
    made = Transactions()
    made.open("t", "voron", "rods", now=0.0, changes=False)

    [outcome] = made.answered("voron", Result("t", "rods", seq=99), seq=1)
    assert outcome.result.seq == 99


def test_one_printer_or_one_client_cannot_take_all_places(monkeypatch):
    """A client that floods is refused, and the others are served."""
    monkeypatch.setattr(transactions, "MAX_FOR_PRINTER", 2)
    monkeypatch.setattr(transactions, "MAX_OF_CLIENT", 1)
    made = Transactions()
    made.open("1", "voron", "rods", now=0.0, client="a@x")
    with pytest.raises(RuntimeError, match="1 commands of a@x"):
        made.open("2", "ender", "rods", now=0.0, client="a@x")
    made.open("3", "voron", "rods", now=0.0, client="b@x")
    with pytest.raises(RuntimeError, match="2 commands wait for printer 'voron'"):
        made.open("4", "voron", "rods", now=0.0)
    made.open("5", "ender", "rods", now=0.0)

    made.answered("voron", Result("1", "rods", code=contract.INTERNAL), seq=0)
    made.open("6", "voron", "rods", now=0.0, client="a@x")


def test_commands_without_a_client_are_not_counted_as_one_clients(monkeypatch):
    """The bridge's page and its buttons send them without a name."""
    monkeypatch.setattr(transactions, "MAX_OF_CLIENT", 1)
    made = Transactions()
    for number in range(3):
        made.open(str(number), "voron", "rods", now=0.0)
        made.check("voron", "rods")


def test_one_task_cannot_take_all_places_of_its_printer(monkeypatch):
    monkeypatch.setattr(transactions, "MAX_FOR_TASK", 1)
    made = Transactions()
    made.open("1", "voron", "rods", now=0.0)
    with pytest.raises(RuntimeError, match=r"wait for task 'voron\.rods'"):
        made.open("2", "voron", "rods", now=0.0)
    made.open("3", "voron", "belt", now=0.0)

    made.answered("voron", Result("1", "rods", code=contract.INTERNAL), seq=0)
    made.open("4", "voron", "rods", now=0.0)


def test_a_command_that_the_broker_refuses_ends_at_once():
    made = Transactions()
    made.open("1", "voron", "rods", now=0.0)
    [outcome] = made.refused("1", "Not authorized")
    assert isinstance(outcome.error, RuntimeError)
    assert "Not authorized" in str(outcome.error)
    assert made.refused("1", "again") == []


def test_a_state_ends_every_command_whose_change_it_has():
    made = Transactions()
    for number in range(3):
        made.open(str(number), "voron", "rods", now=0.0)
        made.answered("voron", Result(str(number), "rods", seq=number), seq=-1)
    ended = made.seen([("voron", "rods", 1), ("voron", "rods", 1)])
    assert [each.transaction for each in ended] == ["0", "1"]
    assert len(made) == 1
    [last] = made.seen([("voron", "rods", 2)])
    assert last.transaction == "2"


def test_the_first_state_may_have_the_number_zero(waiting):
    [outcome] = waiting.answered("voron", Result("t", "rods", seq=0), seq=0)
    assert outcome.error is None
