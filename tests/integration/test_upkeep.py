"""To-do list, calendar, repairs and actions, with a printer that answers."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
import voluptuous as vol
from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Context, Event
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.klipper_upkeep import async_remove_config_entry_device, words
from custom_components.klipper_upkeep import fleet as fleet_module
from custom_components.klipper_upkeep.const import DOMAIN, EVENT
from custom_components.klipper_upkeep.contract import Command, Limit
from custom_components.klipper_upkeep.devices import with_identifier
from custom_components.klipper_upkeep.diagnostics import (
    async_get_config_entry_diagnostics,
)
from custom_components.klipper_upkeep.logbook import async_describe_events
from custom_components.klipper_upkeep.repairs import async_create_fix_flow

from .conftest import BELTS, INFO, LOG, RODS, Printer

TODO = "todo.voron_maintenance"
CALENDAR = "calendar.voron_maintenance"
UPDATE = "update.voron_maintenance_software_of_the_printer"
DATE = "date.voron_maintenance_oil_the_rods_last_done_on"
REPAIR = f"due.{INFO.uuid}.rods"
REPAIRS = {"repairs": True, "repairs_margin": 1}


async def settle(hass):
    await hass.async_block_till_done(wait_background_tasks=True)


def device_of(hass, uuid=INFO.uuid):
    return with_identifier(hass, (DOMAIN, uuid))


async def items(hass):
    response = await hass.services.async_call(
        "todo", "get_items", {"entity_id": TODO}, blocking=True, return_response=True
    )
    return response[TODO]["items"]


async def tick(hass, status="completed", context=None, **more):
    await hass.services.async_call(
        "todo",
        "update_item",
        {"entity_id": TODO, "item": "rods", "status": status, **more},
        blocking=True,
        context=context,
    )


# Printers are added, removed and recognised.


async def test_a_printer_is_one_device_with_a_list_and_a_calendar(hass, loaded):
    device = device_of(hass)
    assert device.name == "Voron maintenance"
    assert device.entry_type is dr.DeviceEntryType.SERVICE
    entities = er.async_entries_for_device(er.async_get(hass), device.id)
    shown = [each.entity_id for each in entities if not each.disabled_by]
    assert sorted(shown) == [CALENDAR, TODO, UPDATE]


async def test_a_device_of_mqtt_that_comes_later_is_used(hass, printer, loaded):
    """Discovery is sent after the tasks, and Home Assistant needs time for it."""
    assert device_of(hass).via_device_id is None
    theirs = mqtt_device(hass)
    await settle(hass)
    assert device_of(hass).via_device_id == theirs.id

    dr.async_get(hass).async_remove_device(theirs.id)
    again = mqtt_device(hass)
    await settle(hass)
    assert device_of(hass).via_device_id == again.id


def mqtt_device(hass, uuid=INFO.uuid):
    (mqtt,) = hass.config_entries.async_entries("mqtt")
    return dr.async_get(hass).async_get_or_create(
        config_entry_id=mqtt.entry_id,
        identifiers={("mqtt", f"klipper_upkeep_{uuid}")},
    )


async def test_the_device_gets_a_new_name_and_version(hass, printer, loaded):
    printer.send(
        printer.topic("info"),
        INFO._replace(name="Trident", model="Trident", version="9").encode(),
    )
    await settle(hass)
    device = device_of(hass)
    assert (device.name, device.model) == ("Trident maintenance", "Trident")
    assert device.sw_version == "9"


async def test_the_device_is_below_the_one_that_discovery_made(hass, printer, entry):
    (mqtt,) = hass.config_entries.async_entries("mqtt")
    theirs = dr.async_get(hass).async_get_or_create(
        config_entry_id=mqtt.entry_id,
        identifiers={("mqtt", f"klipper_upkeep_{INFO.uuid}")},
    )
    await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    await settle(hass)
    assert device_of(hass).via_device_id == theirs.id


async def test_a_printer_that_comes_later_is_added_and_one_that_leaves_removed(
    hass, printer, loaded, mqtt_mock
):
    ender = Printer(hass, mqtt_mock, "ender")
    ender.introduce(INFO._replace(uuid="beef", name="Ender"))
    await settle(hass)
    assert hass.states.get("todo.ender_maintenance").state == "1"

    ender.send(ender.topic("info"), "")
    await settle(hass)
    assert hass.states.get("todo.ender_maintenance") is None
    assert device_of(hass, "beef") is None
    assert hass.states.get(TODO) is not None


async def test_a_printer_that_leaves_and_returns_is_added_again(hass, printer, loaded):
    printer.send(printer.topic("info"), "")
    await settle(hass)
    assert hass.states.get(TODO) is None

    printer.introduce()
    await settle(hass)

    assert hass.states.get(TODO).state == "1"
    assert device_of(hass) is not None


async def test_another_machine_with_the_same_name_is_another_device(
    hass, printer, loaded
):
    printer.introduce(INFO._replace(uuid="beef"))
    await settle(hass)
    assert device_of(hass) is None
    assert device_of(hass, "beef") is not None


async def test_a_renamed_printer_keeps_its_device_and_entities(
    hass, printer, loaded, mqtt_mock
):
    """It publishes everything under its new name, and clears its old topics."""
    before = device_of(hass)
    removed = async_capture_events(hass, er.EVENT_ENTITY_REGISTRY_UPDATED)
    trident = Printer(hass, mqtt_mock, "trident")

    trident.introduce(INFO._replace(name="Trident"))
    for topic in ("info", "availability"):
        printer.send(printer.topic(topic), "")
    for task in INFO.tasks:
        printer.send(printer.topic("task", task), "")
    await settle(hass)

    after = device_of(hass)
    assert (after.id, after.name) == (before.id, "Trident maintenance")
    assert [each.data for each in removed if each.data["action"] == "remove"] == []
    assert hass.states.get(TODO).state == "1"
    await act(hass, "done")
    assert [task for task, _ in trident.commands] == ["rods"]
    assert list(loaded.runtime_data.printers) == ["trident"]


async def test_a_printer_that_is_off_still_has_its_tasks(hass, printer, loaded, caplog):
    caplog.set_level("INFO")
    printer.send(printer.topic("availability"), "offline")
    await settle(hass)
    assert hass.states.get(TODO).state == "1"
    printer.send(printer.topic("availability"), "online")
    await settle(hass)
    assert hass.states.get(TODO).state == "1"
    assert caplog.text.count("Voron is offline") == 1
    assert caplog.text.count("Voron is online") == 1


@pytest.fixture
def broker(hass, mqtt_mock):
    """Return functions that take the broker away and bring it back."""

    async def switch(there):
        mqtt_mock.connected = there
        async_dispatcher_send(hass, mqtt.MQTT_CONNECTION_STATE, there)
        await settle(hass)

    return switch


async def test_without_a_broker_everything_is_unavailable_and_nothing_is_sent(
    hass, printer, loaded, broker
):
    await broker(False)
    for entity in (TODO, CALENDAR):
        assert hass.states.get(entity).state == "unavailable"
    with pytest.raises(HomeAssistantError, match="nothing will be sent later"):
        await act(hass, "done")

    await broker(True)

    assert printer.commands == []
    assert hass.states.get(TODO).state == "1"
    with pytest.raises(HomeAssistantError, match="is off"):
        await act(hass, "done")  # The availability has to arrive again.
    printer.send(printer.topic("availability"), "online")
    await act(hass, "done")
    assert len(printer.commands) == 1


async def test_a_calendar_limit_that_passes_while_the_printer_is_off_is_due(
    hass, printer, loaded
):
    hour = Limit("time", "h", 720.0, 719.0, 1.0, 99.9, 72.0)
    long_ago = dt_util.utcnow().timestamp() - 7200.0
    printer.tell(BELTS._replace(limits=(hour,), trigger="time", time=long_ago))
    await settle(hass)
    assert hass.states.get(TODO).state == "1"  # The printer itself will publish it.

    printer.send(printer.topic("availability"), "offline")
    await settle(hass)

    assert hass.states.get(TODO).state == "2"


async def test_nothing_is_shown_before_all_tasks_have_arrived(hass, printer, entry):
    await hass.config_entries.async_setup(entry.entry_id)
    printer.send(printer.topic("info"), INFO.encode())
    printer.tell(RODS)
    await settle(hass)
    assert hass.states.get(TODO) is None
    printer.tell(BELTS)
    await settle(hass)
    assert hass.states.get(TODO) is not None


async def test_only_a_printer_that_is_off_can_be_deleted_by_hand(hass, printer, loaded):
    device = device_of(hass)
    assert not await async_remove_config_entry_device(hass, loaded, device)
    printer.send(printer.topic("availability"), "offline")
    await settle(hass)
    assert await async_remove_config_entry_device(hass, loaded, device)
    dr.async_get(hass).async_remove_device(device.id)
    await settle(hass)
    assert hass.states.get(TODO) is None

    printer.introduce()
    await settle(hass)
    assert hass.states.get(TODO).state == "1"


async def test_an_invalid_message_is_logged_once_and_changes_nothing(
    hass, printer, loaded, caplog
):
    for _ in range(3):
        printer.send(printer.topic("task", "rods"), '{"schema": 1}')
        printer.send(printer.topic("availability"), "perhaps")
        printer.send("klipper_upkeep/Not A Slug/info", "{}")
    await settle(hass)
    assert caplog.text.count("Ignored a message on") == 3


async def test_an_empty_event_or_result_is_ignored(hass, printer, loaded, caplog):
    printer.send(printer.topic("events"), "")
    printer.send(printer.topic("results"), "")
    await settle(hass)
    assert "Ignored a message" not in caplog.text
    assert hass.states.get(TODO).state == "1"


async def test_a_removed_task_leaves_the_list(hass, printer, loaded):
    printer.send(printer.topic("info"), INFO._replace(tasks=("belts",)).encode())
    printer.send(printer.topic("task", "rods"), "")
    await settle(hass)
    assert hass.states.get(TODO).state == "0"


async def test_a_task_that_info_no_longer_lists_is_removed_at_once(
    hass, printer, loaded
):
    printer.send(printer.topic("info"), INFO._replace(tasks=("belts",)).encode())
    await settle(hass)
    assert hass.states.get(TODO).state == "0"
    with pytest.raises(ServiceValidationError, match="has no task rods"):
        await act(hass, "done")


async def test_without_mqtt_the_setup_is_tried_again(hass, entry):
    assert await async_setup_component(hass, DOMAIN, {})
    await settle(hass)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert "not connected to an MQTT broker" in entry.reason


async def test_the_entry_unloads_completely_and_loads_again(hass, printer, entry):
    hass.config_entries.async_update_entry(entry, options=REPAIRS)
    await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    await settle(hass)
    fired = async_capture_events(hass, EVENT)
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert hass.states.get(TODO).state == "unavailable"
    assert ir.async_get(hass).async_get_issue(DOMAIN, REPAIR) is None
    printer.happen("done")
    await settle(hass)
    assert fired == []  # no subscription is left

    assert await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    printer.happen("done")
    await settle(hass)
    assert hass.states.get(TODO).state == "1"
    assert len(fired) == 1  # now there is one again


async def test_no_message_is_read_after_the_entry_was_unloaded(
    hass, printer, loaded, caplog
):
    assert await hass.config_entries.async_unload(loaded.entry_id)
    printer.send(printer.topic("availability"), "perhaps")
    await settle(hass)
    assert "Ignored a message" not in caplog.text


async def test_a_calendar_limit_is_checked_while_no_message_comes(
    hass, printer, loaded, freezer
):
    hour = Limit("time", "h", 720.0, 719.0, 1.0, 99.9, 72.0)
    now = dt_util.utcnow()
    printer.tell(
        BELTS._replace(limits=(hour,), trigger="time", time=now.timestamp() - 3540.0)
    )
    printer.send(printer.topic("availability"), "offline")
    await settle(hass)
    assert hass.states.get(TODO).state == "1"  # one minute is left

    freezer.tick(15 * 60)
    async_fire_time_changed(hass)
    await settle(hass)

    assert hass.states.get(TODO).state == "2"


async def test_every_topic_is_subscribed_with_a_quality_that_loses_nothing(
    hass, mqtt_mock, loaded
):
    ours = {
        call.args[0]: call.args[2] if len(call.args) > 2 else call.kwargs["qos"]
        for call in mqtt_mock.async_subscribe.call_args_list
        if call.args[0].startswith("klipper_upkeep/")
    }
    assert len(ours) == 7
    assert set(ours.values()) == {1}


async def test_an_ignored_repair_stays_ignored_over_a_reload(hass, printer, entry):
    hass.config_entries.async_update_entry(entry, options=REPAIRS)
    await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    await settle(hass)
    ir.async_ignore_issue(hass, DOMAIN, REPAIR, True)

    await hass.config_entries.async_reload(entry.entry_id)
    printer.introduce()
    await settle(hass)

    issue = ir.async_get(hass).async_get_issue(DOMAIN, REPAIR)
    assert issue.dismissed_version is not None


async def test_two_base_topics_are_two_fleets(hass, printer, loaded, mqtt_mock):
    """This is so even if both have a printer with the same name."""
    other = MockConfigEntry(
        domain=DOMAIN, data={"base_topic": "farm"}, unique_id="farm"
    )
    other.add_to_hass(hass)
    assert await hass.config_entries.async_setup(other.entry_id)
    await settle(hass)
    theirs = Printer(hass, mqtt_mock, base="farm")
    theirs.introduce(INFO._replace(uuid="beef", name="Voron"))
    await settle(hass)
    device = device_of(hass, "beef")

    await hass.services.async_call(
        DOMAIN, "done", {"device_id": device.id, "task": "rods"}, blocking=True
    )

    assert len(theirs.commands) == 1
    assert printer.commands == []


# The to-do list


async def test_the_list_has_due_tasks_with_message_parts_and_guide(hass, loaded):
    (item,) = await items(hass)
    assert item["summary"] == "Oil the rods"
    assert item["description"] == (
        "One drop on each.\nParts: PTFE oil\nhttps://example.org/rods"
    )


@pytest.mark.parametrize(
    ("percent", "order"),
    [
        (115.0, ["Check the belts", "Oil the rods"]),
        (101.0, ["Oil the rods", "Check the belts"]),
    ],
)
async def test_the_most_overdue_task_comes_first(hass, printer, loaded, percent, order):
    """The rods are at 102 percent."""
    used = BELTS.limits[0]._replace(remaining=-2.0, percent=percent)
    printer.tell(BELTS._replace(limits=(used,), status="due"))
    await settle(hass)
    assert [each["summary"] for each in await items(hass)] == order


async def test_a_tick_marks_done_with_the_users_name_and_can_be_undone(
    hass, printer, loaded, hass_admin_user
):
    hass_admin_user.name = "Anna"
    await tick(hass, context=Context(user_id=hass_admin_user.id))
    ((task, command),) = printer.commands
    assert (task, command.command, command.by) == ("rods", "done", "Anna")
    assert 1 in printer.qualities[0][0] or printer.qualities[0][1].get("qos") == 1
    await settle(hass)
    (item,) = await items(hass)
    assert item["status"] == "completed"

    await tick(hass, "needs_action")

    assert printer.commands[-1][1].command == "adjust"
    assert printer.commands[-1][1].used == {"print_time": 151.0}
    printer.tell(RODS._replace(seq=999))
    await settle(hass)
    (item,) = await items(hass)
    assert item["status"] == "needs_action"


async def test_a_tick_in_the_same_second_as_one_that_was_undone_is_completed(
    hass, printer, loaded, freezer
):
    freezer.move_to("2026-11-24 12:00")
    await tick(hass)
    await settle(hass)
    await tick(hass, "needs_action")
    now = int(dt_util.utcnow().timestamp())
    printer.seq += 1
    printer.tell(RODS._replace(seq=printer.seq, done_count=printer.done, last_done=now))
    await settle(hass)

    await tick(hass)

    await settle(hass)
    (item,) = await items(hass)
    assert item["status"] == "completed"


async def test_completed_items_come_last_and_the_newest_first(hass, printer, loaded):
    now = int(dt_util.utcnow().timestamp())
    printer.tell(RODS._replace(status="ok", last_done=now - 3600))
    printer.tell(BELTS._replace(last_done=now - 60))
    await settle(hass)
    assert [(each["summary"], each["status"]) for each in await items(hass)] == [
        ("Check the belts", "completed"),
        ("Oil the rods", "completed"),
    ]


async def test_a_completed_item_is_removed_after_a_day(hass, printer, loaded, freezer):
    await tick(hass)
    await settle(hass)
    freezer.tick(23 * 3600)
    assert len(await items(hass)) == 1
    freezer.tick(2 * 3600)
    assert await items(hass) == []


async def test_an_item_can_only_be_ticked_off(hass, printer, loaded):
    with pytest.raises(ServiceValidationError, match="can tick a task off"):
        await tick(hass, "needs_action", rename="Something else")
    assert printer.commands == []


async def test_tasks_that_are_due_soon_are_listed_if_the_option_says_so(
    hass, printer, entry
):
    hass.config_entries.async_update_entry(entry, options={"list_soon": True})
    await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    printer.tell(BELTS._replace(status="soon"))
    await settle(hass)
    assert hass.states.get(TODO).state == "2"


async def test_one_list_can_have_the_tasks_of_all_printers(
    hass, printer, entry, mqtt_mock
):
    hass.config_entries.async_update_entry(entry, options={"one_list": True})
    await hass.config_entries.async_setup(entry.entry_id)
    ender = Printer(hass, mqtt_mock, "ender")
    ender.introduce(INFO._replace(uuid="beef", name="Ender"))
    printer.introduce()
    await settle(hass)
    (entity,) = hass.states.async_entity_ids("todo")
    response = await hass.services.async_call(
        "todo", "get_items", {"entity_id": entity}, blocking=True, return_response=True
    )
    assert [each["summary"] for each in response[entity]["items"]] == [
        "Ender: Oil the rods",
        "Voron: Oil the rods",
    ]
    assert hass.states.get(TODO) is None

    mqtt_mock.async_publish.side_effect = printer.published
    await hass.services.async_call(
        "todo",
        "update_item",
        {"entity_id": entity, "item": "Voron: Oil the rods", "status": "completed"},
        blocking=True,
    )
    assert printer.commands[0][0] == "rods"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("unknown_task", ServiceValidationError),
        ("bad_argument", ServiceValidationError),
        ("not_ready", HomeAssistantError),
        ("internal", HomeAssistantError),
    ],
)
async def test_a_refusal_of_the_printer_reaches_the_user(
    hass, printer, loaded, code, error
):
    printer.refuse = (code, "since the test says so")
    with pytest.raises(error, match="Voron") as caught:
        await tick(hass)
    assert caught.value.translation_key == code
    assert isinstance(caught.value, ServiceValidationError) == (
        error is ServiceValidationError
    )
    assert len(await items(hass)) == 1


async def test_a_tick_on_the_list_of_a_printer_that_is_off_fails_and_sends_nothing(
    hass, printer, loaded
):
    printer.send(printer.topic("availability"), "offline")
    with pytest.raises(HomeAssistantError, match="is off"):
        await tick(hass)
    assert len(await items(hass)) == 1
    printer.send(printer.topic("availability"), "online")
    await settle(hass)
    assert printer.commands == []


async def test_a_printer_that_does_not_answer_is_an_error(
    hass, printer, loaded, monkeypatch
):
    monkeypatch.setattr(fleet_module, "ANSWER_WITHIN", 0.05)
    printer.mute = True
    with pytest.raises(HomeAssistantError, match="did not answer"):
        await tick(hass)


async def test_a_result_for_somebody_else_ends_no_request(hass, printer, loaded):
    printer.send(
        printer.topic("results"),
        '{"schema":1,"transaction":"x","task":"rods","ok":true,"seq":1}',
    )
    await settle(hass)
    assert len(await items(hass)) == 1


# The calendar


async def events_between(hass, start, end):
    response = await hass.services.async_call(
        "calendar",
        "get_events",
        {"entity_id": CALENDAR, "start_date_time": start, "end_date_time": end},
        blocking=True,
        return_response=True,
    )
    return [
        (each["start"], each["summary"], each.get("description"))
        for each in response[CALENDAR]["events"]
    ]


async def test_the_calendar_has_the_forecast_and_the_log_of_all_tasks_in_order(
    hass, printer, loaded, broker
):
    assert hass.states.get(CALENDAR).attributes["message"] == "Voron: Check the belts"
    window = ("2026-11-01 00:00:00", "2027-01-31 00:00:00")

    first = await events_between(hass, *window)

    assert [(summary, who) for _, summary, who in first if "✓" in summary] == [
        ("Voron: ✓ Oil the rods", "berta"),
        ("Voron: ✓ Check the belts", "anna, tight"),
    ]
    assert [day for day, *_ in first] == sorted(day for day, *_ in first)
    # The log is requested once for all tasks, and kept until the next event.
    assert [command.every for _, command in printer.commands] == [True]
    assert await events_between(hass, *window) == first
    assert len(printer.commands) == 1
    printer.happen("done", "belts")
    await settle(hass)
    await events_between(hass, *window)
    assert len(printer.commands) == 2
    # Events that came while the broker was away are not known.
    await broker(False)
    await broker(True)
    printer.send(printer.topic("availability"), "online")
    await events_between(hass, *window)
    assert len(printer.commands) == 3


async def test_the_calendar_includes_its_start_and_excludes_its_end(
    hass, printer, loaded
):
    """The belts were done on the 20th in UTC, which is the time zone of the test."""
    day = dt_util.as_local(dt_util.utc_from_timestamp(LOG[0].time)).date()
    after = day + timedelta(days=1)

    async def completions(start, end):
        completions = await events_between(hass, f"{start} 00:00:00", f"{end} 00:00:00")
        return [text for _, text, _ in completions if "belts" in text and "✓" in text]

    assert await completions(day, after) == ["Voron: ✓ Check the belts"]
    assert await completions(day - timedelta(days=1), day) == []
    assert await completions(after, after + timedelta(days=1)) == []


@pytest.mark.parametrize(("rods", "belts"), [(3, 10), (10, 3)])
async def test_of_two_forecasts_the_next_is_the_state_and_both_are_in_order(
    hass, printer, loaded, rods, belts
):
    now = dt_util.utcnow()
    for state, days in ((RODS, rods), (BELTS, belts)):
        at = int((now + timedelta(days=days)).timestamp())
        printer.tell(state._replace(due_at=at))
    await settle(hass)
    order = ["Voron: Oil the rods", "Voron: Check the belts"]
    order = order if rods < belts else order[::-1]

    assert hass.states.get(CALENDAR).attributes["message"] == order[0]
    window = (now + timedelta(days=each) for each in (1, 30))
    listed = await events_between(hass, *(f"{day.date()} 00:00:00" for day in window))
    assert [text for _, text, _ in listed] == order
    assert printer.commands == []  # The log has no future events.


async def test_a_forecast_in_the_past_is_shown_today(hass, printer, loaded):
    days_ago = dt_util.utcnow() - timedelta(days=5)
    printer.tell(BELTS._replace(due_at=int(days_ago.timestamp())))
    await settle(hass)
    start = hass.states.get(CALENDAR).attributes["start_time"]
    assert start[:10] == str(dt_util.now().date())


@pytest.mark.parametrize("mute", [False, True])
async def test_the_forecast_is_shown_without_the_log(
    hass, printer, loaded, monkeypatch, mute
):
    """The log is requested once, so the calendar waits only for one result."""
    monkeypatch.setattr(fleet_module, "ANSWER_WITHIN", 0.05)
    printer.mute = mute
    printer.refuse = ("internal", "no log")
    entity = hass.data["entity_components"]["calendar"].get_entity(CALENDAR)
    start, end = map(
        dt_util.parse_datetime, ("2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z")
    )
    events = await entity.async_get_events(hass, start, end)
    assert [each.summary for each in events] == ["Voron: Check the belts"]
    assert len(printer.commands) == 1


# The date of the last completion, and the printer's software


@pytest.fixture
async def dated(hass, printer, loaded):
    """A printer with a task whose date is enabled."""
    er.async_get(hass).async_update_entity(DATE, disabled_by=None)
    await hass.config_entries.async_reload(loaded.entry_id)
    printer.introduce()
    await settle(hass)
    return loaded


async def set_date(hass, day):
    await hass.services.async_call(
        "date", "set_value", {"entity_id": DATE, "date": day}, blocking=True
    )


async def test_a_date_that_is_set_is_the_day_of_the_completion(hass, printer, dated):
    today = dt_util.now()
    # this is another day in UTC
    late = today.replace(hour=23, minute=30) - timedelta(days=9)
    printer.tell(RODS._replace(last_done=int(late.timestamp())))
    await settle(hass)
    assert hass.states.get(DATE).state == str(late.date())

    await set_date(hass, str(today.date() - timedelta(days=3)))
    await set_date(hass, str(today.date()))

    noon, now = (command.at for _, command in printer.commands)
    assert dt_util.as_local(dt_util.utc_from_timestamp(noon)).isoformat()[:13] == (
        f"{today.date() - timedelta(days=3)}T12"
    )
    assert int(today.timestamp()) <= now <= int(dt_util.utcnow().timestamp())


async def test_a_future_date_is_refused(hass, printer, dated):
    with pytest.raises(ServiceValidationError, match="in the future"):
        await set_date(hass, "2999-01-01")
    assert printer.commands == []


async def test_actions_accept_a_date_for_its_task_and_it_is_removed_with_it(
    hass, printer, dated
):
    await hass.services.async_call(DOMAIN, "skip", {"entity_id": DATE}, blocking=True)
    assert [task for task, _ in printer.commands] == ["rods"]

    printer.send(printer.topic("info"), INFO._replace(tasks=("belts",)).encode())
    await settle(hass)

    assert er.async_get(hass).async_get(DATE) is None
    printer.introduce()
    await settle(hass)
    assert er.async_get(hass).async_get(DATE) is not None


async def test_the_date_of_a_task_removed_without_home_assistant_is_removed(
    hass, printer, dated
):
    await hass.config_entries.async_unload(dated.entry_id)
    await hass.config_entries.async_setup(dated.entry_id)
    printer.introduce(INFO._replace(tasks=("belts",)))
    await settle(hass)
    assert er.async_get(hass).async_get(DATE) is None


@pytest.mark.parametrize(
    ("version", "state", "latest"),
    [
        ("0.0.9", "on", None),
        (None, "off", None),
        ("99.0.0", "off", "99.0.0"),
        ("", "unknown", None),
    ],
)
async def test_an_extra_that_is_older_than_the_integration_is_shown_as_an_update(
    hass, printer, loaded, version, state, latest
):
    ours = json.loads((Path(words.__file__).parent / "manifest.json").read_text())
    ours = ours["version"]
    extra_version = ours if version is None else version
    printer.send(printer.topic("info"), INFO._replace(version=extra_version).encode())
    await settle(hass)
    shown = hass.states.get(UPDATE)
    assert shown.state == state
    assert shown.attributes["latest_version"] == (latest or ours)


# Repairs


@pytest.fixture
async def repaired(hass, printer, entry):
    """The entry with repairs for tasks that are overdue by one percent."""
    hass.config_entries.async_update_entry(entry, options=REPAIRS)
    await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    await settle(hass)
    return entry


async def test_an_overdue_task_is_a_repair_until_it_is_done(hass, printer, repaired):
    issues = ir.async_get(hass)
    issue = issues.async_get_issue(DOMAIN, REPAIR)
    assert issue.is_fixable
    assert issue.learn_more_url == "https://example.org/rods"
    assert issue.translation_placeholders["printer"] == "Voron"
    assert issues.async_get_issue(DOMAIN, f"due.{INFO.uuid}.belts") is None
    await tick(hass)
    await settle(hass)
    assert issues.async_get_issue(DOMAIN, REPAIR) is None


async def test_a_printer_that_leaves_removes_its_repairs(hass, printer, repaired):
    printer.send(printer.topic("info"), "")
    await settle(hass)
    assert ir.async_get(hass).async_get_issue(DOMAIN, REPAIR) is None


@pytest.mark.parametrize("options", [{}, {"repairs": True}])
async def test_repairs_need_the_option_and_a_task_that_is_overdue_enough(
    hass, printer, entry, options
):
    hass.config_entries.async_update_entry(entry, options=options)
    await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    await settle(hass)
    assert hass.states.get(TODO).state == "1"
    assert ir.async_get(hass).async_get_issue(DOMAIN, REPAIR) is None


async def post(client, url, data, status=HTTPStatus.OK):
    response = await client.post(url, json=data)
    assert response.status == status, await response.text()
    return await response.json()


FLOWS = "/api/repairs/issues/fix"


async def open_flow(hass, hass_client):
    assert await async_setup_component(hass, "repairs", {})
    client = await hass_client()
    flow = await post(client, FLOWS, {"handler": DOMAIN, "issue_id": REPAIR})
    return client, flow


async def test_a_repair_asks_for_a_note_and_marks_done_with_the_users_name(
    hass, printer, repaired, hass_client, hass_admin_user
):
    hass_admin_user.name = "Anna"
    client, flow = await open_flow(hass, hass_client)
    assert flow["step_id"] == "confirm"
    assert flow["description_placeholders"]["message"] == "One drop on each."
    done = await post(client, f"{FLOWS}/{flow['flow_id']}", {"note": "dry"})
    assert done["type"] == "create_entry"
    ((_, command),) = printer.commands
    assert (command.by, command.note) == ("Anna", "dry")


async def test_a_repair_shows_the_printers_refusal(
    hass, printer, repaired, hass_client
):
    client, flow = await open_flow(hass, hass_client)
    printer.refuse = ("not_ready", "shut down")
    again = await post(client, f"{FLOWS}/{flow['flow_id']}", {})
    assert again["errors"] == {"base": "not_ready"}


async def test_a_repair_without_a_broker_fails_with_a_text_and_is_not_sent_later(
    hass, printer, repaired, hass_client, broker
):
    client, flow = await open_flow(hass, hass_client)
    await broker(False)
    again = await post(client, f"{FLOWS}/{flow['flow_id']}", {"note": "dry"})
    assert again["errors"] == {"base": "broker_away"}
    await broker(True)
    printer.send(printer.topic("availability"), "online")
    await settle(hass)
    assert printer.commands == []


async def test_the_repair_of_a_removed_task_ends(hass, printer, repaired, hass_client):
    client, flow = await open_flow(hass, hass_client)
    repaired.runtime_data.printers["voron"].tasks.clear()
    gone = await post(client, f"{FLOWS}/{flow['flow_id']}", {})
    assert gone["reason"] == "gone"


async def test_a_repair_from_before_a_restart_without_its_entry_ends(hass):
    flow = await async_create_fix_flow(hass, REPAIR, None)
    flow.hass = hass
    flow.handler, flow.flow_id = DOMAIN, "x"
    assert (await flow.async_step_init())["reason"] == "gone"


# Actions


async def act(hass, action, task="rods", context=None, **fields):
    return await hass.services.async_call(
        DOMAIN,
        action,
        {"device_id": device_of(hass).id, "task": task, **fields},
        blocking=True,
        return_response=action == "get_log",
        context=context,
    )


@pytest.mark.parametrize(
    ("action", "fields", "command"),
    [
        ("done", {}, Command("done")),
        (
            "done",
            {"note": "n", "by": "b", "at": "2026-11-20T18:30:00+01:00", "used": 1.5},
            Command("done", note="n", by="b", at=1795195800, used=1.5),
        ),
        ("done", {"condition": "worn"}, Command("done", condition="worn")),
        ("take_suggestion", {}, Command("learn")),
        ("fit_part", {"note": "n"}, Command("fit", note="n")),
        ("fit_part", {"place": "bed"}, Command("fit", place="bed")),
        ("remove_part", {"by": "b"}, Command("remove", by="b")),
        ("skip", {"note": "n"}, Command("skip", note="n")),
        ("snooze", {"hours": 24}, Command("snooze", hours=24.0)),
        (
            "set_threshold",
            {"threshold": 200, "warn_at": 20},
            Command("set", threshold=200.0, warn_at=20.0),
        ),
        (
            "set_threshold",
            {"threshold": 200, "meter": "print_time"},
            Command("set", threshold={"print_time": 200.0}),
        ),
        (
            "set_threshold",
            {"threshold": 200, "warn_at": 20, "meter": "print_time"},
            Command("set", threshold={"print_time": 200.0}, warn_at={"print_time": 20}),
        ),
        ("adjust", {"used": 42}, Command("adjust", used=42.0)),
        (
            "adjust",
            {"used": 42, "meter": "print_time"},
            Command("adjust", used={"print_time": 42.0}),
        ),
        ("unsnooze", {}, Command("unsnooze")),
        ("enable", {}, Command("enable")),
        ("disable", {}, Command("disable")),
    ],
)
async def test_an_action_sends_one_command(
    hass, printer, loaded, action, fields, command
):
    await act(hass, action, **fields)
    ((task, sent),) = printer.commands
    assert task == "rods"
    assert sent._replace(transaction=None) == command


async def test_an_action_has_the_name_of_the_user_who_runs_it(
    hass, printer, loaded, hass_admin_user
):
    hass_admin_user.name = "Anna"
    await act(hass, "skip", context=Context(user_id=hass_admin_user.id))
    assert printer.commands[0][1].by == "Anna"


async def test_get_log_returns_the_log(hass, printer, loaded):
    response = await act(hass, "get_log", "Belts", limit=2)
    assert response["log"][0] == {
        "time": "2026-11-20T23:58:20Z",
        "task": "belts",
        "event": "done",
        "by": "anna",
        "note": "tight",
        "used": {"print_time": 199.0},
        "condition": "",
    }
    assert printer.commands[0][1].limit == 2


async def call(hass, action, **data):
    await hass.services.async_call(DOMAIN, action, data, blocking=True)


async def test_a_task_can_be_given_by_label_slug_and_entity_of_both_devices(
    hass, printer, loaded
):
    theirs, ours = mqtt_device(hass), device_of(hass)
    (entry,) = hass.config_entries.async_entries("mqtt")
    due = er.async_get(hass).async_get_or_create(
        "binary_sensor",
        "mqtt",
        f"{INFO.uuid}_task.rods.due",
        device_id=theirs.id,
        config_entry=entry,
    )
    for named in (
        {"device_id": ours.id, "task": "rods"},
        {"device_id": theirs.id, "task": "oil THE rods"},
        {"entity_id": TODO, "task": "Rods"},
        {"entity_id": due.entity_id},
    ):
        await call(hass, "skip", **named)
    assert [task for task, _ in printer.commands] == ["rods"] * 4


async def test_one_action_can_have_several_tasks(hass, printer, loaded):
    device = device_of(hass).id
    await call(hass, "snooze", hours=5, device_id=[device], task=["rods", "belts"])
    assert sorted(task for task, _ in printer.commands) == ["belts", "rods"]


TWO = (*BELTS.limits, Limit("time", "h", 720.0, 0.0, 720.0, 0.0, 72.0))


async def test_an_amount_for_a_task_with_several_limits_needs_the_meter(
    hass, printer, loaded
):
    printer.tell(BELTS._replace(limits=TWO))
    await settle(hass)
    with pytest.raises(ServiceValidationError, match="print_time, time"):
        await act(hass, "adjust", "belts", used=5)
    with pytest.raises(ServiceValidationError, match="print_time, time"):
        await act(hass, "adjust", "belts", used=5, meter="filament")
    await act(hass, "done", "belts", used=5, meter="time")
    assert [command.used for _, command in printer.commands] == [{"time": 5.0}]


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("done", {"task": []}),
        ("done", {"task": "Nozzle"}),
        ("done", {"task": "rods", "note": "ß" * 1001}),
        ("done", {"task": "rods", "note": '"' * 1000, "by": "€" * 1000}),
        ("adjust", {"task": "rods", "used": float("inf")}),
        ("adjust", {"task": "rods", "used": float("nan")}),
        ("snooze", {"task": "rods", "hours": 1e300}),
    ],
)
async def test_an_impossible_action_is_refused_before_it_is_sent(
    hass, printer, loaded, action, data
):
    with pytest.raises((ServiceValidationError, vol.Invalid)):
        await call(hass, action, device_id=device_of(hass).id, **data)
    assert printer.commands == []


async def test_an_action_without_any_target_is_refused(hass, printer, loaded):
    with pytest.raises(ServiceValidationError, match="Give a printer's device"):
        await call(hass, "done", task="rods")


async def test_a_device_that_is_no_printer_is_refused(hass, printer, loaded, entry):
    other = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("mqtt", "toaster")}
    )
    for device in (other.id, "none"):
        with pytest.raises(ServiceValidationError, match="not belong to a printer"):
            await hass.services.async_call(
                DOMAIN, "done", {"device_id": device, "task": "rods"}, blocking=True
            )


async def test_an_action_on_a_printer_that_is_off_changes_nothing(
    hass, printer, loaded
):
    printer.send(printer.topic("availability"), "offline")
    with pytest.raises(HomeAssistantError, match="is off"):
        await act(hass, "done")
    assert printer.commands == []


# Events, logbook, diagnostics


async def test_an_event_is_fired_on_the_bus_and_is_a_sentence_in_the_logbook(
    hass, printer, loaded
):
    described = {}
    async_describe_events(
        hass, lambda domain, event, how: described.update({event: how})
    )
    fired = async_capture_events(hass, EVENT)
    printer.happen("done", by="anna", note="dry")
    printer.happen("due")
    await settle(hass)
    assert fired[0].data["device_id"] == device_of(hass).id
    assert [described[EVENT](event)["message"] for event in fired] == [
        "Oil the rods was done by anna (dry)",
        "Oil the rods is due",
    ]


async def test_a_foreign_event_does_not_harm_the_logbook(hass, loaded):
    described = {}
    async_describe_events(
        hass, lambda domain, event, how: described.update({event: how})
    )
    assert described[EVENT](Event(EVENT, {}))["name"] == DOMAIN
    assert described[EVENT](Event(EVENT, {"type": "x", "label": None}))["message"]


async def test_every_text_exists_in_german(hass):
    folder = Path(words.__file__).parent / "translations"
    english, german = (
        json.loads((folder / f"{language}.json").read_text())
        for language in ("en", "de")
    )

    def keys(tree, path=""):
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from keys(value, f"{path}/{name}")
            else:
                yield f"{path}/{name}", sorted(re.findall(r"{(\w+)}", value))

    assert sorted(keys(english)) == sorted(keys(german))


async def test_diagnostics_contain_no_secrets(hass, printer, loaded, hass_client):
    diagnostics = await async_get_config_entry_diagnostics(hass, loaded)
    assert diagnostics["printers"]["voron"]["tasks"]["rods"]["status"] == "due"
    for secret in (INFO.uuid, INFO.host, INFO.url, "anna"):
        assert secret not in str(diagnostics)


# The parts at a place

BED = "select.voron_maintenance_fitted_at_bed"
PLATES = {
    task: RODS._replace(
        task=task, label=label, kind="plate", place=place, places=("bed",), status="ok"
    )
    for task, label, place in (("pei", "PEI", "bed"), ("glass", "Glass", ""))
}


@pytest.fixture
async def plates(hass, printer, loaded):
    """A printer with two plates, one of them on its bed."""
    printer.tasks.update(PLATES)
    printer.introduce(INFO._replace(tasks=(*INFO.tasks, *PLATES)))
    await settle(hass)


async def choose(hass, option):
    await hass.services.async_call(
        "select",
        "select_option",
        {"entity_id": BED, "option": option},
        blocking=True,
    )


async def test_a_place_shows_its_part_and_has_a_select_for_its_parts(hass, plates):
    place = hass.states.get(BED)
    assert place.state == "PEI"
    assert place.attributes["options"] == ["Nothing", "PEI", "Glass"]


async def test_a_selected_part_is_fitted_at_the_place(hass, printer, plates):
    await choose(hass, "Glass")

    ((task, command),) = printer.commands
    assert (task, command.command, command.place) == ("glass", "fit", "bed")


async def test_the_option_nothing_removes_the_part(hass, printer, plates):
    await choose(hass, "Nothing")
    printer.tell(PLATES["pei"]._replace(place=""))
    await settle(hass)
    await choose(hass, "Nothing")

    assert [(task, each.command) for task, each in printer.commands] == [
        ("pei", "remove")
    ]
    assert hass.states.get(BED).state == "Nothing"


async def test_parts_with_the_same_label_can_be_told_apart(hass, printer, plates):
    printer.tell(PLATES["glass"]._replace(label="PEI"))
    await settle(hass)

    place = hass.states.get(BED)
    assert place.state == "PEI (pei)"
    assert place.attributes["options"] == ["Nothing", "PEI (pei)", "PEI (glass)"]


async def test_a_place_has_one_select_for_each_kind_of_part(hass, printer, plates):
    """A nozzle and a toolhead are both at the extruder."""
    parts = {
        task: PLATES["pei"]._replace(
            task=task, label=label, kind=kind, place=place, places=("extruder",)
        )
        for task, label, kind, place in (
            ("n4", "Nozzle 0.4", "nozzle", "extruder"),
            ("n6", "Nozzle 0.6", "nozzle", ""),
            ("head", "Toolhead", "toolhead", "extruder"),
        )
    }
    printer.tasks.update(parts)
    printer.introduce(INFO._replace(tasks=(*INFO.tasks, *PLATES, *parts)))
    await settle(hass)

    fitted = "select.voron_maintenance_fitted_at_extruder"
    states = [hass.states.get(f"{fitted}_{kind}") for kind in ("nozzle", "toolhead")]
    assert [each.state for each in states] == ["Nozzle 0.4", "Toolhead"]
    assert states[0].attributes["options"] == ["Nothing", "Nozzle 0.4", "Nozzle 0.6"]
    assert states[0].name == "Voron maintenance Fitted at extruder (nozzle)"


async def test_a_place_exists_as_long_as_a_part_can_be_fitted_there(
    hass, printer, plates
):
    printer.tell(PLATES["glass"]._replace(places=("bed", "shelf_b")))
    await settle(hass)
    assert hass.states.get("select.voron_maintenance_fitted_at_shelf_b") is not None

    printer.introduce(INFO)
    await settle(hass)

    assert hass.states.async_entity_ids("select") == []
    printer.introduce(INFO._replace(tasks=(*INFO.tasks, *PLATES)))
    await settle(hass)
    assert hass.states.get(BED).state == "PEI"


async def test_a_printer_that_returns_has_its_places_again(hass, printer, plates):
    printer.send(printer.topic("info"), "")
    await settle(hass)
    assert hass.states.get(BED) is None

    printer.introduce(INFO._replace(tasks=(*INFO.tasks, *PLATES)))
    await settle(hass)

    assert hass.states.get(BED).state == "PEI"
