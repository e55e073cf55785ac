"""Printers that leave their entities to the integration, and take them back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.json import json_bytes
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    async_fire_mqtt_message,
    async_fire_time_changed,
)

from custom_components.klipper_upkeep.const import DOMAIN
from custom_components.klipper_upkeep.contract import (
    Habit,
    Limit,
    Meter,
    Meters,
    Suggestion,
    Summary,
)
from custom_components.klipper_upkeep.devices import with_identifier
from klippy_extra import contract as theirs
from klippy_extra.mqtt.components import Names
from klippy_extra.mqtt.discovery import MIGRATE, announce

from .conftest import BELTS, INFO, RODS

METERS = {
    "print_time": Meter("h", "Print time"),
    "filament": Meter("m", "Filament"),
    "heater_heater_bed": Meter("h", "Heater on heater_bed"),
    "cuts": Meter("", "Cuts"),
    "time": Meter("h", ""),
}
NOZZLE = BELTS._replace(
    task="nozzle",
    label="Nozzle 0.4",
    kind="nozzle",
    place="extruder",
    places=("extruder", "extruder1"),
    limits=(
        Limit("print_time", "h", 150.0, 53.0, 97.0, 35.0, 15.0),
        Limit("time", "h", 720.0, 72.0, 648.0, 10.0, 15.0),
        Limit("cuts", "", 500.0, 72.0, 428.0, 14.0, 15.0),
    ),
    habit=Habit("print_time", 4, 90.0, 100.0, 110.0, 0.2, True),
    suggestion=Suggestion("print_time", 180.0, "h", "habit", "Set 180 h?"),
)
DISCOVERED = INFO._replace(tasks=("belts", "nozzle", "rods"), meters=METERS)
OWNED = DISCOVERED._replace(home_assistant="integration")
SUMMARY = Summary(
    9, 1795219200.0, 1, 0, "rods", "Oil the rods", None, ("Oil the rods",)
)
STATUS = "sensor.voron_rods_status"


async def settle(hass):
    await hass.async_block_till_done(wait_background_tasks=True)


async def pass_time(hass, seconds=3.0):
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=seconds))
    await settle(hass)


def discovered():
    """Return the discovery messages, made by the extra's own code."""
    info = theirs.Info.decode(DISCOVERED.encode())
    states = [theirs.State.decode(each.encode()) for each in (BELTS, NOZZLE, RODS)]
    made = announce(info, states, "voron", names=Names(learns=True))
    return made.messages


def tell(printer, info):
    """Publish everything in the contract's order."""
    printer.tasks["nozzle"] = NOZZLE
    printer.send(printer.topic("info"), info.encode())
    readings = {"print_time": 812.3, "filament": 1500.0, "cuts": 3.0}
    printer.send(printer.topic("meters"), Meters(8, 1.0, readings).encode())
    for task in info.tasks:
        printer.tell(printer.tasks[task])
    printer.send(printer.topic("summary"), SUMMARY.encode())
    printer.send(printer.topic("availability"), "online")


async def by_discovery(hass, printer):
    """Let MQTT discover the printer and read its retained messages."""
    for each in discovered():
        async_fire_mqtt_message(hass, each.topic, each.payload.decode())
    await settle(hass)
    tell(printer, DISCOVERED)
    await settle(hass)


def let_go(hass):
    """Publish what a printer does when it leaves its entities to the integration."""
    for payload in (MIGRATE.decode(), ""):
        for each in discovered():
            async_fire_mqtt_message(hass, each.topic, payload)


def registered(hass, platform):
    """Return the registered entities, by unique id."""
    return {
        each.unique_id: each
        for each in er.async_get(hass).entities.values()
        if each.platform == platform
        and each.unique_id.startswith(f"{INFO.uuid}_")
        and not each.unique_id.endswith("last_done_on")
        and each.domain not in ("calendar", "todo", "update")
        and "_fitted." not in each.unique_id
    }


