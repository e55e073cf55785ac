"""To-do list, calendar, repairs, actions, against a printer that answers."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from custom_components.klipper_upkeep import async_remove_config_entry_device
from custom_components.klipper_upkeep import fleet as fleet_module
from custom_components.klipper_upkeep.const import DOMAIN, EVENT
from custom_components.klipper_upkeep.contract import Command
from custom_components.klipper_upkeep.diagnostics import (
    async_get_config_entry_diagnostics,
)
from custom_components.klipper_upkeep.entity import with_identifier
from custom_components.klipper_upkeep.logbook import async_describe_events
from custom_components.klipper_upkeep.repairs import async_create_fix_flow
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Context
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_capture_events

from .conftest import BELTS, INFO, RODS, Printer

TODO = "todo.voron_maintenance"
CALENDAR = "calendar.voron_maintenance"


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


# Printers come, go and are told apart.


async def test_a_printer_is_one_device_with_a_list_and_a_calendar(hass, loaded):
    device = device_of(hass)
    assert device.name == "Voron maintenance"
    assert device.entry_type is dr.DeviceEntryType.SERVICE
    entities = er.async_entries_for_device(er.async_get(hass), device.id)
    assert sorted(each.entity_id for each in entities) == [CALENDAR, TODO]


async def test_the_device_hangs_below_the_one_that_discovery_made(hass, printer, entry):
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


async def test_another_machine_under_the_same_name_is_another_device(
    hass, printer, loaded
):
    printer.introduce(INFO._replace(uuid="beef"))
    await settle(hass)
    assert device_of(hass) is None
    assert device_of(hass, "beef") is not None


async def test_entities_are_unavailable_while_the_printer_is_off(
    hass, printer, loaded, caplog
):
    caplog.set_level("INFO")
    printer.send(printer.topic("availability"), "offline")
    await settle(hass)
    assert hass.states.get(TODO).state == "unavailable"
    printer.send(printer.topic("availability"), "online")
    await settle(hass)
    assert hass.states.get(TODO).state == "1"
    assert caplog.text.count("Voron is offline") == 1
    assert caplog.text.count("Voron is online") == 1


async def test_nothing_is_shown_before_all_tasks_are_known(hass, printer, entry):
    await hass.config_entries.async_setup(entry.entry_id)
    printer.send(printer.topic("info"), INFO.encode())
    printer.tell(RODS)
    await settle(hass)
    assert hass.states.get(TODO) is None
    printer.tell(BELTS)
    await settle(hass)
    assert hass.states.get(TODO) is not None


async def test_only_a_printer_that_is_away_may_be_deleted_by_hand(
    hass, printer, loaded
):
    device = device_of(hass)
    assert not await async_remove_config_entry_device(hass, loaded, device)
    printer.send(printer.topic("availability"), "offline")
    await settle(hass)
    assert await async_remove_config_entry_device(hass, loaded, device)


async def test_garbage_is_said_once_and_changes_nothing(hass, printer, loaded, caplog):
    for _ in range(3):
        printer.send(printer.topic("task", "rods"), '{"schema": 1}')
        printer.send(printer.topic("availability"), "perhaps")
        printer.send("klipper_upkeep/Not A Slug/info", "{}")
    await settle(hass)
    assert caplog.text.count("Ignored a message on") == 3
    assert hass.states.get(TODO).state == "1"


async def test_a_task_that_is_gone_leaves_the_list(hass, printer, loaded):
    printer.send(printer.topic("info"), INFO._replace(tasks=("belts",)).encode())
    printer.send(printer.topic("task", "rods"), "")
    await settle(hass)
    assert hass.states.get(TODO).state == "0"


async def test_without_mqtt_the_entry_is_tried_again(hass, entry):
    assert await async_setup_component(hass, DOMAIN, {})
    await settle(hass)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert "not connected to an MQTT broker" in entry.reason


async def test_the_entry_unloads_and_loads_again(hass, printer, loaded):
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert hass.states.get(TODO).state == "unavailable"
    assert ir.async_get(hass).async_get_issue(DOMAIN, "due.voron.rods") is None
    assert await hass.config_entries.async_setup(loaded.entry_id)
    printer.introduce()
    await settle(hass)
    assert hass.states.get(TODO).state == "1"


# To-do.


async def test_the_list_has_what_is_due_with_message_parts_and_guide(hass, loaded):
    (item,) = await items(hass)
    assert item["summary"] == "Oil the rods"
    assert item["description"] == (
        "One drop on each.\nParts: PTFE oil\nhttps://example.org/rods"
    )


async def test_a_tick_marks_done_in_the_users_name(
    hass, printer, loaded, hass_admin_user
):
    hass_admin_user.name = "Anna"
    await tick(hass, context=Context(user_id=hass_admin_user.id))
    ((task, command),) = printer.commands
    assert (task, command.command, command.by) == ("rods", "done", "Anna")
    await settle(hass)
    assert await items(hass) == []


async def test_an_item_can_only_be_ticked_off(hass, printer, loaded):
    with pytest.raises(ServiceValidationError, match="ticked off and nothing else"):
        await tick(hass, "needs_action", rename="Something else")
    assert printer.commands == []


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("unknown_task", ServiceValidationError),
        ("bad_argument", ServiceValidationError),
        ("not_ready", HomeAssistantError),
        ("internal", HomeAssistantError),
    ],
)
async def test_what_the_printer_refuses_reaches_the_user(
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


async def test_a_printer_that_does_not_answer_is_an_error(
    hass, printer, loaded, monkeypatch
):
    monkeypatch.setattr(fleet_module, "ANSWER_WITHIN", 0.05)
    printer.mute = True
    with pytest.raises(HomeAssistantError, match="did not answer"):
        await tick(hass)


async def test_an_answer_to_somebody_else_settles_nothing(hass, printer, loaded):
    printer.send(
        printer.topic("results"),
        '{"schema":1,"transaction":"x","task":"rods","ok":true,"seq":1}',
    )
    await settle(hass)
    assert len(await items(hass)) == 1


# Calendar.


async def test_the_calendar_has_the_forecast_and_the_log(hass, printer, loaded):
    assert hass.states.get(CALENDAR).attributes["message"] == "Check the belts"
    window = {
        "start_date_time": "2026-11-01 00:00:00",
        "end_date_time": "2026-12-31 00:00:00",
    }

    async def events():
        response = await hass.services.async_call(
            "calendar",
            "get_events",
            {"entity_id": CALENDAR, **window},
            blocking=True,
            return_response=True,
        )
        return response[CALENDAR]["events"]

    first = await events()
    assert ("✓ Check the belts", "anna, tight") in [
        (each["summary"], each.get("description")) for each in first
    ]
    asked = len(printer.commands)
    assert await events() == first
    assert len(printer.commands) == asked  # the log is kept ...
    printer.happen("done", "belts")
    await settle(hass)
    await events()
    assert len(printer.commands) == asked + 1  # ... until something happens


async def test_the_forecast_is_there_while_the_log_is_not(hass, printer, loaded):
    printer.refuse = ("internal", "no log")
    entity = hass.data["entity_components"]["calendar"].get_entity(CALENDAR)
    start, end = map(
        dt_util.parse_datetime, ("2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z")
    )
    events = await entity.async_get_events(hass, start, end)
    assert [each.summary for each in events] == ["Check the belts"]


# Repairs.


async def test_an_overdue_task_is_a_repair_until_it_is_done(hass, printer, loaded):
    issues = ir.async_get(hass)
    issue = issues.async_get_issue(DOMAIN, "due.voron.rods")
    assert issue.is_fixable
    assert issue.learn_more_url == "https://example.org/rods"
    assert issue.translation_placeholders["printer"] == "Voron"
    assert issues.async_get_issue(DOMAIN, "due.voron.belts") is None
    await tick(hass)
    await settle(hass)
    assert issues.async_get_issue(DOMAIN, "due.voron.rods") is None


async def test_a_printer_that_leaves_takes_its_repairs_along(hass, printer, loaded):
    printer.send(printer.topic("info"), "")
    await settle(hass)
    assert ir.async_get(hass).async_get_issue(DOMAIN, "due.voron.rods") is None


async def test_repairs_are_an_option(hass, printer, entry):
    hass.config_entries.async_update_entry(entry, options={"repairs": False})
    await hass.config_entries.async_setup(entry.entry_id)
    printer.introduce()
    await settle(hass)
    assert hass.states.get(TODO).state == "1"
    assert ir.async_get(hass).async_get_issue(DOMAIN, "due.voron.rods") is None


async def post(client, url, data, status=HTTPStatus.OK):
    response = await client.post(url, json=data)
    assert response.status == status, await response.text()
    return await response.json()


FLOWS = "/api/repairs/issues/fix"


async def open_flow(hass, hass_client):
    assert await async_setup_component(hass, "repairs", {})
    client = await hass_client()
    flow = await post(client, FLOWS, {"handler": DOMAIN, "issue_id": "due.voron.rods"})
    return client, flow


async def test_the_repair_asks_for_a_note_and_marks_done_in_the_users_name(
    hass, printer, loaded, hass_client, hass_admin_user
):
    hass_admin_user.name = "Anna"
    client, flow = await open_flow(hass, hass_client)
    assert flow["step_id"] == "confirm"
    assert flow["description_placeholders"]["message"] == "One drop on each."
    done = await post(client, f"{FLOWS}/{flow['flow_id']}", {"note": "dry"})
    assert done["type"] == "create_entry"
    ((_, command),) = printer.commands
    assert (command.by, command.note) == ("Anna", "dry")


async def test_the_repair_shows_what_the_printer_refuses(
    hass, printer, loaded, hass_client
):
    client, flow = await open_flow(hass, hass_client)
    printer.refuse = ("not_ready", "shut down")
    again = await post(client, f"{FLOWS}/{flow['flow_id']}", {})
    assert again["errors"] == {"base": "not_ready"}


async def test_the_repair_of_a_task_that_is_gone_ends(
    hass, printer, loaded, hass_client
):
    client, flow = await open_flow(hass, hass_client)
    loaded.runtime_data.printers["voron"].tasks.clear()
    gone = await post(client, f"{FLOWS}/{flow['flow_id']}", {})
    assert gone["reason"] == "gone"


async def test_a_repair_from_before_a_restart_without_its_entry_ends(hass):
    flow = await async_create_fix_flow(hass, "due.voron.rods", None)
    flow.hass = hass
    flow.handler, flow.flow_id = DOMAIN, "x"
    assert (await flow.async_step_init())["reason"] == "gone"


# Actions.


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
        ("adjust", {"used": 42}, Command("adjust", used=42.0)),
    ],
)
async def test_an_action_is_one_command(hass, printer, loaded, action, fields, command):
    await act(hass, action, **fields)
    ((task, sent),) = printer.commands
    assert task == "rods"
    assert sent._replace(transaction=None) == command


async def test_an_action_is_done_by_whoever_runs_it(
    hass, printer, loaded, hass_admin_user
):
    hass_admin_user.name = "Anna"
    await act(hass, "skip", context=Context(user_id=hass_admin_user.id))
    assert printer.commands[0][1].by == "Anna"


async def test_get_log_answers_with_the_log(hass, printer, loaded):
    response = await act(hass, "get_log", "Belts", limit=2)
    assert response["log"][0] == {
        "time": "2026-11-20T23:58:20Z",
        "task": "belts",
        "event": "done",
        "by": "anna",
        "note": "tight",
        "used": {"print_time": 199.0},
    }
    assert printer.commands[0][1].limit == 2


async def test_a_device_that_is_no_printer_is_refused(hass, printer, loaded, entry):
    other = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("mqtt", "toaster")}
    )
    for device in (other.id, "none"):
        with pytest.raises(ServiceValidationError, match="not a printer"):
            await hass.services.async_call(
                DOMAIN, "done", {"device_id": device, "task": "rods"}, blocking=True
            )


async def test_an_action_on_a_printer_that_is_off_changes_nothing(
    hass, printer, loaded
):
    printer.send(printer.topic("availability"), "offline")
    with pytest.raises(HomeAssistantError, match="offline"):
        await act(hass, "done")
    assert printer.commands == []


# Events, logbook, diagnostics.


async def test_what_happens_is_fired_on_the_bus_and_reads_well_in_the_logbook(
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


async def test_diagnostics_tell_no_secrets(hass, printer, loaded, hass_client):
    told = await async_get_config_entry_diagnostics(hass, loaded)
    assert told["printers"]["voron"]["tasks"]["rods"]["status"] == "due"
    for secret in (INFO.uuid, INFO.host, INFO.url, "anna"):
        assert secret not in str(told)
