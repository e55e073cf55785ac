"""The entities of a printer move from discovery to the integration, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ha.browser import Gallery
from tests.ha.home_assistant import amount, until
from tests.ha.printer import TASKS, Voron, forget
from tests.ha.upkeep import DOMAIN, act, offers, set_options, set_up

INTEGRATION = "home_assistant: integration\n"
FEW = {"filter": TASKS["filter"], "rods": TASKS["rods"]}
RENAMED = "sensor.my_filter"
DUE = "binary_sensor.mover_filter_due"


@pytest.fixture
def mover(home, broker, listener) -> Iterator[Voron]:
    """A printer that Home Assistant has from discovery. Its user has renamed it."""
    set_up(home)
    printer = Voron(broker.port, "Mover", FEW)
    printer.start()
    home.wait("sensor.mover_filter_status", "ok")
    home.ask(
        "config/entity_registry/update",
        entity_id="sensor.mover_filter_status",
        name="My filter",
        new_entity_id=RENAMED,
    )
    home.wait(RENAMED, "ok")
    info = listener.wait_for("/mover/info").json
    meters = {f"{info['uuid']}_meter.{each}" for each in info["meters"]}
    listener.wait(lambda message: meters <= described(listener))  # They come last.
    until(lambda: of(home, "mqtt").keys() == described(listener), "all of its entities")
    yield printer
    printer.close()
    listener.wait_for("/mover/availability", b"offline")
    forget(listener, "Mover")
    forget(listener, "/mover/")
    until(lambda: home.device("Mover") is None, "the printer to go")
    until(lambda: of(home, DOMAIN) == {} == of(home, "mqtt"), "its entities to go")


def of(home: Any, platform: str) -> dict[str, str]:
    """Return the printer's entities of a platform, by unique id."""
    ours = ("last_done_on", "_due_tasks", "_maintenance", "_extra")
    return {
        unique: each["entity_id"]
        for unique, each in home.entities(platform).items()
        if "mover" in each["entity_id"] or each["entity_id"] == RENAMED
        if not unique.endswith(ours)
    }


def described(listener: Any) -> set[str]:
    """Return the unique ids in the printer's discovery messages."""
    return {
        component["uniq_id"]
        for message in listener.messages
        if message.topic.endswith("/config") and b'"name":"Mover"' in message.payload
        for component in message.json["cmps"].values()
        if "uniq_id" in component
    }


def is_description(message: Any) -> bool:
    return bool(message.topic.endswith("/printer/config"))


def settled(home: Any, platform: str, wanted: dict[str, str]) -> None:
    """Wait until all entities belong to *platform*, with their ids and a state."""
    until(lambda: of(home, platform) == wanted, f"these alone to be of {platform}", 60)
    home.wait(RENAMED, "ok")
    assert home.attributes(RENAMED)["friendly_name"].endswith("My filter")
    assert home.attributes(RENAMED)["label"] == "Carbon filter"
    others = {DOMAIN, "mqtt"} - {platform}
    assert [of(home, each) for each in others] == [{}]


def test_entities_keep_ids_and_names_in_both_directions(home, mover):
    before = of(home, "mqtt")

    mover.reconfigure(FEW, more=INTEGRATION)
    settled(home, DOMAIN, before)
    devices = [
        each["name"]
        for each in home.ask("config/device_registry/list")
        if "Mover" in each["name"]
    ]
    assert devices == ["Mover"]

    home.restart()
    settled(home, DOMAIN, before)
    until(lambda: home.state("binary_sensor.mover_connected") == "on", "the printer")
    mover.wear_out("filter", 51.5)
    home.wait(DUE, "on")
    home.call("button.press", "button.mover_filter_done")
    home.wait(DUE, "off")
    assert "Anna" in mover.log_of("filter")
    act(home, "adjust", printer="Mover", task="filter", used=20.0)
    home.wait("sensor.mover_filter_remaining", amount(30.0))

    mover.reconfigure({"filter": FEW["filter"]}, more=INTEGRATION)
    filters = {
        unique: each for unique, each in before.items() if ".rods." not in unique
    }
    settled(home, DOMAIN, filters)

    mover.reconfigure({"filter": FEW["filter"]})
    settled(home, "mqtt", filters)
    home.restart()
    settled(home, "mqtt", filters)


def test_entities_move_while_home_assistant_is_off(home, mover, listener):
    before = of(home, "mqtt")
    home.stop()
    since = len(listener.messages)
    mover.reconfigure(FEW, more=INTEGRATION)
    listener.wait(
        lambda message: is_description(message) and not message.payload, since
    )
    home.start()
    settled(home, DOMAIN, before)

    home.stop()
    since = len(listener.messages)
    mover.reconfigure(FEW)
    listener.wait(lambda message: is_description(message) and message.payload, since)
    home.start()
    settled(home, "mqtt", before)


def test_each_task_is_a_device_if_the_option_is_set(
    home, channel, mover, automate, gallery
):
    before = of(home, "mqtt")
    mover.reconfigure(FEW, more=INTEGRATION)
    settled(home, DOMAIN, before)
    mover.wear_out("filter", 51.5)
    home.wait(DUE, "on")
    take_pictures(home, gallery, "own")
    mover.done("filter")
    home.wait(DUE, "off")
    assert ("task_devices" in offers(home)) == (channel != "stable")
    if channel == "stable":
        return  # This version has no child devices.

    set_options(home, task_devices=True)
    settled(home, DOMAIN, before)
    assert children(home) == {"Carbon filter", "Clean and oil the rods"}
    rods = home.ask("config/entity_registry/get", entity_id="button.mover_rods_done")
    assert rods["original_name"] == "Done"
    mover.wear_out("filter", 51.5)
    home.wait(DUE, "on")
    take_pictures(home, gallery, "children", "Child devices")
    automate("weekly", "weekly_summary", weekday="sun", at="10:00:00")
    home.call("automation.trigger", "automation.weekly")
    notification = until(lambda: home.notifications().get("klipper_upkeep_weekly"))
    assert notification["message"] == "- Mover: Carbon filter"
    act(home, "done", printer="Carbon filter")
    home.wait(DUE, "off")

    set_options(home, task_devices=False)
    settled(home, DOMAIN, before)
    assert children(home) == set()


def take_pictures(home: Any, gallery: Gallery, name: str, *words: str) -> None:
    """Take pictures of the printer's page, where what is due comes first."""
    printer = home.device("Mover")["id"]
    first = ("Controls\nMaintenance\n1", "Sensors\n• Due now\nCarbon filter")
    path = f"/config/devices/device/{printer}"
    gallery.show(name, path, (*words, *first), (1400, 900))


def children(home: Any) -> set[str]:
    """Return the names of the devices below the printer's."""
    printer = home.device("Mover")["id"]
    return {
        each["name"]
        for each in home.ask("config/device_registry/list")
        if each.get("parent_device_id") == printer
    }
