"""A standby learns from the main bridge's own messages whether it works."""

from __future__ import annotations

import pytest

from mqtt_bridge.broker.presence import (
    ABSENT,
    ANNOUNCED,
    ANSWERED,
    EVERY,
    LEAVING,
    SERVING,
    SILENT,
    STARTING,
    Presence,
)
from mqtt_bridge.settings import MAIN, STANDBY, Settings, Store


@pytest.fixture
def main():
    return Presence("base/main", "base/standby")


@pytest.fixture
def standby():
    presence = Presence("base/standby", "base/main", SILENT)
    presence.connected(100.0)
    return presence


def test_a_main_bridge_and_its_standby_read_each_others_messages():
    main, standby = (
        Presence.of(Settings(store=Store(role=role, alias="halls")))
        for role in (MAIN, STANDBY)
    )
    assert (main.own, main.other) == (standby.other, standby.own)
    assert main.own == "klipper_upkeep/_bridge/part/upkeep-halls/main"


def test_a_bridge_without_a_standby_publishes_no_presence():
    assert Presence.of(Settings()) is None


def test_a_bridge_without_a_message_for_a_while_is_absent(standby):
    assert not standby.is_absent(100.0 + ABSENT - 0.1)
    assert standby.is_absent(100.0 + ABSENT)


@pytest.mark.parametrize("payload", [STARTING, SERVING])
def test_a_bridge_with_a_recent_message_is_not_absent(standby, payload):
    standby.hear(payload, 107.0)
    assert not standby.is_absent(107.0 + ABSENT - 0.1)
    assert standby.is_absent(107.0 + ABSENT)


def test_without_a_connection_no_bridge_is_absent(standby):
    """This cannot be known: perhaps only the main bridge has a connection."""
    standby.lost()
    assert not standby.is_absent(10_000.0)
    standby.connected(10_000.0)
    assert not standby.is_absent(10_000.0)


def test_only_a_bridge_that_serves_is_back(standby):
    standby.hear(STARTING, 101.0)
    assert not standby.other_serves(101.0)
    standby.hear(SERVING, 102.0)
    assert standby.other_serves(102.0)
    assert not standby.other_serves(102.0 + ABSENT)
    standby.hear(LEAVING, 103.0)
    assert not standby.other_serves(103.0)


def test_an_announced_bridge_serves_and_a_serving_bridge_may_be_unannounced(standby):
    standby.hear(SERVING, 101.0)
    assert not standby.other_is_announced(101.0)
    standby.hear(ANNOUNCED, 102.0)
    assert standby.other_serves(102.0)
    assert standby.other_is_announced(102.0)
    assert not standby.other_is_announced(102.0 + ABSENT)


def test_a_bridge_publishes_its_state_every_few_seconds(main):
    assert main.say(100.0) == STARTING
    assert main.say(100.0 + EVERY - 0.1) == b""
    assert main.say(100.0 + EVERY) == STARTING


def test_a_waiting_standby_publishes_nothing(standby):
    assert standby.say(100.0) == b""
    standby.hear(STARTING, 101.0)
    assert standby.say(101.0) == b""
    standby.become(SERVING)
    assert standby.say(101.0) == SERVING
    standby.become(SILENT)
    assert standby.say(110.0) == b""


def test_a_changed_state_is_published_at_once(main):
    main.say(100.0)
    main.become(SERVING)
    assert main.say(100.1) == SERVING


def test_a_bridge_that_starts_learns_soon_whether_another_one_serves(main):
    assert not main.knows(1000.0)
    main.say(1000.0)
    assert not main.knows(1000.0 + ANSWERED - 0.1)
    assert main.knows(1000.0 + ANSWERED)


def test_a_bridge_that_starts_gets_an_answer_at_once(standby):
    """So a main bridge that is back learns in time that its standby serves."""
    standby.become(SERVING)
    standby.say(100.0)
    standby.hear(STARTING, 100.5)
    assert standby.say(100.5) == SERVING


def test_two_bridges_that_start_do_not_answer_each_other_for_ever(main):
    main.say(100.0)
    main.hear(STARTING, 100.5)
    assert main.say(100.5) == b""
