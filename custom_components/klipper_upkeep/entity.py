"""The base classes of a printer's entities, and the printer's device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .contract import State
from .fleet import Fleet, Printer, UpkeepEntry


class FleetEntity(Entity):
    """An entity that is there as long as there is a broker."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    @property
    def available(self) -> bool:
        """A printer that is off still has its tasks; without a broker none is known."""
        return self.fleet.connected

    def concerns(self, printer: Printer) -> bool:
        """Whether it shows anything of *printer*."""
        return True

    async def async_added_to_hass(self) -> None:
        """Listen."""

        @callback
        def changed(printer: Printer) -> None:
            if self.concerns(printer):
                self.async_write_ha_state()

        self.async_on_remove(self.fleet.listen(change=changed))


class PrinterEntity(FleetEntity):
    """An entity of one printer; it writes its state when the printer changes."""

    def __init__(self, fleet: Fleet, printer: Printer, key: str) -> None:
        super().__init__(fleet)
        self.printer = printer
        self._attr_unique_id = f"{printer.introduced.uuid}_{key}"
        self._attr_translation_key = key
        self._attr_device_info = device_info(printer)

    def concerns(self, printer: Printer) -> bool:
        """Whether it shows anything of *printer*."""
        return printer is self.printer


class TaskEntity(PrinterEntity):
    """An entity of one task."""

    def __init__(self, fleet: Fleet, printer: Printer, task: str, key: str) -> None:
        super().__init__(fleet, printer, f"task.{task}.{key}")
        self.task = task
        self._attr_translation_key = key
        self._attr_translation_placeholders = {"task": printer.tasks[task].label}

    @property
    def state_of_task(self) -> State | None:
        """Return the task's last state; None once the task is gone."""
        return self.printer.tasks.get(self.task)


def device_info(printer: Printer) -> DeviceInfo:
    """Return the integration's own device of a printer.

    It is the printer itself where nothing else describes it.
    """
    info = printer.introduced
    if printer.owned:
        return DeviceInfo(
            identifiers={(DOMAIN, info.uuid)},
            name=printer.name,
            manufacturer=info.software,
            model=info.model or None,
            sw_version=info.version or None,
            configuration_url=_web_page(info.url),
            entry_type=None,
        )
    return DeviceInfo(
        identifiers={(DOMAIN, info.uuid)},
        translation_key="maintenance",
        translation_placeholders={"printer": printer.name},
        manufacturer=info.software,
        model=info.model or None,
        sw_version=info.version or None,
        entry_type=DeviceEntryType.SERVICE,
    )


def _web_page(url: str) -> str | None:
    """Home Assistant refuses any other link."""
    return url if url.startswith(("http://", "https://")) else None


class Devices:
    """Keeps the devices of an entry as the printers describe themselves.

    Each hangs below the one that MQTT discovery made, which may come later.
    """

    def __init__(self, hass: HomeAssistant, entry: UpkeepEntry) -> None:
        self.hass = hass
        self.entry = entry
        self._described: dict[str, DeviceInfo] = {}

    @callback
    def changed(self, printer: Printer) -> None:
        """Follow a new name, model or version."""
        uuid = printer.introduced.uuid
        info = device_info(printer)
        device = with_identifier(self.hass, (DOMAIN, uuid))
        if device is None:
            return  # its first entity is about to make it
        if self._described.get(uuid) != info:
            self._described[uuid] = info
            dr.async_get(self.hass).async_get_or_create(
                config_entry_id=self.entry.entry_id, **info
            )
        theirs = with_identifier(self.hass, mqtt_identifier(uuid))
        above = None if theirs is None else theirs.id
        if device.via_device_id != above:
            dr.async_get(self.hass).async_update_device(device.id, via_device_id=above)

    @callback
    def listen(self) -> Callable[[], None]:
        """Link a printer to MQTT's device when that appears."""

        @callback
        def updated(event: Event[Any]) -> None:
            if event.data["action"] != "create":
                return
            device = dr.async_get(self.hass).async_get(event.data["device_id"])
            for printer in self.entry.runtime_data.printers.values():
                if printer.ready and device is not None:
                    uuid = printer.introduced.uuid
                    ours = {mqtt_identifier(uuid), (DOMAIN, uuid)}
                    if ours & device.identifiers:
                        self.changed(printer)

        return self.hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, updated)


def mqtt_identifier(uuid: str) -> tuple[str, str]:
    """Return the identifier of MQTT's device of a printer."""
    return ("mqtt", f"{DOMAIN}_{uuid}")


@callback
def with_identifier(
    hass: HomeAssistant, identifier: tuple[str, str]
) -> dr.DeviceEntry | None:
    """Return the device that has *identifier*, whose first half is a domain.

    The registry's own look-up by identifier is another one in each of the two
    supported versions, and the older one is logged as deprecated in the newer.
    """
    registry = dr.async_get(hass)
    for entry in hass.config_entries.async_entries(identifier[0]):
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
            if identifier in device.identifiers:
                return device
    return None


@callback
def add_for_each_printer(
    hass: HomeAssistant,
    entry: UpkeepEntry,
    add: AddConfigEntryEntitiesCallback,
    make: Callable[[Fleet, Printer], Entity],
) -> None:
    """Add an entity for each printer, also for those that come later."""
    fleet = entry.runtime_data
    known: set[str] = set()

    @callback
    def changed(printer: Printer) -> None:
        if printer.info is not None and printer.info.uuid not in known:
            known.add(printer.info.uuid)
            add([make(fleet, printer)])

    @callback
    def gone(printer: Printer) -> None:
        if printer.info is not None:
            known.discard(printer.info.uuid)

    entry.async_on_unload(fleet.listen(change=changed, gone=gone))


@callback
def add_for_each_task(
    hass: HomeAssistant,
    entry: UpkeepEntry,
    add: AddConfigEntryEntitiesCallback,
    key: str,
    make: Callable[[Fleet, Printer, str, str], Entity],
) -> None:
    """Add an entity for each task of each printer, and remove those of lost tasks."""
    fleet = entry.runtime_data
    known: dict[str, set[str]] = {}  # tasks by their printer's uuid

    @callback
    def changed(printer: Printer) -> None:
        uuid, tasks = printer.introduced.uuid, set(printer.tasks)
        if known.get(uuid) == tasks:
            return
        fresh = sorted(tasks - known.get(uuid, set()))
        known[uuid] = tasks
        _remove_lost(hass, entry, uuid, key, tasks)
        add([make(fleet, printer, task, key) for task in fresh])

    @callback
    def gone(printer: Printer) -> None:
        if printer.info is not None:
            known.pop(printer.info.uuid, None)

    entry.async_on_unload(fleet.listen(change=changed, gone=gone))


@callback
def _remove_lost(
    hass: HomeAssistant, entry: UpkeepEntry, uuid: str, key: str, tasks: set[str]
) -> None:
    """Remove entities whose task is gone, also while Home Assistant was off."""
    registry = er.async_get(hass)
    start, end = f"{uuid}_task.", f".{key}"
    for each in er.async_entries_for_config_entry(registry, entry.entry_id):
        unique = each.unique_id
        is_ours = unique.startswith(start) and unique.endswith(end)
        if is_ours and unique[len(start) : -len(end)] not in tasks:
            registry.async_remove(each.entity_id)