@pytest.fixture
async def listens(hass, printer, entry):
    """The integration before any printer has published anything."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    await settle(hass)
    return entry


@pytest.fixture
async def owned(hass, printer, listens):
    """A printer that never had discovery."""
    tell(printer, OWNED)
    await settle(hass)
    return listens


@pytest.fixture
async def moved(hass, printer, listens):
    """A printer that had discovery. The user has renamed one of its entities."""
    tell(printer, DISCOVERED)
    await by_discovery(hass, printer)
    er.async_get(hass).async_update_entity(
        STATUS, name="My rods", new_entity_id="sensor.my_rods"
    )
    await settle(hass)
    before = registered(hass, "mqtt")
    tell(printer, OWNED)
    let_go(hass)
    await settle(hass)
    await pass_time(hass)
    return before


# What the entities are


async def test_they_are_the_same_as_those_of_discovery(hass, printer, listens):
    """An entity keeps its key, platform, unit, classes and attributes."""
    tell(printer, DISCOVERED)
    await by_discovery(hass, printer)
    states = states_of(hass, "mqtt")
    before = {unique: facts(each) for unique, each in registered(hass, "mqtt").items()}
    tell(printer, OWNED)
    let_go(hass)
    await settle(hass)
    await pass_time(hass)

    after = registered(hass, DOMAIN)

    now = {unique: facts(each) for unique, each in after.items()}
    assert differences(now, before) == {}
    assert differences(states_of(hass, DOMAIN), states) == {}
    assert registered(hass, "mqtt") == {}


def differences(now, before):
    """Return what differs, by unique id."""
    return {
        unique: (now.get(unique), before.get(unique))
        for unique in now.keys() | before.keys()
        if now.get(unique) != before.get(unique)
    }


def facts(each):
    capabilities = dict(each.capabilities or {})
    return (
        each.entity_id,
        each.original_name,
        each.original_device_class,
        each.original_icon,
        each.unit_of_measurement,
        each.entity_category,
        each.disabled_by,
        capabilities.get("state_class"),
        capabilities.get("options"),
        each.options.get("sensor", {}).get("suggested_display_precision"),
    )


def states_of(hass, platform):
    states = {}
    for unique, each in registered(hass, platform).items():
        state = hass.states.get(each.entity_id)
        if state is not None:
            kept = {
                name: value
                for name, value in state.attributes.items()
                if name not in ("friendly_name", "restored")
            }
            states[unique] = (state.state, kept)
    return states


async def test_a_printer_is_one_device(hass, owned):
    devices = [
        each
        for entry in hass.config_entries.async_entries()
        for each in dr.async_entries_for_config_entry(
            dr.async_get(hass), entry.entry_id
        )
        if any(INFO.uuid in name for _, name in each.identifiers)
    ]
    (device,) = devices
    assert (device.name, device.entry_type) == ("Voron", None)
    assert device.configuration_url == INFO.url
    assert hass.states.get("todo.voron_maintenance").name == "Voron Maintenance"


async def test_list_and_calendar_have_their_own_names_on_the_printers_device(
    hass, printer, moved
):
    """The oldest version shows the names that the registry has."""
    registry = er.async_get(hass)

    def names():
        entities = ("todo.voron_maintenance", "calendar.voron_maintenance")
        return {registry.async_get(each).original_name for each in entities}

    assert names() == {"Maintenance"}
    printer.send(printer.topic("info"), DISCOVERED.encode())
    await settle(hass)
    assert names() == {None}


async def test_names_and_states_are_translated(hass, printer, entry):
    hass.config.language = "de"
    await hass.config_entries.async_setup(entry.entry_id)
    await settle(hass)
    tell(printer, OWNED)
    await settle(hass)

    assert hass.states.get("sensor.voron_rods_remaining").name == (
        "Voron Oil the rods verbleibend"
    )
    meters = er.async_get(hass)
    bed = meters.async_get("sensor.voron_heater_heater_bed")
    assert bed.original_name == "Heizzeit heater bed"
    assert hass.states.get("sensor.voron_print_time").name == "Voron Druckzeit"
    due = hass.states.get("sensor.voron_due_now")
    assert (due.name, due.state) == ("Voron • Jetzt fällig", "Oil the rods")
    printer.send(printer.topic("summary"), SUMMARY._replace(due=0).encode())
    await settle(hass)
    assert hass.states.get("sensor.voron_due_now").state == "Nichts"


async def test_a_printer_shows_what_it_published(hass, printer, owned):
    assert hass.states.get("binary_sensor.voron_rods_due").state == "on"
    assert hass.states.get("binary_sensor.voron_maintenance_due").state == "on"
    assert hass.states.get("sensor.voron_tasks_due").state == "1"
    assert hass.states.get("sensor.voron_due_now").state == "Oil the rods"
    assert hass.states.get("sensor.voron_print_time").state == "812.3"
    printer.tell(RODS._replace(status="ok"))
    printer.send(printer.topic("summary"), SUMMARY._replace(due=0).encode())
    await settle(hass)
    assert hass.states.get("binary_sensor.voron_rods_due").state == "off"
    assert hass.states.get("binary_sensor.voron_maintenance_due").state == "off"
    assert hass.states.get("sensor.voron_due_now").state == "Nothing"


async def test_what_is_due_fits_into_a_state_and_the_rest_is_counted(
    hass, printer, owned
):
    async def shown(*labels):
        many = SUMMARY._replace(due=len(labels), due_labels=labels)
        printer.send(printer.topic("summary"), many.encode())
        await settle(hass)
        return hass.states.get("sensor.voron_due_now")

    assert (await shown("Rods", "Nozzle")).state == "Rods, Nozzle"
    tasks = [f"Task {each:02}" for each in range(25)]
    assert (await shown(*tasks)).state == ", ".join(tasks)
    for length in (50, 100, 101, 200):
        now = await shown(*["€" * length] * 300)
        others = 300 - now.state.count(",") - 1
        assert now.state.endswith(f"€ and {others} more")
        assert now.attributes["count"] == 300


async def test_the_page_of_a_printer_begins_with_what_is_due(hass, printer, owned):
    """Home Assistant sorts by name, and controls without a category come first.

    The to-do list is the only one, and its state is the number of due tasks.
    """
    known = er.async_entries_for_config_entry(er.async_get(hass), owned.entry_id)
    sensors = ("sensor", "binary_sensor", "calendar", "event")

    first = [
        each.domain
        for each in known
        if each.domain not in sensors and each.entity_category is None
    ]
    assert first == ["todo"]
    names = [each.original_name for each in known if each.original_name]
    assert [each for each in names if not each[0].isalnum()] == ["• Due now"]


async def test_all_attributes_are_small_enough_for_the_recorder(hass, printer, owned):
    """This is so with any configuration, and with any number of due tasks."""
    long = RODS._replace(
        label="€" * 200, message="€" * 1000, guide="€" * 1000, parts="€" * 1000
    )
    printer.tell(long)
    many = SUMMARY._replace(due=99, due_labels=("€" * 200,) * 99)
    printer.send(printer.topic("summary"), many.encode())
    await settle(hass)

    sizes = {
        each.entity_id: len(json_bytes(each.attributes))
        for each in hass.states.async_all()
    }
    assert sizes["sensor.voron_rods_status"] > 1000
    assert sizes["binary_sensor.voron_maintenance_due"] > 1000
    assert max(sizes.values()) < 16_384


async def test_an_entity_is_written_only_when_its_own_value_changes(
    hass, printer, owned
):
    def written():
        return {
            each.entity_id: each.last_reported
            for each in hass.states.async_all()
            if "rods" in each.entity_id
        }

    before = written()
    printer.tell(BELTS._replace(done_count=5))
    await settle(hass)
    assert hass.states.get("sensor.voron_belts_status").attributes["done_count"] == 5
    assert written() == before


async def test_a_printer_that_is_off_keeps_its_last_values(hass, printer, owned):
    printer.send(printer.topic("availability"), "offline")
    await settle(hass)

    assert hass.states.get("binary_sensor.voron_connected").state == "off"
    assert hass.states.get("binary_sensor.voron_rods_due").state == "on"
    assert hass.states.get("button.voron_rods_done").state == "unavailable"


# What the controls do


async def call(hass, domain, action, entity, **data):
    await hass.services.async_call(
        domain, action, {"entity_id": entity, **data}, blocking=True
    )


async def enable(hass, entry, *entities):
    for each in entities:
        er.async_get(hass).async_update_entity(each, disabled_by=None)
    await hass.config_entries.async_reload(entry.entry_id)
    await settle(hass)


async def test_controls_send_their_commands(hass, printer, owned):
    await enable(
        hass,
        owned,
        "button.voron_rods_snooze",
        "button.voron_nozzle_learn",
        "switch.voron_rods_enabled",
        "number.voron_rods_threshold",
        "number.voron_nozzle_time_threshold",
    )
    tell(printer, OWNED)
    await settle(hass)
    for domain, action, name, data in (
        ("button", "press", "rods_done", {}),
        ("button", "press", "rods_snooze", {}),
        ("button", "press", "nozzle_learn", {}),
        ("switch", "turn_off", "rods_enabled", {}),
        ("switch", "turn_on", "rods_enabled", {}),
        ("number", "set_value", "rods_threshold", {"value": 200.0}),
        ("number", "set_value", "nozzle_time_threshold", {"value": 60.0}),
        ("select", "select_option", "nozzle_place", {"option": "extruder1"}),
        ("select", "select_option", "nozzle_place", {"option": "Shelf"}),
    ):
        await call(hass, domain, action, f"{domain}.voron_{name}", **data)

    sent = [
        (task, each.command, each.hours or each.threshold or each.place)
        for task, each in printer.commands
    ]
    assert sent == [
        ("rods", "done", None),
        ("rods", "snooze", 24.0),
        ("nozzle", "learn", None),
        ("rods", "disable", None),
        ("rods", "enable", None),
        ("rods", "set", 200.0),
        ("nozzle", "set", {"time": 1440.0}),
        ("nozzle", "fit", "extruder1"),
        ("nozzle", "remove", None),
    ]


async def test_a_refusal_of_the_printer_is_shown(hass, printer, owned):
    printer.refuse = ("not_ready", "it starts")
    with pytest.raises(HomeAssistantError, match="it starts"):
        await call(hass, "button", "press", "button.voron_rods_done")


async def test_an_event_belongs_to_its_task(hass, printer, owned):
    events = ("event.voron_rods_event", "event.voron_belts_event")
    await enable(hass, owned, *events)
    tell(printer, OWNED)
    await settle(hass)
    printer.happen("done", by="anna", note="n")
    await settle(hass)
    rods, belts = map(hass.states.get, events)
    assert (rods.attributes["event_type"], rods.attributes["by"]) == ("done", "anna")
    assert belts.state == "unknown"


async def test_a_printer_that_accepts_no_commands_has_no_controls(
    hass, printer, listens
):
    tell(printer, OWNED._replace(commands=False))
    await settle(hass)
    kinds = {each.domain for each in registered(hass, DOMAIN).values()}
    assert kinds == {"binary_sensor", "event", "sensor"}


async def test_entities_follow_the_tasks(hass, printer, owned):
    tell(printer, OWNED._replace(tasks=("rods",)))
    await settle(hass)
    assert hass.states.get("sensor.voron_belts_status") is None
    assert not any("belts" in each for each in registered(hass, DOMAIN))

    tell(printer, OWNED)
    await settle(hass)
    assert hass.states.get("sensor.voron_belts_status").state == "ok"


async def test_a_printer_that_leaves_removes_its_entities(hass, printer, owned):
    printer.send(printer.topic("info"), "")
    await settle(hass)
    assert registered(hass, DOMAIN) == {}

    tell(printer, OWNED)
    await settle(hass)
    assert hass.states.get(STATUS).state == "due"


# Moving


async def test_they_keep_ids_names_and_settings_when_they_move(hass, moved):
    after = registered(hass, DOMAIN)
    assert {unique: each.id for unique, each in after.items()} == {
        unique: each.id for unique, each in moved.items()
    }
    state = hass.states.get("sensor.my_rods")
    assert state.state == "due"
    assert state.name.endswith("My rods")
    assert with_identifier(hass, ("mqtt", f"klipper_upkeep_{INFO.uuid}")) is None


async def test_no_entity_is_made_before_mqtt_has_released_it(hass, printer, listens):
    tell(printer, DISCOVERED)
    await by_discovery(hass, printer)
    tell(printer, OWNED)
    await settle(hass)
    await pass_time(hass)
    assert registered(hass, DOMAIN) == {}

    let_go(hass)
    await settle(hass)
    await pass_time(hass)

    assert registered(hass, "mqtt") == {}
    assert hass.states.get(STATUS).state == "due"


@pytest.mark.parametrize("owner", ["integration", ""])
async def test_a_printers_area_is_only_a_suggestion(
    hass, printer, listens, area_registry, owner
):
    def device():
        return with_identifier(hass, (DOMAIN, INFO.uuid))

    info = DISCOVERED._replace(home_assistant=owner, area="Workshop")
    tell(printer, info)
    await settle(hass)
    workshop = area_registry.async_get_area_by_name("Workshop")
    assert device().area_id == workshop.id

    garage = area_registry.async_create("Garage")
    dr.async_get(hass).async_update_device(device().id, area_id=garage.id)
    tell(printer, info._replace(model="Trident", area="Cellar"))
    await settle(hass)
    assert (device().model, device().area_id) == ("Trident", garage.id)


async def test_the_area_moves_with_the_entities(hass, printer, listens, area_registry):
    tell(printer, DISCOVERED)
    await by_discovery(hass, printer)
    area = area_registry.async_create("Workshop")
    device = with_identifier(hass, ("mqtt", f"klipper_upkeep_{INFO.uuid}"))
    dr.async_get(hass).async_update_device(device.id, area_id=area.id)
    tell(printer, OWNED)
    let_go(hass)
    await settle(hass)
    await pass_time(hass)

    assert with_identifier(hass, (DOMAIN, INFO.uuid)).area_id == area.id


@pytest.mark.parametrize("first", ["the integration", "discovery"])
async def test_they_keep_ids_and_names_when_they_move_back(hass, printer, moved, first):
    """The order does not matter: after a restart MQTT comes first."""
    if first == "discovery":
        await by_discovery(hass, printer)
    tell(printer, DISCOVERED)
    await settle(hass)
    if first == "the integration":
        await by_discovery(hass, printer)

    back = registered(hass, "mqtt")
    assert {unique: each.entity_id for unique, each in back.items()} == {
        unique: each.entity_id for unique, each in moved.items()
    }
    assert registered(hass, DOMAIN) == {}
    state = hass.states.get("sensor.my_rods")
    assert state.state == "due"
    assert state.name.endswith("My rods")
    assert with_identifier(hass, (DOMAIN, INFO.uuid)).name == "Voron maintenance"


async def test_they_survive_a_reload(hass, printer, moved, entry):
    before = registered(hass, DOMAIN)
    await hass.config_entries.async_reload(entry.entry_id)
    await settle(hass)
    tell(printer, OWNED)
    await settle(hass)
    after = registered(hass, DOMAIN)
    assert {unique: each.id for unique, each in after.items()} == {
        unique: each.id for unique, each in before.items()
    }
    assert hass.states.get("sensor.my_rods").state == "due"
