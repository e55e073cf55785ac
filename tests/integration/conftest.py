"""Home Assistant's test harness, with a printer that answers on its MQTT mock."""

from __future__ import annotations

import json

import pytest
from homeassistant.helpers.service_info.mqtt import MqttServiceInfo
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_mqtt_message,
)

# This is imported first, so that "custom_components" is ours.
from custom_components.klipper_upkeep.children import possible
from custom_components.klipper_upkeep.const import DOMAIN
from custom_components.klipper_upkeep.contract import (
    Command,
    Entry,
    Event,
    Info,
    Limit,
    Result,
    State,
    Topic,
)

collect_ignore = [] if possible() else ["test_children.py"]


def pytest_report_header():
    return f"Child devices: {'yes' if possible() else 'this version has none'}"


@pytest.fixture(autouse=True)
def _custom(enable_custom_integrations):
    """Let Home Assistant load custom_components/."""


if not possible():

    @pytest.fixture
    def enable_event_loop_debug():
        """Leave asyncio's debug mode to the runs with the newest Home Assistant.

        The tests take almost three times as long in it.
        """


@pytest.fixture
def expected_lingering_timers():
    """Home Assistant's own MQTT client leaves its periodic timer."""
    return True


BASE = "klipper_upkeep"
INFO = Info(
    uuid="0f1e2d3c",
    name="Voron",
    tasks=("belts", "rods"),
    meters={},
    model="Voron 2.4",
    version="0.1.0",
    host="voron.local",
    url="http://voron.local",
)
RODS = State(
    seq=7,
    time=1795219200.0,
    task="rods",
    label="Oil the rods",
    message="One drop on each.",
    guide="https://example.org/rods",
    parts="PTFE oil",
    limits=(Limit("print_time", "h", 150.0, 153.0, -3.0, 102.0, 15.0),),
    trigger="print_time",
    status="due",
    last_by="anna",
)
BELTS = RODS._replace(
    task="belts",
    label="Check the belts",
    guide="",
    parts="",
    limits=(Limit("print_time", "h", 200.0, 50.0, 150.0, 25.0, 20.0),),
    status="ok",
    due_at=1796803200,
)
LOG = (
    Entry(1795219100, "belts", "done", "anna", "tight", {"print_time": 199.0}),
    Entry(1795132700, "belts", "snoozed", "", "", {}),
    Entry(1795046300, "rods", "done", "berta", "", {"print_time": 151.0}),
)


class Printer:
    """A printer on the other side of the broker, as the contract describes it."""

    def __init__(self, hass, mqtt_mock, slug="voron", base=BASE):
        self.hass = hass
        self.slug = slug
        self.base = base
        self.commands = []
        self.qualities = []  # the options of each publication
        self.refuse = None  # (code, text): the results of the next commands
        self.mute = False
        self.tasks = {"rods": RODS, "belts": BELTS}
        self.seq = 100
        self.done = RODS.done_count
        mqtt_mock.async_publish.side_effect = self.published

    def topic(self, kind, task=None):
        return Topic(self.slug, kind, task).format(self.base)

    def send(self, topic, payload):
        if isinstance(payload, bytes):
            payload = payload.decode()
        async_fire_mqtt_message(self.hass, topic, payload)

    def introduce(self, info=INFO):
        self.send(self.topic("info"), info.encode())
        for task in info.tasks:
            self.tell(self.tasks[task])
        self.send(self.topic("availability"), "online")

    def tell(self, state):
        self.tasks[state.task] = state
        self.send(self.topic("task", state.task), state.encode())

    def happen(self, event, task="rods", **more):
        self.seq += 1
        happening = Event(self.seq, 1795219300.0, task, event, "Oil the rods", **more)
        self.send(self.topic("events"), happening.encode())

    async def published(self, topic, payload, *rest, **more):
        task = topic.split("/")[-2]
        if topic != self.topic("command", task):
            return
        command = Command.decode(
            payload if isinstance(payload, bytes) else payload.encode()
        )
        self.commands.append((task, command))
        self.qualities.append((rest, more))
        if not self.mute:
            self.answer(task, command)

    def answer(self, task, command):
        result = Result(command.transaction, task, seq=self.seq)
        if self.refuse is not None:
            result = result._replace(seq=None, code=self.refuse[0], text=self.refuse[1])
        elif command.command == "log":
            log = [e for e in LOG if command.every or e.task == task]
            result = result._replace(log=tuple(log))
        elif command.command in ("done", "skip"):
            self.seq += 1
            fresh = RODS.limits[0]._replace(used=0.0, remaining=150.0, percent=0.0)
            now = int(dt_util.utcnow().timestamp())
            self.done += 1
            rods = RODS._replace(done_count=self.done, last_done=now, status="ok")
            self.tell(rods._replace(seq=self.seq, limits=(fresh,)))
        self.send(self.topic("results"), result.encode())


@pytest.fixture
def printer(hass, mqtt_mock):
    return Printer(hass, mqtt_mock)


@pytest.fixture
def entry(hass):
    entry = MockConfigEntry(
        domain=DOMAIN, title="Klipper Upkeep", data={"base_topic": BASE}, unique_id=BASE
    )
    entry.add_to_hass(hass)
    return entry


@pytest.fixture
async def loaded(hass, printer, entry):
    """The entry after its setup, with the printer online."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    printer.introduce()
    await hass.async_block_till_done()
    return entry


def as_message(topic, payload):
    """Return what Home Assistant passes to a config flow for a message."""
    return MqttServiceInfo(
        topic=topic,
        payload=payload if isinstance(payload, str) else json.dumps(payload),
        qos=1,
        retain=True,
        subscribed_topic="klipper_upkeep/+/info",
        timestamp=0,
    )
