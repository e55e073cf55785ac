"""The intake: what the network sends is checked in a thread, and comes in portions."""

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


class House:
    """The reactor as a list of calls, and what reached it."""

    def __init__(self):
        self.now = 0.0
        self.posted, self.later = [], []
        self.commands, self.answers, self.said, self.seen = [], [], [], []
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
                say=self.said.append,
            ),
            post=self.posted.append,
            later=lambda call, seconds: self.later.append(call),
            answer=self.answers.append,
            clock=lambda: self.now,
        )

    def born(self):
        self.births += 1

    def turn(self):
        """Let one call run on the reactor, as a turn of it."""
        queue = self.posted or self.later
        queue.pop(0)()

    def turns(self):
        while self.posted or self.later:
            self.turn()

    def command(self, number, word="enable"):
        payload = {"command": word, "transaction": f"t{number}"}
        self.intake.receive(COMMAND, json.dumps(payload).encode(), False)


@pytest.fixture
def house():
    return House()


def test_a_turn_of_the_reactor_carries_out_a_few_commands(house):
    for number in range(10):
        house.command(number)
    assert len(house.posted) == 1  # not one for each: the reactor copies its timers

    house.turn()
    assert len(house.commands) == A_TURN
    house.turn()
    assert len(house.commands) == 2 * A_TURN
    house.turns()
    assert [each.transaction for each in house.commands] == [
        f"t{number}" for number in range(10)
    ]


def test_of_a_flood_what_is_too_much_is_refused_with_a_result(house):
    for number in range(20_000):
        house.command(number)
    assert len(house.answers) == 20_000 - WAITING
    assert {answer.code for answer in house.answers} == {NOT_READY}
    assert "again in a moment" in house.answers[0].text

    house.turns()
    assert len(house.commands) == WAITING


def test_the_console_hears_of_a_flood_once(house):
    for number in range(1000):
        house.command(number)
    house.turns()
    for number in range(1000, 2000):
        house.command(number)
    house.turns()

    assert len(house.said) == 1
    assert "faster than they can be carried out" in house.said[0]


def test_commands_wait_while_others_are_on_their_way_to_disk(house):
    """Each answer comes from the store's thread and takes a turn as well."""
    house.may_work = False
    house.command(1)
    house.turn()
    house.turn()
    assert house.commands == []

    house.may_work = True
    house.turns()
    assert len(house.commands) == 1


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff" * 100, b"[]", b'{"command":"explode"}', b"x" * (1 << 20)],
)
def test_garbage_never_reaches_the_reactor(house, payload):
    for topic in (COMMAND, INFO, "upkeep/voron/tasks/RODS/command", "else"):
        house.intake.receive(topic, payload, False)

    assert house.posted == []


def test_a_refused_command_with_a_transaction_is_answered(house):
    house.command(1, word="explode")

    [answer] = house.answers
    assert (answer.transaction, answer.code) == ("t1", BAD_ARGUMENT)
    assert house.posted == []


def test_a_retained_command_is_not_carried_out(house):
    house.intake.receive(COMMAND, b"done", True)

    assert house.posted == []


def test_an_info_that_is_too_large_is_not_even_read(house):
    info = Info("1" * 32, "x" * LARGEST_INFO, (), {})
    house.intake.receive(INFO, info.encode(), False)

    assert house.posted == []


def test_of_each_topic_the_newest_message_alone_waits(house):
    for number in range(1000):
        info = Info("1" * 32, f"voron {number}", (), {})
        house.intake.receive(INFO, info.encode(), False)
        house.intake.receive(AVAILABILITY, b"offline", False)
        house.intake.receive(BIRTH, b"online", False)
    house.turns()

    assert [info.name for info in house.seen] == ["voron 999"]
    assert house.available == [b"offline"]
    assert house.births == 1


def test_who_has_lost_the_name_answers_nobody(house):
    house.intake.silent = True
    house.command(1)
    house.command(2, word="explode")

    assert (house.posted, house.answers) == ([], [])


def test_what_is_read_in_a_second_is_bounded_in_number_and_in_bytes():
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
