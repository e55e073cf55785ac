"""What the to-do list and the calendar of a printer have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .fleet import Fleet, Printer, UpkeepEntry


class PrinterEntity(Entity):
    """An entity of one printer; it writes its state when the printer changes."""

    _attr_has_entity_name = True
    _attr_name = None  # the device's own: "Voron maintenance"
    _attr_should_poll = False

    def __init__(self, fleet: Fleet, printer: Printer, key: str) -> None:
        info = printer.introduced
        self.fleet = fleet
        self.printer = printer
        uuid = info.uuid
        self._attr_unique_id = f"{uuid}_{key}"
        self._attr_translation_key = key
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, uuid)},
            name=f"{printer.name} maintenance",
            manufacturer=info.software,
            model=info.model or None,
            sw_version=info.version or None,
            entry_type=DeviceEntryType.SERVICE,
        )
        # The device that discovery made; a link to one that is not there is refused.
        theirs = ("mqtt", f"{DOMAIN}_{info.uuid}")
        device = with_identifier(fleet.hass, theirs)
        if device is not None:
            self._attr_device_info.update(_via(theirs, device))

    @property
    def available(self) -> bool:
        """A printer that is off can be told nothing."""
        return self.printer.online

    async def async_added_to_hass(self) -> None:
        """Listen."""

        @callback
        def changed(printer: Printer) -> None:
            if printer is self.printer:
                self.async_write_ha_state()

        self.async_on_remove(self.fleet.listen(change=changed))


def _via(identifier: tuple[str, str], device: dr.DeviceEntry) -> DeviceInfo:
    """Say in the words of this Home Assistant that a device hangs below *device*."""
    if "via_device_id" in DeviceInfo.__annotations__:  # 2026.11, not yet 2025.4
        return cast(DeviceInfo, {"via_device_id": device.id})
    return DeviceInfo(via_device=identifier)


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
