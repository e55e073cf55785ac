"""Setup: from an MQTT message, by hand, again; and the options."""

from __future__ import annotations

import pytest
from homeassistant.config_entries import SOURCE_MQTT, SOURCE_USER
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir

from custom_components.klipper_upkeep import config_flow
from custom_components.klipper_upkeep.children import possible
from custom_components.klipper_upkeep.const import DOMAIN

from .conftest import BASE, BELTS, INFO, as_message


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Make a search for an absent printer end at once."""
    monkeypatch.setattr(config_flow, "LOOK_FOR", 0.05)


async def discover(hass, payload, topic="klipper_upkeep/voron/info"):
    return await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_MQTT}, data=as_message(topic, payload)
    )


async def test_a_discovered_printer_is_offered_and_confirmed(hass, printer):
    result = await discover(hass, INFO.encode().decode())
    assert result["step_id"] == "confirm"
    assert result["description_placeholders"] == {"name": "Voron"}
    done = await hass.config_entries.flow.async_configure(result["flow_id"], {})
    assert done["type"] is FlowResultType.CREATE_ENTRY
    assert done["title"] == "Klipper Upkeep"
    assert done["data"] == {"base_topic": BASE}
    await hass.async_block_till_done()


async def test_a_second_printer_under_the_same_topic_asks_nothing(hass, printer, entry):
    result = await discover(hass, INFO.encode().decode(), "klipper_upkeep/ender/info")
    assert result["reason"] == "already_configured"


@pytest.mark.parametrize("payload", ["", "{}", "online"])
async def test_a_message_of_something_else_is_ignored(hass, printer, payload):
    assert (await discover(hass, payload))["reason"] == "not_a_printer"


async def ask(hass, printer, flow, base, there=True):
    """Submit the form. The broker's retained message follows the subscription."""
    configure = hass.config_entries.flow.async_configure
    task = hass.async_create_task(configure(flow["flow_id"], {"base_topic": base}))
    for _ in range(20):
        if there and not task.done():
            printer.base = base.strip("/")
            printer.send(printer.topic("info"), INFO.encode())
        await hass.async_block_till_done(wait_background_tasks=False)
        if task.done():
            break
    return await task


async def start(hass):
    return await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )


async def test_a_typed_base_topic_is_checked_first(hass, printer, monkeypatch):
    monkeypatch.setattr(config_flow, "LOOK_FOR", 5)
    flow = await start(hass)
    assert flow["step_id"] == "user"
    done = await ask(hass, printer, flow, "home/upkeep/")
    assert done["type"] is FlowResultType.CREATE_ENTRY
    assert done["title"] == "Klipper Upkeep (home/upkeep)"
    assert done["data"] == {"base_topic": "home/upkeep"}
    await hass.async_block_till_done()


async def test_a_typing_error_is_shown_and_can_be_corrected(hass, printer, monkeypatch):
    flow = await start(hass)
    wrong = await ask(hass, printer, flow, "klipper/#")
    assert wrong["errors"] == {"base_topic": "bad_topic"}
    nobody = await ask(hass, printer, wrong, "klippr_upkeep", there=False)
    assert nobody["errors"] == {"base_topic": "no_printer_there"}
    monkeypatch.setattr(config_flow, "LOOK_FOR", 5)
    done = await ask(hass, printer, nobody, BASE)
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def test_without_mqtt_the_flow_tells_it(hass):
    flow = await start(hass)
    result = await hass.config_entries.flow.async_configure(
        flow["flow_id"], {"base_topic": BASE}
    )
    assert result["errors"] == {"base": "mqtt_not_connected"}


async def test_the_base_topic_can_be_changed(hass, printer, loaded, monkeypatch):
    monkeypatch.setattr(config_flow, "LOOK_FOR", 5)
    flow = await loaded.start_reconfigure_flow(hass)
    assert flow["step_id"] == "reconfigure"
    done = await ask(hass, printer, flow, "home/upkeep")
    assert done["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    assert loaded.data == {"base_topic": "home/upkeep"}
    assert loaded.unique_id == "home/upkeep"
    assert loaded.title == "Klipper Upkeep (home/upkeep)"


async def test_a_users_title_survives_another_base_topic(
    hass, printer, loaded, monkeypatch
):
    monkeypatch.setattr(config_flow, "LOOK_FOR", 5)
    hass.config_entries.async_update_entry(loaded, title="My printers")
    flow = await loaded.start_reconfigure_flow(hass)
    await ask(hass, printer, flow, "home/upkeep")
    await hass.async_block_till_done()
    assert loaded.title == "My printers"


async def test_the_options_are_used_at_once(hass, printer, loaded):
    repair = f"due.{INFO.uuid}.rods"
    assert ir.async_get(hass).async_get_issue(DOMAIN, repair) is None
    flow = await hass.config_entries.options.async_init(loaded.entry_id)
    wanted = {
        "one_list": False,
        "list_soon": True,
        "repairs": True,
        "repairs_margin": 1,
        **({"task_devices": False} if possible() else {}),
    }
    assert wanted.keys() == {str(each) for each in flow["data_schema"].schema}
    done = await hass.config_entries.options.async_configure(flow["flow_id"], wanted)
    await hass.async_block_till_done()
    printer.introduce()
    await hass.async_block_till_done()
    printer.tell(BELTS._replace(status="soon"))
    await hass.async_block_till_done()
    assert done["data"] == wanted
    assert ir.async_get(hass).async_get_issue(DOMAIN, repair)
    assert hass.states.get("todo.voron_maintenance").state == "2"
