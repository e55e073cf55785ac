"""One large discovery message becomes many small ones, and users lose nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from klippy_extra import contract
from klippy_extra.mqtt import discovery
from klippy_extra.mqtt.intake import Intake
from klippy_extra.mqtt.publisher import PrinterView, Publisher
from tests.ha.home_assistant import until
from tests.system.listener import Listener

UUID = "0ld5d0c7e8e8b1a4f0f9c3e2a1b00001"
BASE = "klipper_upkeep/relic"
HOURS = contract.Limit("print_time", "h", 150.0, 50.0, 100.0, 33.3)
METRES = contract.Limit("filament", "m", 900.0, 100.0, 800.0, 11.1)
INFO = contract.Info(
    UUID, "Relic", ("rods",), {"print_time": contract.Meter("h", "Print time")}
)
OLD = discovery.old_topic(UUID)


def state(task: str = "rods") -> contract.State:
    return contract.State(
        1, 1.8e9, task, "Rods", (HOURS, METRES), "print_time", contract.OK
    )


def old_message() -> bytes:
    """Return the older version's message: all in one, available while online."""
    parts = [
        json.loads(each.payload)
        for each in discovery.announce(
            INFO, [state(), state("belts")], "relic"
        ).messages
    ]
    components = {key: each for part in parts for key, each in part["cmps"].items()}
    for component in components.values():
        component.pop("avty", None)
        component.pop("en", None)
    available = {"avty": [{"t": f"{BASE}/availability"}]}
    return json.dumps(dict(parts[0], **available, cmps=components)).encode()


@pytest.fixture
def relic(home, listener) -> Iterator[Listener]:
    """A printer that the version before has described and left."""
    listener.publish(OLD, old_message(), retain=True)
    listener.publish(f"{BASE}/availability", "online", retain=True)
    for task in ("rods", "belts"):
        topic = f"{BASE}/tasks/{task}"
        listener.publish(topic, state(task).encode(), retain=True)
    home.wait("sensor.relic_rods_status", "ok")
    yield listener
    for topic in {message.topic for message in listener.messages if message.payload}:
        if UUID in topic or topic.startswith(BASE):
            listener.publish(topic, "", retain=True)
    until(lambda: home.device("Relic") is None, "the printer to go")


def take_over(listener: Listener) -> None:
    """Do what the extra does at its first start after an update."""
    before = discovery.announce(INFO, [state(), state("belts")], "relic").components
    now = discovery.announce(INFO, [state()], "relic", before=before)
    view = PrinterView(
        info=lambda: INFO,
        tasks=("rods",),
        seq=lambda: 1,
        state=state,
        meters=lambda: contract.Meters(1, 0.0, {}),
        summary=lambda: contract.Summary(1, 0.0, 0, 0, None, None, None),
        command=lambda task, command: None,
        say=print,
        clock=time.monotonic,
    )
    publisher = Publisher(
        base="klipper_upkeep",
        printer="relic",
        uuid=UUID,
        view=view,
        interval=30.0,
        clear=[OLD, f"{BASE}/tasks/belts"],
        discovery=now.messages,
        replaces=(OLD,),
    )
    inbound = Intake(
        publisher.topics.inbound(publisher.clear),
        publisher.handlers,
        post=lambda call: call(),
        later=lambda call, seconds: call(),
        answer=publisher.result,
        clock=time.monotonic,
    )
    publisher.attach(Link(listener), inbound)
    publisher.connected()

    def done() -> bool:
        publisher.turn(3)
        return publisher.cleared()

    until(done, "the hand-over")


class Link:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def publish(self, topic: str, payload: bytes, retain: bool, **_: Any) -> None:
        self._listener.publish(topic, payload, retain=retain)

    def release(self) -> None:
        """Do nothing."""


def test_entities_keep_their_ids_and_names_and_none_is_doubled(home, relic):
    home.ask(
        "config/entity_registry/update",
        entity_id="sensor.relic_rods_status",
        name="My rods",
        new_entity_id="sensor.my_rods",
    )
    until(lambda: home.state("sensor.my_rods") == "ok", "the renamed sensor")
    before = of_the_relic(home)
    device = home.device("Relic")["id"]

    take_over(relic)

    kept = {unique: each for unique, each in before.items() if ".belts." not in unique}
    until(lambda: idle(home, kept.values()) == [], f"{idle(home, kept.values())}")
    until(lambda: set(of_the_relic(home)) >= set(kept), "the same entities")
    until(
        lambda: not any(".belts." in each for each in of_the_relic(home)),
        "the entities of the task that went meanwhile to go",
    )
    after = of_the_relic(home)
    assert {unique: after[unique] for unique in kept} == kept
    assert set(after) - set(kept) == {f"{UUID}_connected"} - set(kept)
    assert home.attributes("sensor.my_rods")["friendly_name"].endswith("My rods")
    assert home.device("Relic")["id"] == device

    home.restart()

    home.wait("sensor.my_rods", "ok")
    assert of_the_relic(home) == after


def of_the_relic(home) -> dict[str, str]:
    return {
        unique: each["entity_id"]
        for unique, each in home.entities().items()
        if unique.startswith(UUID)
    }


def idle(home, entities) -> list[str]:
    """Return the entities without a state."""
    states = home.states()
    return [
        each
        for each in entities
        if each not in states or states[each]["state"] == "unavailable"
    ]
