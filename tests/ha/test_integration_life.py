"""The integration over time: other topics, a second Home Assistant, names, deletion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ha.conftest import DUE, there
from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.printer import TASKS, Voron, forget
from tests.ha.upkeep import (
    CALENDAR,
    DOMAIN,
    FLOWS,
    OURS,
    STATUS,
    TODO,
    act,
    entries,
    issues,
    known,
    listed_issues,
    reload,
    set_options,
    set_up,
)

FARM = "farm"


@pytest.fixture
def farm(home, broker, listener) -> Iterator[Voron]:
    """A printer with the same name under another base topic."""
    printer = Voron(broker.port, "Voron", {"filter": TASKS["filter"]}, base=FARM)
    printer.start()
    info = listener.wait_for(f"{FARM}/voron/info")
    yield printer
    printer.close()
    listener.wait_for(f"{FARM}/voron/availability", b"offline")
    forget(listener, FARM)
    forget(listener, info.json["uuid"])
    until(lambda: len(devices(home, "Voron")) == 1, "the printer to go")


def devices(home, name):
    listed = home.ask("config/device_registry/list")
    return [each for each in listed if each["name"] == name]


def device_of_entry(home, entry):
    (entry,) = [
        each
        for each in devices(home, OURS)
        if entry["entry_id"] in each["config_entries"]
    ]
    return entry


@pytest.fixture
def farm_entry(upkeep, farm):
    """A second entry, for the other base topic."""
    before = {each["entry_id"] for each in entries(upkeep)}
    upkeep.flow(DOMAIN, {"base_topic": FARM})
    (entry,) = [e for e in entries(upkeep) if e["entry_id"] not in before]
    yield entry
    path = f"/api/config/config_entries/entry/{entry['entry_id']}"
    upkeep.http("DELETE", path)


def test_printers_with_one_name_under_two_topics_are_two(
    upkeep, voron, farm, farm_entry
):
    def theirs():
        ours = devices(upkeep, OURS)
        return len(ours) == 2 and device_of_entry(upkeep, farm_entry)

    device = until(theirs, "the device of the other printer")
    before = upkeep.attributes(STATUS)["done_count"]

    upkeep.ask(
        "call_service",
        domain=DOMAIN,
        service="done",
        service_data={"device_id": device["id"], "task": "filter", "by": "Berta"},
    )

    assert "Berta" in farm.log_of("filter")
    assert "Berta" not in voron.log_of("filter").splitlines()[0]
    assert upkeep.attributes(STATUS)["done_count"] == before


@pytest.mark.usefixtures("farm")
def test_a_new_topic_keeps_the_users_title(upkeep, listener):
    (entry,) = entries(upkeep)
    entry_id = entry["entry_id"]
    upkeep.ask("config_entries/update", entry_id=entry_id, title="My printers")

    def move(base):
        step = upkeep.http("POST", FLOWS, {"handler": DOMAIN, "entry_id": entry_id})
        done = upkeep.http("POST", f"{FLOWS}/{step['flow_id']}", {"base_topic": base})
        assert done["reason"] == "reconfigure_successful"

    theirs = listener.wait_for(f"{FARM}/voron/info").json["uuid"]
    move(FARM)

    until(lambda: uuids(upkeep) >= {theirs}, "the printers of the other topic")
    assert [each["title"] for each in entries(upkeep)] == ["My printers"]
    move(DOMAIN)
    upkeep.wait(TODO, known)
    assert [each["title"] for each in entries(upkeep)] == ["My printers"]
    upkeep.ask("config_entries/update", entry_id=entry_id, title="Klipper Upkeep")
    for device in devices(upkeep, OURS):
        if [DOMAIN, theirs] in device["identifiers"]:
            upkeep.remove_device(device)


def uuids(home) -> set[str]:
    return {
        name
        for each in devices(home, OURS)
        for domain, name in each["identifiers"]
        if domain == DOMAIN
    }


@pytest.fixture
def second(home, broker, folder, channel, forks) -> Iterator[HomeAssistant]:
    """Another Home Assistant at the same broker, with the integration."""
    own = folder / f"{channel}-second"
    other = HomeAssistant(home.environment, own, broker.port, forks)
    other.start()
    other.wait(DUE, there)  # it has heard what the broker has retained
    set_up(other)
    yield other
    other.stop()


def test_two_home_assistants_see_the_same_and_each_gets_its_own_results(
    due, voron, second
):
    second.wait(TODO, "1")

    second.call("todo.update_item", TODO, item="filter", status="completed")

    due.wait(TODO, "0")
    with pytest.raises(AssertionError, match="has no task"):
        act(second, "done", task="flux capacitor")
    for home in (due, second):
        log = act(home, "get_log", response=True, task="filter", limit=1)
        (entry,) = log["response"]["log"]
        assert (entry["event"], entry["by"]) == ("done", "Anna")


def kept(channel: str, own: str, otherwise: str) -> str:
    """Return a user's own entity id after a deletion.

    2025.4 forgets deleted entities.
    """
    return otherwise if channel == "stable" else own


def test_a_printer_that_is_off_can_be_deleted_and_returns_with_its_names(
    upkeep, voron, channel
):
    upkeep.ask(
        "config/entity_registry/update",
        entity_id=TODO,
        name="Chores",
        new_entity_id="todo.chores",
    )
    upkeep.wait("todo.chores", known)
    with pytest.raises(AssertionError, match=r"(?i)rejected by integration"):
        upkeep.remove_device(upkeep.device(OURS))
    voron.kill()
    upkeep.wait("binary_sensor.voron_connected", "off")
    until(lambda: refuses(upkeep), "the integration to know that it is off")

    upkeep.remove_device(upkeep.device(OURS))

    upkeep.wait("todo.chores", None)
    upkeep.wait(CALENDAR, None)
    voron.start()
    again = kept(channel, "todo.chores", TODO)
    upkeep.wait(again, known)
    upkeep.ask(
        "config/entity_registry/update",
        entity_id=again,
        name=None,
        new_entity_id=TODO,
    )
    upkeep.wait(TODO, known)


def refuses(home, printer: str = OURS) -> bool:
    """Return whether the action reports that the printer is off."""
    try:
        act(home, "unsnooze", task="filter", printer=printer)
    except AssertionError as error:
        return "is off" in str(error)
    return False


def test_a_device_of_mqtt_can_be_deleted_after_a_reload_and_returns_with_its_link(
    upkeep, voron
):
    """Home Assistant gives a deleted entity of MQTT its default id again."""
    upkeep.reload("mqtt")
    upkeep.wait(STATUS, known)
    before = upkeep.device("Voron")

    upkeep.remove_device(before)

    upkeep.wait(STATUS, None)
    voron.reconfigure(TASKS)
    upkeep.wait(STATUS, known)
    until(
        lambda: upkeep.device(OURS)["via_device_id"] == upkeep.device("Voron")["id"],
        "the link to MQTT's device",
    )
    messages = [each["message"] for each in upkeep.ask("system_log/list")]
    assert not [each for each in messages if "dispatcher" in str(each)]


def test_an_ignored_repair_stays_ignored_over_a_reload_and_a_restart(due):
    set_options(due, repairs=True, repairs_margin=1)
    (issue,) = until(lambda: issues(due), "the repair")
    due.ask("repairs/ignore_issue", domain=DOMAIN, issue_id=issue, ignore=True)

    def is_ignored() -> bool:
        return bool(listed_issues(due).get(issue, {}).get("ignored"))

    assert is_ignored()
    reload(due)
    due.wait(TODO, "1")
    until(is_ignored, "the repair that is ignored, after a reload")
    due.restart()
    due.wait(TODO, "1")
    until(is_ignored, "the repair that is ignored, after a restart")
    set_options(due, repairs=False)
    due.wait(TODO, "1")


def test_a_renamed_printer_keeps_its_device_and_entities(upkeep, voron):
    before = upkeep.device(OURS)["id"]
    unique = set(upkeep.entities(DOMAIN))

    voron.reconfigure(TASKS, name="Trident")

    renamed = until(lambda: upkeep.device("Trident maintenance"), "the new name")
    assert renamed["id"] == before
    until(lambda: not refuses(upkeep, "Trident maintenance"), "the printer to be on")
    upkeep.wait(TODO, known)
    assert set(upkeep.entities(DOMAIN)) == unique

    voron.reconfigure(TASKS)
    until(lambda: upkeep.device(OURS), "the old name")
    until(lambda: upkeep.device("Voron"), "the old name of MQTT's device")
