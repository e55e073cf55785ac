"""A standby takes over the part of a dead bridge, and gives it back."""

from __future__ import annotations

import signal

import pytest

from tests.fakes.mosquitto import free_port
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.waiting import until

KEY = "voron.rods.used"
pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def main_bridge(community, broker, name="main"):
    return community.bridge(broker.port, "store.role=main", name=name)


def standby_bridge(community, broker, *flags):
    """Start a standby with its own home folder, as on another machine."""
    return community.bridge(
        broker.port, "store.role=standby", *flags, name="standby", wait=False,
        MKTL_HOME=str(community.folder / "other"),
    )  # fmt: skip


def test_a_standby_takes_over_a_dead_bridges_part_and_gives_it_back(community, broker):
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


def test_the_part_is_served_all_the_time_while_it_is_given_back(community, broker):
    with ScriptedPrinter(broker.port):
        standby = standby_bridge(community, broker)
        standby.wait_for("on the air with 1 printers")
        client = community.start("client", ["tests.mqtt_bridge.reader", KEY])
        client.wait_for("37.5")
        first = client.log
        main = main_bridge(community, broker)
        standby.wait_for("this standby leaves")
        # One line is for the standby, the other for the main bridge before the standby
        # left.
        assert community.registry.log.count("remembered: upkeep.mqtt") == 2
        client.wait_for("37.5", len(client.log))
        standby.wait_for("standing by", standby.log.index("this standby leaves"))
        assert standby.stop() == 0
        client.wait_for("37.5", len(client.log))
        # The client reads all the time, and an error would be another line.
        lines = client.log.removeprefix(first).splitlines()
        odd = [each for each in lines if each != "37.5"]
        assert odd == []
        assert main.stop() == 0


def test_a_waiting_standby_is_connected_and_clients_do_not_find_it(community, broker):
    """So it serves at once when it is needed, however many printers there are."""
    with ScriptedPrinter(broker.port):
        standby = standby_bridge(community, broker)
        standby.wait_for("connected to")
        standby.wait_for("on the air")
        assert standby.log.index("standing by") < standby.log.index("is gone")
        again = standby.log[standby.log.index("is gone") :]
        assert "connected to" not in again


def test_a_standby_starts_a_registry_when_it_is_needed(community, broker):
    """The registry of the main bridge has gone with its machine."""
    community.registry.stop()
    with ScriptedPrinter(broker.port):
        standby = standby_bridge(community, broker, "store.registry=true")
        standby.wait_for("on the air with 1 printers")
        assert "none is started" not in standby.log
        # A client waits one second for the reply of a registry, and some machines take
        # longer.
        until(lambda: community.mk("get", f"upkeep.{KEY}").returncode == 0, "a value")
        assert community.get(KEY) == 37.5
        assert standby.stop() == 0


def test_a_standby_stops_while_it_waits_for_its_broker(community):
    standby = community.bridge(
        free_port(), "store.role=standby", name="standby", wait=False
    )
    standby.wait_for("no connection to")
    assert standby.stop() == 0


def test_a_standby_stops_while_it_waits(community, broker):
    standby = standby_bridge(community, broker)
    standby.wait_for("standing by")
    assert standby.stop() == 0
