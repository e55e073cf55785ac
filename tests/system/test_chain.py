"""From a printed file to an mKTL client and back, with real programs only."""

from __future__ import annotations

import json
import re
import sys

import pytest

from mqtt_bridge import contract
from tests.fakes.mosquitto import Mosquitto
from tests.system import parts
from tests.system.klippy import Printer, Virtual
from tests.system.sections import BASE, MAINTAIN, RODS
from tests.waiting import PATIENCE, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

NOZZLE = """
[maintain nozzle]
label: Change the nozzle
trigger: filament
threshold: {threshold}
"""
THRESHOLD = 0.5  # m


def a_print(corners):
    """Return a file, and its filament in metres. It prints some minutes."""
    rings = parts.rings(layers=100, corners=corners)
    return parts.HEAT + rings, parts.path(rings).filament / 1000


FINE, FINE_LENGTH = a_print(corners=72)
# It lasts as long with fewer moves: until a killed program is back.
COARSE, COARSE_LENGTH = a_print(corners=24)


@pytest.fixture
def printer(broker):
    """A virtual printer. It prints a whole file much faster than a real Klippy can."""
    nozzle = NOZZLE.format(threshold=THRESHOLD)
    sections = MAINTAIN.format(port=broker.port) + RODS + nozzle
    printer = Printer(Virtual(speed=75), sections)
    try:
        assert printer.start() == ("ready", "Printer is ready")
        yield printer
        sys.stdout.write(printer.log()[-6000:])
    finally:
        printer.close()


class Witness:
    """Reads one task over mKTL, over MQTT and from the console."""

    def __init__(self, community, broker, listen, printer):
        self._community = community
        self._broker = broker
        self._listen = listen
        self._printer = printer

    def mktl(self, task):
        status, used, remaining = self._community.get(
            f"voron.{task}.status", f"voron.{task}.used", f"voron.{task}.remaining"
        )
        return contract.STATUSES[status], used, remaining

    def mqtt(self, task):
        state = json.loads(self.retained(f"{BASE}/tasks/{task}"))
        return state["status"], state["used"], state["remaining"]

    def retained(self, topic):
        listener = self._listen(self._broker)
        return listener.wait(lambda message: message.topic == topic).payload

    def console(self, task, threshold):
        text = self._printer.console(f"CHECK_MAINTENANCE NAME={task}")
        due = re.search(
            r"is due: ([\d.]+) \w+ used of [\d.]+ \w+, ([\d.]+) \w+ over", text
        )
        if due is not None:
            return "due", float(due[1]), -float(due[2])
        left = float(re.search(r": (-?[\d.]+) \w+ remaining", text)[1])
        status = "soon" if "due soon" in text else "ok"
        return status, round(threshold - left, 2), left


@pytest.fixture
def witness(community, broker, listen, printer):
    return Witness(community, broker, listen, printer)


def is_online(message):
    return message.topic.endswith("/availability") and message.payload == b"online"


def all_agree(witness, task, threshold, used=None):
    """Wait until the three readings are the same, and return them.

    With *used*, wait for this reading: the same one may still be that of a moment ago.
    """

    def reading():
        mktl, mqtt = witness.mktl(task), witness.mqtt(task)
        console = witness.console(task, threshold)
        same = mktl == mqtt and console[0] == mqtt[0]
        near = all(
            abs(a - b) < 0.011 for a, b in zip(console[1:], mqtt[1:], strict=True)
        )
        last = used is None or mqtt[1] == pytest.approx(used, abs=0.006)
        seen.append((mktl, mqtt, console))
        return mqtt if same and near and last else None

    seen = []
    try:
        return until(reading, "the same over mKTL, MQTT and from the console")
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen[-1]}, used {used}") from None


