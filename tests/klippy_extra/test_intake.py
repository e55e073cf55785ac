"""The intake checks messages in a thread of its own and passes on a few at a time."""

from __future__ import annotations

import json

import pytest

from klippy_extra.contract import BAD_ARGUMENT, NOT_READY, Info
from klippy_extra.mqtt.intake import (
    A_TURN,
    LARGEST_INFO,
    WAITING,
    Handlers,
    Intake,
    Topics,
)
from klippy_extra.mqtt.pace import A_SECOND, AT_ONCE, Pace

COMMAND = "upkeep/voron/tasks/rods/command"
INFO, AVAILABILITY = "upkeep/voron/info", "upkeep/voron/availability"
BIRTH = "homeassistant/status"


class IntakeWithReactor:
    """The intake with a reactor that is a list of calls. It keeps what is passed on."""

    def __init__(self):
        self.now = 0.0
        self.posted, self.later = [], []
        self.commands, self.answers, self.reports, self.seen = [], [], [], []
        self.available, self.births = [], 0
        self.may_work = True
        self.intake = Intake(
            Topics("upkeep", INFO, AVAILABILITY, BIRTH, frozenset()),
            Handlers(
                command=lambda task, command: self.commands.append(command),
                seen=self.seen.append,
                taken=lambda topic, info: None,
                availability=self.available.append,
                birth=self.born,
                may_work=lambda: self.may_work,
                say=self.reports.append,
            ),
            post=self.posted.append,
            later=lambda call, seconds: self.later.append(call),
            answer=self.answers.append,
            clock=lambda: self.now,
        )

    def born(self):
        self.births += 1

    def turn(self):
        """Let the reactor run one call."""
        queue = self.posted or self.later
        queue.pop(0)()

    def turns(self):
        while self.posted or self.later:
            self.turn()

    def command(self, number, word="enable"):
        payload = {"command": word, "transaction": f"t{number}"}
        self.intake.receive(COMMAND, json.dumps(payload).encode(), False)


@pytest.fixture
def intake_test():
    return IntakeWithReactor()


def test_one_turn_of_the_reactor_carries_out_only_a_few_commands(intake_test):
    for number in range(10):
        intake_test.command(number)
    # There is one callback for all commands, because the reactor copies its timers.
    assert len(intake_test.posted) == 1

    intake_test.turn()
    assert len(intake_test.commands) == A_TURN
    intake_test.turn()
    assert len(intake_test.commands) == 2 * A_TURN
    intake_test.turns()
    assert [each.transaction for each in intake_test.commands] == [
        f"t{number}" for number in range(10)
    ]


def test_commands_that_are_too_many_are_refused_with_a_result(intake_test):
    for number in range(20_000):
        intake_test.command(number)
    assert len(intake_test.answers) == 20_000 - WAITING
    assert {answer.code for answer in intake_test.answers} == {NOT_READY}
    assert "again in a moment" in intake_test.answers[0].text

    intake_test.turns()
    assert len(intake_test.commands) == WAITING


def test_the_console_shows_a_flood_of_commands_once(intake_test):
    for number in range(1000):
        intake_test.command(number)
    intake_test.turns()
    for number in range(1000, 2000):
        intake_test.command(number)
    intake_test.turns()

    assert len(intake_test.reports) == 1
    assert "faster than they can be carried out" in intake_test.reports[0]


def test_commands_wait_while_earlier_ones_are_being_saved(intake_test):
    """Each reply of the store also takes a turn of the reactor."""
    intake_test.may_work = False
    intake_test.command(1)
    intake_test.turn()
    intake_test.turn()
    assert intake_test.commands == []

    intake_test.may_work = True
    intake_test.turns()
    assert len(intake_test.commands) == 1


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff" * 100, b"[]", b'{"command":"explode"}', b"x" * (1 << 20)],
)
def test_invalid_messages_never_reach_the_reactor(intake_test, payload):
    for topic in (COMMAND, INFO, "upkeep/voron/tasks/RODS/command", "else"):
        intake_test.intake.receive(topic, payload, False)

    assert intake_test.posted == []


def test_a_refused_command_with_a_transaction_gets_a_result(intake_test):
    intake_test.command(1, word="explode")

    [answer] = intake_test.answers
    assert (answer.transaction, answer.code) == ("t1", BAD_ARGUMENT)
    assert intake_test.posted == []


def test_a_retained_command_is_not_carried_out(intake_test):
    intake_test.intake.receive(COMMAND, b"done", True)

    assert intake_test.posted == []


def test_an_info_message_that_is_too_large_is_not_read(intake_test):
    info = Info("1" * 32, "x" * LARGEST_INFO, (), {})
    intake_test.intake.receive(INFO, info.encode(), False)

    assert intake_test.posted == []


def test_only_the_newest_message_of_each_topic_waits(intake_test):
    for number in range(1000):
        info = Info("1" * 32, f"voron {number}", (), {})
        intake_test.intake.receive(INFO, info.encode(), False)
        intake_test.intake.receive(AVAILABILITY, b"offline", False)
        intake_test.intake.receive(BIRTH, b"online", False)
    intake_test.turns()

    assert [info.name for info in intake_test.seen] == ["voron 999"]
    assert intake_test.available == [b"offline"]
    assert intake_test.births == 1


def test_a_printer_that_does_not_own_the_name_answers_nobody(intake_test):
    intake_test.intake.silent = True
    intake_test.command(1)
    intake_test.command(2, word="explode")

    assert (intake_test.posted, intake_test.answers) == ([], [])


def test_the_messages_read_in_a_second_are_bounded_in_number_and_in_bytes():
    now = [0.0]
    pace = Pace(lambda: now[0])
    for _ in range(int(AT_ONCE)):
        assert pace.rest() == 0.0
        pace.spend(0)
    pace.spend(100)
    assert 0.0 < pace.rest() < 0.1
    now[0] = 1.0
    assert pace.rest() == 0.0

    pace.spend(4 << 20)
    assert pace.rest() > 1.0
    now[0] = 60.0
    pace.spend(0)
    assert pace.rest() == 0.0
    assert AT_ONCE / A_SECOND <= 1.0
