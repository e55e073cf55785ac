"""Hands a printer's entities over between MQTT discovery and this integration.

The printer's `info` names the one that makes the entities. When that changes, the
entries in the entity registry move to the other one. Ids, names and history stay.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from homeassistant.components.mqtt.const import DOMAIN as MQTT
from homeassistant.const import Platform
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.event import async_track_time_interval

from .const import DOMAIN
from .devices import device_info, mqtt_identifier, with_identifier
from .fleet import Printer, UpkeepEntry
from .ours import is_key, rows
from .owned import CLASSES, Owned
from .row import Row

LOOK_EVERY = timedelta(seconds=2)  # how often to check whether MQTT's entities ended


class Handover:
    """Makes the entities of printers that leave them to the integration."""

    def __init__(self, hass: HomeAssistant, entry: UpkeepEntry) -> None:
        self.hass = hass
        self.entry = entry
        self._made: dict[str, dict[str, Owned]] = {}  # by uuid and key
        self._leaving: set[str] = set()  # uuids
        self._waits: CALLBACK_TYPE | None = None

    @callback
    def changed(self, printer: Printer) -> None:
        """Make or return entities as the printer's new messages demand."""
        uuid = printer.introduced.uuid
        if uuid in self._leaving:
            return  # `changed` is called again when the return has ended
        if not printer.owned:
            if uuid in self._made or self._entries(uuid, DOMAIN):
                self._leaving.add(uuid)
                self.entry.async_create_task(self.hass, self._give_back(printer))
        elif self._take_over(printer):
            self._make(printer)
        else:
            self._wait()

    @callback
    def gone(self, printer: Printer) -> None:
        """Forget a printer. Its entities are removed with its device."""
        if printer.info is not None:
            self._made.pop(printer.info.uuid, None)

    @callback
    def stop(self) -> None:
        """Stop waiting for the end of MQTT's entities."""
        if self._waits is not None:
            self._waits()
            self._waits = None

    def _wait(self) -> None:
        @callback
        def again(now: datetime) -> None:
            self.stop()
            self.entry.runtime_data.look_again()

        if self._waits is None:
            self._waits = async_track_time_interval(self.hass, again, LOOK_EVERY)

    # From discovery to the integration

    def _make(self, printer: Printer) -> None:
        """Add entities for new rows, and remove those that have no row any more."""
        uuid = printer.introduced.uuid
        wanted = {row.key: row for row in rows(printer) if self._is_wanted(uuid, row)}
        known = self._made.setdefault(uuid, {})
        if wanted.keys() == known.keys():
            return
        registry = er.async_get(self.hass)
        for each in self._entries(uuid, DOMAIN):
            key = each.unique_id.removeprefix(f"{uuid}_")
            if key not in wanted:
                known.pop(key, None)
                registry.async_remove(each.entity_id)
        for key in known.keys() - wanted.keys():
            del known[key]
        fresh: dict[Platform, list[Owned]] = {}
        for key in wanted.keys() - known.keys():
            made = known[key] = self._entity(printer, wanted[key])
            fresh.setdefault(wanted[key].platform, []).append(made)
        for platform, entities in fresh.items():
            self._adder(platform)(entities)

    def _is_wanted(self, uuid: str, row: Row) -> bool:
        if not row.rare:
            return True
        unique = f"{uuid}_{row.key}"
        known = er.async_get(self.hass).async_get_entity_id(
            row.platform, DOMAIN, unique
        )
        return known is not None

    def _entity(self, printer: Printer, row: Row) -> Owned:
        return CLASSES[row.platform](self.entry.runtime_data, printer, row)

    def _adder(self, platform: Platform) -> AddConfigEntryEntitiesCallback:
        return self.entry.runtime_data.adders[platform]

    def _take_over(self, printer: Printer) -> bool:
        """Take MQTT's registry entries over, unless one of its entities still exists.

        Return whether MQTT has none left.
        """
        uuid = printer.introduced.uuid
        theirs = self._entries(uuid, MQTT)
        if not theirs:
            return True
        if any(self._is_loaded(each) for each in theirs):
            return False
        device = self._device(printer)
        registry = er.async_get(self.hass)
        for each in theirs:
            ours = registry.async_get_entity_id(each.domain, DOMAIN, each.unique_id)
            if ours is not None:
                registry.async_remove(each.entity_id)
                continue
            self.hass.states.async_remove(each.entity_id)
            registry.async_update_entity_platform(
                each.entity_id,
                DOMAIN,
                new_config_entry_id=self.entry.entry_id,
                new_device_id=device.id,
            )
        self._replace(mqtt_identifier(uuid), device)
        return True

    def _device(self, printer: Printer) -> dr.DeviceEntry:
        return dr.async_get(self.hass).async_get_or_create(
            config_entry_id=self.entry.entry_id, **device_info(printer)
        )

    def _replace(self, theirs: tuple[str, str], ours: dr.DeviceEntry) -> None:
        """Put our device in the place of MQTT's, and remove that if it is unused."""
        devices = dr.async_get(self.hass)
        device = with_identifier(self.hass, theirs)
        if device is None:
            return
        if ours.area_id is None and device.area_id is not None:
            devices.async_update_device(ours.id, area_id=device.area_id)
        registry = er.async_get(self.hass)
        if not er.async_entries_for_device(registry, device.id, True):
            devices.async_remove_device(device.id)

    def _is_loaded(self, each: er.RegistryEntry) -> bool:
        """Return whether an entity of the registry entry exists now."""
        state = self.hass.states.get(each.entity_id)
        return state is not None and not state.attributes.get("restored")

    # From the integration back to discovery

    async def _give_back(self, printer: Printer) -> None:
        uuid = printer.introduced.uuid
        try:
            made = self._made.pop(uuid, {}).values()
            # An entity whose registry entry is disabled was never added.
            added = [each for each in made if getattr(each, "hass", None) is not None]
            await asyncio.gather(*(each.async_remove() for each in added))
            for each in self._entries(uuid, DOMAIN):
                self._return(each)
        finally:
            self._leaving.discard(uuid)

    def _return(self, ours: er.RegistryEntry) -> None:
        """Give a registry entry back to MQTT, which may already have made a new one."""
        registry = er.async_get(self.hass)
        (mqtt,) = self.hass.config_entries.async_entries(MQTT)
        theirs = registry.async_get_entity_id(ours.domain, MQTT, ours.unique_id)
        self.hass.states.async_remove(ours.entity_id)
        if theirs is None:
            registry.async_update_entity_platform(
                ours.entity_id,
                MQTT,
                new_config_entry_id=mqtt.entry_id,
                new_device_id=None,
            )
            return
        registry.async_remove(ours.entity_id)
        registry.async_update_entity(
            theirs,
            new_entity_id=ours.entity_id,
            name=ours.name,
            icon=ours.icon,
            area_id=ours.area_id,
            labels=ours.labels,
            aliases=ours.aliases,
            disabled_by=ours.disabled_by,
            hidden_by=ours.hidden_by,
        )

    def _entries(self, uuid: str, platform: str) -> list[er.RegistryEntry]:
        """Return the registry entries of *platform* for the rows of the tables."""
        registry, start = er.async_get(self.hass), f"{uuid}_"
        entries = (
            [self.entry]
            if platform == DOMAIN
            else self.hass.config_entries.async_entries(platform)
        )
        return [
            each
            for entry in entries
            for each in er.async_entries_for_config_entry(registry, entry.entry_id)
            if each.unique_id.startswith(start)
            and is_key(each.unique_id.removeprefix(start))
        ]
