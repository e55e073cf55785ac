"""Sensors of printers that leave their entities to the integration."""

from __future__ import annotations

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .fleet import UpkeepEntry

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Let the handover add what there is to add."""
    entry.runtime_data.adders[Platform.SENSOR] = add
