"""Devices of tasks below the printer's, if this Home Assistant has child devices.

Otherwise this file is not collected: see conftest.py.
"""

from __future__ import annotations

import pytest
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er

from custom_components.klipper_upkeep import async_remove_config_entry_device
from custom_components.klipper_upkeep.children import task_of
from custom_components.klipper_upkeep.const import DOMAIN
from custom_components.klipper_upkeep.devices import with_identifier

from .conftest import INFO, RODS
from .test_entities import DISCOVERED, OWNED, let_go, pass_time, settle, tell

STATUS = "sensor.voron_rods_status"
TASKS = {"belts", "nozzle", "rods"}


def children(hass, entry):
    """Return the devices of tasks, by task."""
    known = dr.async_child_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return {task_of(each)[1]: each for each in known}


def ids(hass):
    return {
        each.unique_id: each.entity_id
        for each in er.async_get(hass).entities.values()
        if each.platform == DOMAIN
    }


async def choose(hass, entry, wanted):
    """Choose them as a user does in the entry's options."""
    flow = await hass.config_entries.options.async_init(entry.entry_id)
    offered = {str(each): each.default() for each in flow["data_schema"].schema}
    answers = {**offered, "task_devices": wanted}
    await hass.config_entries.options.async_configure(flow["flow_id"], answers)
    await settle(hass)


@pytest.fixture
async def owned(hass, printer, entry):
    assert await hass.config_entries.async_setup(entry.entry_id)
    await settle(hass)
    tell(printer, OWNED)
    await settle(hass)
    return entry


async def reload(hass, printer):
    """Let the broker send its retained messages again."""
    tell(printer, OWNED)
    await settle(hass)


@pytest.fixture
async def chosen(hass, printer, owned):
    await choose(hass, owned, wanted=True)
    await reload(hass, printer)
    return owned


async def test_they_exist_only_with_the_option(hass, owned):
    assert children(hass, owned) == {}


async def test_each_task_and_part_is_a_device_below_the_printer(hass, chosen):
    printer = with_identifier(hass, (DOMAIN, INFO.uuid))
    devices = children(hass, chosen)
    assert {each.parent_device_id for each in devices.values()} == {printer.id}
    assert {task: each.name for task, each in devices.items()} == {
        "belts": "Check the belts",
        "nozzle": "Nozzle 0.4",
        "rods": "Oil the rods",
    }
    registry = er.async_get(hass)
    for task, device in devices.items():
        entities = er.async_entries_for_device(registry, device.id, True)
        assert len(entities) > 8
        assert {each.unique_id.split(".")[1] for each in entities} == {task}
    theirs = er.async_entries_for_device(registry, printer.id, True)
    assert not [each for each in theirs if "_task." in each.unique_id]


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("en", (None, "Status", "Remaining", "Done", "Print time remaining")),
        ("de", (None, "Status", "Verbleibend", "Erledigt", "Druckzeit verbleibend")),
    ],
)
async def test_names_do_not_contain_the_task_twice(
    hass, printer, entry, language, names
):
    hass.config.language = language
    hass.config_entries.async_update_entry(entry, options={"task_devices": True})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await settle(hass)
    tell(printer, OWNED)
    await settle(hass)
    registry = er.async_get(hass)
    wanted = (
        "binary_sensor.voron_nozzle_due",
        "sensor.voron_nozzle_status",
        "sensor.voron_nozzle_remaining",
        "button.voron_nozzle_done",
        "sensor.voron_nozzle_print_time_remaining",
    )
    original_names = tuple(registry.async_get(each).original_name for each in wanted)
    assert original_names == names
    date = registry.async_get_entity_id(
        "date", DOMAIN, f"{INFO.uuid}_task.rods.last_done_on"
    )
    assert "Oil" not in registry.async_get(date).original_name


async def test_ids_names_and_settings_are_kept_in_both_directions(hass, printer, owned):
    registry = er.async_get(hass)
    registry.async_update_entity(
        STATUS, name="My rods", new_entity_id="sensor.my_rods", icon="mdi:broom"
    )
    await settle(hass)
    before = ids(hass)
    state = hass.states.get("sensor.my_rods")

    await choose(hass, owned, wanted=True)
    await reload(hass, printer)
    entry = registry.async_get("sensor.my_rods")
    assert (ids(hass), entry.name, entry.icon) == (before, "My rods", "mdi:broom")
    assert entry.device_id == children(hass, owned)["rods"].id
    assert hass.states.get("sensor.my_rods").state == state.state

    await choose(hass, owned, wanted=False)
    await reload(hass, printer)
    entry = registry.async_get("sensor.my_rods")
    assert (ids(hass), entry.name, entry.icon) == (before, "My rods", "mdi:broom")
    printers = with_identifier(hass, (DOMAIN, INFO.uuid))
    assert entry.device_id == printers.id
    assert children(hass, owned) == {}
    assert registry.async_get("sensor.voron_belts_remaining").original_name == (
        "Check the belts remaining"
    )


async def test_they_follow_labels_and_are_removed_with_their_tasks(
    hass, printer, chosen
):
    printer.tell(RODS._replace(label="Grease the rods"))
    await settle(hass)
    assert children(hass, chosen)["rods"].name == "Grease the rods"

    printer.send(
        printer.topic("info"), OWNED._replace(tasks=("belts", "nozzle")).encode()
    )
    await settle(hass)
    assert set(children(hass, chosen)) == {"belts", "nozzle"}


async def test_they_are_removed_when_discovery_makes_the_entities_again(
    hass, printer, chosen
):
    tell(printer, DISCOVERED)
    await settle(hass)
    assert children(hass, chosen) == {}
    date = f"{INFO.uuid}_task.rods.last_done_on"
    entry = er.async_get(hass).async_get_entity_id("date", DOMAIN, date)
    ours = with_identifier(hass, (DOMAIN, INFO.uuid))
    assert er.async_get(hass).async_get(entry).device_id == ours.id

    tell(printer, OWNED)
    let_go(hass)
    await settle(hass)
    await pass_time(hass)
    assert set(children(hass, chosen)) == TASKS
    assert er.async_get(hass).async_get(entry).device_id == (
        children(hass, chosen)["rods"].id
    )


async def test_a_printer_that_leaves_removes_them(hass, printer, chosen):
    printer.send(printer.topic("info"), "")
    await settle(hass)
    assert children(hass, chosen) == {}

    tell(printer, OWNED)
    await settle(hass)
    assert set(children(hass, chosen)) == TASKS


async def test_they_cannot_be_deleted_by_hand_while_the_task_exists(
    hass, printer, chosen
):
    printer.send(printer.topic("availability"), "offline")
    await settle(hass)
    rods = children(hass, chosen)["rods"]
    assert not await async_remove_config_entry_device(hass, chosen, rods)
    printers = with_identifier(hass, (DOMAIN, INFO.uuid))
    assert await async_remove_config_entry_device(hass, chosen, printers)


async def test_actions_accept_a_child_device_for_its_task(hass, printer, chosen):
    device = children(hass, chosen)["belts"].id
    await hass.services.async_call(DOMAIN, "done", {"device_id": device}, blocking=True)
    (sent,) = printer.commands
    assert (sent[0], sent[1].command) == ("belts", "done")
