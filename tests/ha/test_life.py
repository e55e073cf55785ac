"""The broker, the printer, Home Assistant and a task may stop and start."""

from __future__ import annotations

import re

import pytest

from tests.ha.home_assistant import amount, until
from tests.ha.printer import TASKS

DUE = "binary_sensor.voron_maintenance_due"
ONLINE = "binary_sensor.voron_connected"
FILTER = "sensor.voron_filter_status"
RODS = "sensor.voron_rods_remaining"
DONE = "button.voron_filter_done"


def fresh(remaining: str | None) -> bool:
    """Return *remaining* of an unused task.

    Which of two unused limits decides is arbitrary.
    """
    return remaining in ("150 h", "30 d")


def there(home) -> None:
    home.wait(ONLINE, "on", timeout=60)
    home.wait(DUE, "off", timeout=60)
    home.wait(RODS, fresh)


def test_a_printer_that_dies_keeps_its_tasks_and_is_shown_as_off(home, voron):
    """The broker publishes its last will.

    Buttons without a receiver are unavailable.
    """
    voron.kill()
    home.wait(ONLINE, "off")
    home.wait(DONE, "unavailable")
    assert fresh(home.state(RODS))
    assert home.state(FILTER) == "ok"
    assert home.attributes(FILTER)["label"] == "Carbon filter"

    voron.start()
    there(home)
    home.wait(DONE, lambda state: state != "unavailable")


def test_a_broker_that_lost_everything_gets_it_again(home, broker):
    broker.kill()
    home.wait(DUE, "unavailable")

    broker.start()
    there(home)
    # Home Assistant may warn about the lost connection, and about nothing else.
    assert all("connect" in str(line).lower() for line in home.logged())
    home.forget_log()


PROTOCOLS = {"3.1.1": "p2", "5": "p5"}  # as mosquitto logs them


def test_home_assistant_works_with_both_protocols(home, broker, voron):
    """From 3.1.1 to 5 and back. Since 2026 it has 5, and returns to it by itself."""
    if home.version < "2026":
        first, changes = "3.1.1", {"5": "5", "3.1.1": "3.1.1"}
    else:
        first, changes = "5", {"3.1.1": "5"}
    assert spoken(broker) == PROTOCOLS[first]

    for chosen, used in changes.items():
        before = len(broker.log)
        home.speak(chosen)
        until(
            lambda before=before, used=used: spoken(broker, before) == PROTOCOLS[used],
            f"a connection with MQTT {used} after {chosen} was chosen",
        )
        there(home)
        voron.wear_out("filter", 60)
        home.wait(FILTER, "due")
        home.call("button.press", DONE)
        home.wait(FILTER, "ok")
    home.forget_log()


def spoken(broker, since: int = 0) -> str:
    """Return the protocol of the last connection on which Home Assistant subscribed.

    Its client id is random. It also tries a connection, and subscribes to nothing.
    """
    log = broker.log[since:]
    protocols = [
        protocol
        for client, protocol in re.findall(
            r"connected from \S+ as (?!upkeep-|auto-)(\w{15,}) \((p\d),", log
        )
        if f"Received SUBSCRIBE from {client}" in log
    ]
    return protocols[-1] if protocols else ""


def test_home_assistant_has_everything_again_after_a_restart(home, listener):
    """Its birth message makes the printer publish its discovery again."""
    until(lambda: all(of_task(home, each) for each in TASKS), "every task")
    before = home.entities_of("Voron")
    listener.wait_for("/availability")
    since = len(listener.messages)

    home.restart()

    there(home)
    listener.wait_for("/status", b"online", since)
    listener.wait_for("/config", since=since)
    assert home.entities_of("Voron").keys() == before.keys()
    states = home.states()
    idle = [
        entity
        for entity in (each["entity_id"] for each in before.values())
        if entity in states and states[entity]["state"] == "unavailable"
    ]
    assert idle == []


def test_a_users_name_survives_a_restart_of_the_printer(home, voron):
    entity = {"entity_id": "sensor.voron_rods_status"}
    home.ask(
        "config/entity_registry/update",
        **entity,
        name="Rods",
        new_entity_id="sensor.my_rods",
    )

    voron.reconfigure(dict(TASKS, rods=TASKS["rods"].replace("oil", "grease")))

    home.wait("sensor.my_rods", "ok")
    until(lambda: "grease" in home.attributes(RODS)["friendly_name"], "the new label")
    assert home.attributes("sensor.my_rods")["friendly_name"].endswith("Rods")
    assert "sensor.voron_rods_status" not in home.states()
    assert home.logged() == []
    home.ask(
        "config/entity_registry/update",
        entity_id="sensor.my_rods",
        name=None,
        new_entity_id="sensor.voron_rods_status",
    )
    voron.reconfigure(TASKS)
    home.wait("sensor.voron_rods_status", "ok")
    home.forget_log()  # The histories of both names cannot be joined.


def test_a_renamed_printer_keeps_its_device(home, voron, listener):
    before = {unique: each["entity_id"] for unique, each in home.entities().items()}

    voron.reconfigure(TASKS, name="Trident")

    until(lambda: home.device("Trident"), "the new name")
    there(home)
    after = {unique: each["entity_id"] for unique, each in home.entities().items()}
    assert after == before
    assert home.device("Voron") is None
    listener.wait_for("klipper_upkeep/voron/tasks/rods", b"")

    voron.reconfigure(TASKS)
    until(lambda: home.device("Voron"), "the old name")
    there(home)


def of_task(home, task: str) -> set[str]:
    """Return the entities of a task.

    2025.4 keeps disabled ones until the user deletes them.
    """
    return {
        unique
        for unique, each in home.entities().items()
        if f"_task.{task}." in unique
        and not (each["disabled_by"] and home.version < "2026")
    }


@pytest.fixture
def all_tasks(voron):
    yield
    voron.reconfigure(TASKS)


@pytest.mark.usefixtures("all_tasks")
def test_a_removed_task_leaves_nothing(home, voron):
    voron.reconfigure({name: TASKS[name] for name in TASKS if name != "cutter"})

    until(lambda: not of_task(home, "cutter"), "the entities of cutter to go")
    there(home)


@pytest.mark.usefixtures("all_tasks")
def test_a_task_removed_without_home_assistant_leaves_nothing(home, voron):
    until(lambda: of_task(home, "cutter"), "the entities of cutter")
    home.stop()
    voron.reconfigure({name: TASKS[name] for name in TASKS if name != "cutter"})

    home.start()

    there(home)
    until(lambda: not of_task(home, "cutter"), "the entities of cutter to go")


@pytest.mark.usefixtures("all_tasks")
def test_a_task_with_another_trigger_keeps_its_entities_with_the_new_unit(home, voron):
    before = until(lambda: of_task(home, "nozzle"), "the entities of nozzle")
    changed = TASKS["nozzle"].replace("filament", "print_time").replace("3000", "300")

    voron.reconfigure(dict(TASKS, nozzle=changed))

    remaining = "sensor.voron_nozzle_remaining"
    home.wait(remaining, amount(300))
    until(lambda: home.attributes(remaining)["unit_of_measurement"] == "h", "the unit")
    assert of_task(home, "nozzle") == before
