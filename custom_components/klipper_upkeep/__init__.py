"""Klipper Upkeep: the maintenance features that MQTT discovery cannot give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from homeassistant.components import mqtt
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.loader import async_get_integration

from . import actions, dashboard, repairs, words
from .children import Children, possible, task_of
from .const import CONF_BASE, CONF_CHILDREN, DOMAIN, EVENT, PLATFORMS
from .contract import Event
from .devices import Devices, with_identifier
from .fleet import Fleet, Printer
from .handover import Handover

if TYPE_CHECKING:
    from homeassistant.helpers.typing import ConfigType

    from .fleet import UpkeepEntry

LOOK_EVERY = timedelta(minutes=10)

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions here, so that automations are valid without an entry."""
    actions.register(hass)
    await words.load(hass)
    integration = await async_get_integration(hass, DOMAIN)
    await dashboard.serve(hass, str(integration.version))
    return True


async def async_setup_entry(hass: HomeAssistant, entry: UpkeepEntry) -> bool:
    """Listen to the printers below the entry's base topic."""
    if not await mqtt.async_wait_for_mqtt_client(hass):
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN, translation_key="mqtt_not_connected"
        )
    fleet = entry.runtime_data = Fleet(
        hass,
        entry.data[CONF_BASE],
        entry_id=entry.entry_id,
        children=possible() and entry.options.get(CONF_CHILDREN, False),
    )
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    watch, devices = repairs.Watch(hass, entry), Devices(hass, entry)
    handover, children = Handover(hass, entry), Children(hass, entry)

    @callback
    def changed(printer: Printer) -> None:
        handover.changed(printer)
        devices.changed(printer)
        children.changed(printer)
        watch.compare(printer)

    entry.async_on_unload(
        fleet.listen(change=changed, event=partial(_fire, hass), gone=_forget(hass))
    )
    entry.async_on_unload(fleet.listen(gone=handover.gone))
    entry.async_on_unload(handover.stop)
    entry.async_on_unload(devices.listen())
    entry.async_on_unload(watch.stop)

    @callback
    def passed(now: datetime) -> None:
        """Write all states again, since time also counts while a printer is off."""
        fleet.look_again()

    entry.async_on_unload(async_track_time_interval(hass, passed, LOOK_EVERY))
    before = dict(entry.data), dict(entry.options)

    async def updated(hass: HomeAssistant, entry: UpkeepEntry) -> None:
        if (dict(entry.data), dict(entry.options)) != before:
            hass.config_entries.async_schedule_reload(entry.entry_id)

    entry.async_on_unload(entry.add_update_listener(updated))
    for stop in await fleet.subscribe():
        entry.async_on_unload(stop)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: UpkeepEntry) -> bool:
    """Remove the entities. The subscriptions end with the entry."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: UpkeepEntry, device: dr.DeviceEntry
) -> bool:
    """Let the user delete a printer that is off. It returns when it is on again."""
    fleet = entry.runtime_data
    child_of, task = task_of(device)
    if task:
        # A task's device is removed with its task, or with the option for such devices.
        return not any(
            printer.info is not None and printer.info.uuid == child_of
            for printer in fleet.printers.values()
        )
    named = [
        printer
        for printer in fleet.printers.values()
        if printer.info is not None
        and (DOMAIN, printer.info.uuid) in device.identifiers
    ]
    if any(printer.online for printer in named):
        return False
    for printer in named:
        printer.deleted = True
        fleet.remove(printer)
    return True


def device_of(hass: HomeAssistant, printer: Printer) -> dr.DeviceEntry | None:
    """Return the device that the integration made for *printer*, or None."""
    if printer.info is None:
        return None
    return with_identifier(hass, (DOMAIN, printer.info.uuid))


@callback
def _fire(hass: HomeAssistant, printer: Printer, event: Event) -> None:
    """Fire an event for automations and the logbook."""
    device = device_of(hass, printer)
    hass.bus.async_fire(
        EVENT,
        {
            "device_id": None if device is None else device.id,
            "printer": printer.slug,
            "name": printer.name,
            "task": event.task,
            "label": event.label or event.task,
            "type": event.event,
            "by": event.by,
            "note": event.note,
        },
    )


def _forget(hass: HomeAssistant) -> Callable[[Printer], None]:
    """Return a function that forgets a printer once its topics are empty."""

    @callback
    def gone(printer: Printer) -> None:
        repairs.forget(hass, printer)
        device = device_of(hass, printer)
        if device is not None and not printer.deleted:
            dr.async_get(hass).async_remove_device(device.id)

    return gone