def test_a_print_and_a_completion_are_the_same_on_all_ways(
    community, broker, printer, witness, listen
):
    community.bridge(broker.port)
    listener = listen(broker)
    printer.print_file(FINE)
    printer.finish_printing()

    status, _, remaining = all_agree(witness, "nozzle", THRESHOLD, used=FINE_LENGTH)
    assert status == "due"
    assert remaining == pytest.approx(THRESHOLD - FINE_LENGTH, abs=0.006)
    assert all_agree(witness, "rods", 150.0)[0] == "ok"

    assert community.set("voron.nozzle.done=1") == ""
    # The value is read directly after the reply, and only once.
    assert witness.mktl("nozzle") == ("ok", 0.0, THRESHOLD)
    assert all_agree(witness, "nozzle", THRESHOLD) == ("ok", 0.0, THRESHOLD)
    assert community.get("voron.nozzle.done_count") == 1
    done = listener.wait_for("/events", since=0)
    while done.json["event"] != "done":
        done = listener.wait_for("/events", since=listener.messages.index(done) + 1)
    assert done.json["task"] == "nozzle"


def test_a_broker_killed_during_a_print_loses_no_count(
    community, broker, printer, witness, tmp_path, listen
):
    """After its start it has no messages, like mosquitto without persistence."""
    bridge = community.bridge(broker.port)
    printer.print_file(COARSE)
    until(lambda: community.get("voron.nozzle.used") > 0.1, "a tenth of a metre")
    broker.kill()
    bridge.wait_for("no connection")
    until(
        lambda: community.get("voron.online") == 0, "without a broker nobody is online"
    )
    assert community.get("voron.nozzle.used") > 0.1, "the last value stays readable"
    again = Mosquitto(tmp_path, port=broker.port).start()
    try:
        bridge.wait_for("again")
        listen(again).wait(is_online, timeout=PATIENCE)
        until(lambda: community.get("voron.online") == 1, "the printer is back")
        printer.finish_printing()
        all_agree(witness, "nozzle", THRESHOLD, used=COARSE_LENGTH)
        assert bridge.log.count("WARNING no connection to") == 1
    finally:
        again.kill()


def test_a_bridge_killed_during_a_print_loses_no_count(
    community, broker, printer, witness
):
    bridge = community.bridge(broker.port)
    printer.print_file(COARSE)
    until(lambda: community.get("voron.nozzle.used") > 0.1, "a tenth of a metre")
    bridge.kill()
    community.bridge(broker.port, name="bridge-again")
    assert community.get("voron.nozzle.used") > 0.1
    printer.finish_printing()

    all_agree(witness, "nozzle", THRESHOLD, used=COARSE_LENGTH)


def test_a_removed_task_vanishes_everywhere(community, broker, printer, listen):
    community.bridge(broker.port)
    assert "voron.nozzle.used" in community.listed()
    listener = listen(broker)
    listener.wait_for("/task-nozzle/config")
    since = len(listener.messages)

    printer.configure(MAINTAIN.format(port=broker.port) + RODS)
    printer.restart()

    listener.wait_for("/tasks/nozzle", b"", since)
    listener.wait_for("/task-nozzle/config", b"", since)
    until(
        lambda: not any(".nozzle." in key for key in community.listed()),
        "no items of it over mKTL",
    )
    assert "voron.nozzle.used" in community.mk("get", "upkeep.voron.nozzle.used").stderr
    newcomer = listen(broker)
    newcomer.wait_for("/availability", b"online")
    assert f"{BASE}/tasks/nozzle" not in newcomer.topics()
    assert f"{BASE}/tasks/rods" in newcomer.topics()


def test_mkd_starts_the_same_daemon(community, broker, printer, tmp_path):
    settings = tmp_path / "bridge.toml"
    settings.write_text(f"[broker]\nhost = '127.0.0.1'\nport = {broker.port}\n")
    daemon = community.start(
        "mkd",
        ["mktl_daemon.cli.mkd", "-m", "mqtt_bridge", "-s", "BridgeDaemon",
         "upkeep", "mqtt", "-a", str(settings)],
    )  # fmt: skip
    daemon.wait_for("requests at")

    assert community.get("voron.rods.threshold") == 150.0
    assert community.set("voron.rods.threshold=200") == ""
    assert community.get("voron.rods.threshold") == 200.0
    assert daemon.stop() == 0


def test_a_set_for_an_offline_printer_is_refused_at_once(community, broker, printer):
    community.bridge(broker.port)
    printer.terminate()
    until(lambda: community.get("voron.online") == 0, "its last will")

    assert "offline" in community.set("voron.rods.done=1")
    assert community.get("voron.rods.threshold") == 150.0
