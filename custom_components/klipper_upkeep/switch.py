"""Switches of printers whose entities the integration makes."""

from __future__ import annotations

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .fleet import UpkeepEntry

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Give the handover the function that adds entities of this platform."""
    entry.runtime_data.adders[Platform.SWITCH] = add
