"""A standby takes a dead bridge's part over, and gives it back."""

from __future__ import annotations

import signal

import pytest

from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.processes import Community, until
from tests.mqtt_bridge.scripted import ScriptedPrinter

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def community(tmp_path):
    with Community(tmp_path) as made:
        yield made


def main_bridge(community, broker, name="main"):
    return community.bridge(broker.port, "store.role=main", name=name)


def standby_bridge(community, broker, *flags):
    """It has a home of its own, as on another machine."""
    return community.bridge(
        broker.port, "store.role=standby", *flags, name="standby", wait=False,
        MKTL_HOME=str(community.folder / "other"),
    )  # fmt: skip


def test_a_standby_takes_a_dead_bridges_part_over_and_gives_it_back(community, broker):
    with ScriptedPrinter(broker.port) as printer:
        main = main_bridge(community, broker)
        standby = standby_bridge(community, broker)
        standby.wait_for("standing by")
        assert community.get("voron.rods.used") == 37.5

        main.stop(signal.SIGKILL)
        standby.wait_for("on the air with 1 printers")
        printer.change(limits=(m.limit(used=40.0),))
        until(lambda: community.get("voron.rods.used") == 40.0, "the standby's value")
        assert community.set("voron.rods.threshold=120") == ""

        since = len(standby.log)
        main = main_bridge(community, broker, "again")
        standby.wait_for("this standby leaves", since)
        standby.wait_for("standing by", since)
        printer.change(limits=(m.limit(used=41.0),))
        until(lambda: community.get("voron.rods.used") == 41.0, "the main one's value")
        assert community.set("voron.rods.threshold=130") == ""
        assert standby.stop() == 0
        assert main.stop() == 0


def test_a_standby_that_waits_costs_the_broker_one_subscription(community, broker):
    with ScriptedPrinter(broker.port):
        main_bridge(community, broker)
        standby = standby_bridge(community, broker, "broker.client_id=hall")
        standby.wait_for("standing by")
        topic = "klipper_upkeep/_bridge/part/upkeep-mqtt/main"
        until(lambda: f"hall-standby-watch 1 {topic}" in broker.log, "its subscription")
    assert broker.log.count("hall-standby-watch 1 ") == 1


def test_a_standby_stops_while_it_waits(community, broker):
    standby = standby_bridge(community, broker)
    standby.wait_for("standing by")
    assert standby.stop() == 0
