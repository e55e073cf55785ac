"""What the documents promise about brokers and settings is true."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from klippy_extra.mqtt import discovery
from mqtt_bridge import settings
from mqtt_bridge.settings.checks import SECTIONS
from tests.fakes.clients import end
from tests.fakes.mosquitto import Mosquitto

pytestmark = pytest.mark.system

DOCS = Path(__file__).resolve().parents[2] / "docs"
BASE = "klipper_upkeep"


@pytest.fixture
def guarded(tmp_path):
    """A broker with the rights that the document gives."""
    text = (DOCS / "security.md").read_text()
    rights = re.search(r"```\n(# Every printer.*?)```", text, re.DOTALL)[1]
    acl = tmp_path / "acl"
    acl.write_text(rights)
    broker = Mosquitto(tmp_path, f"acl_file {acl}").start()
    broker.rights = rights
    yield broker
    broker.kill()


class User:
    def __init__(self, port, name):
        self.topics = []
        self.arrived = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(name)
        self._client.on_message = self._received
        self._port = port
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def __enter__(self):
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._client.subscribe([(f"{BASE}/#", 1), ("homeassistant/#", 1)])
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *error):
        self._client.disconnect()
        end(self._client)

    def _received(self, _client, _data, message):
        with self.arrived:
            self.topics.append(message.topic)
            self.arrived.notify()

    def say(self, topic):
        self._client.publish(topic, b"x", qos=1).wait_for_publish(10)

    def wait_for(self, topic):
        """Wait for *topic*. Everything that was sent earlier has arrived then."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: topic in self.topics, 10), self.topics
            return list(self.topics)


def test_a_printer_can_write_only_its_own_topics(guarded):
    port = guarded.port
    with User(port, "voron") as voron, User(port, "bridge") as bridge:
        voron.say(f"{BASE}/ender/tasks/rods")
        voron.say(f"{BASE}/ender/availability")
        voron.say(f"{BASE}/voron/tasks/rods/command")
        voron.say(f"{BASE}/voron/tasks/rods")
        voron.say(f"{BASE}/voron/availability")

        assert bridge.wait_for(f"{BASE}/voron/availability") == [
            f"{BASE}/voron/tasks/rods",
            f"{BASE}/voron/availability",
        ]


def test_a_printer_can_describe_only_itself_to_home_assistant(guarded):
    """Each line names the printer's uuid, since mosquitto has no pattern for it."""
    [rule] = re.findall(r"topic write (homeassistant/device/\S+)/#", guarded.rights)
    own, other = f"{rule}/printer/config", f"{rule[:-1]}0/printer/config"
    port = guarded.port
    with (
        User(port, "voron") as voron,
        User(port, "ender") as ender,
        User(port, "homeassistant") as home,
    ):
        ender.say(own)
        ender.say(other)
        ender.say(f"{BASE}/ender/availability")
        home.wait_for(f"{BASE}/ender/availability")
        voron.say(other)
        voron.say(own)

        topics = home.wait_for(own)
        assert [each for each in topics if each.startswith("homeassistant/")] == [own]
    uuid = re.search(r"klipper_upkeep_(\w+)", own)[1]
    assert own == discovery.topic(uuid, "printer")


def test_the_bridge_can_write_commands_and_no_topics_of_printers(guarded):
    port = guarded.port
    with User(port, "voron") as voron, User(port, "bridge") as bridge:
        bridge.say(f"{BASE}/voron/tasks/rods")
        bridge.say(f"{BASE}/voron/info")
        bridge.say(f"{BASE}/voron/tasks/rods/command")
        bridge.say(f"{BASE}/_bridge/mark")

        assert bridge.wait_for(f"{BASE}/_bridge/mark")
        assert voron.wait_for(f"{BASE}/voron/tasks/rods/command") == [
            f"{BASE}/voron/tasks/rods/command"
        ]


def test_the_settings_in_the_documents_can_be_loaded(tmp_path):
    text = (DOCS / "bridge.md").read_text()
    for number, example in enumerate(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)):
        file = tmp_path / f"{number}.toml"
        http = "\n[http]\nlisten = 8126\nurl = 'https://example.org'\n"
        file.write_text(example + (http if "buttons" in example else ""))
        settings.load(file, {})
    assert number > 0


def test_every_setting_is_in_the_document():
    text = "".join((DOCS / name).read_text() for name in ("bridge.md", "page.md"))
    for section, keys in SECTIONS.items():
        for key in keys:
            known = (
                f"{section}.{key}" in text or f"`{key}`" in text or f"{key} =" in text
            )
            assert known or key in ("username", "password"), f"{section}.{key}"
