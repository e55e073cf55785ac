"""Shows whether a printer's extra is older than this integration.

Both have the version of their release.
"""

from __future__ import annotations

from homeassistant.components.update import UpdateEntity
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.loader import async_get_integration

from .const import DOMAIN
from .entity import PrinterEntity, add_for_each_printer
from .fleet import Fleet, Printer, UpkeepEntry

PARALLEL_UPDATES = 0

RELEASES = "https://github.com/klipper-upkeep/klipper-upkeep/releases/tag/v{}"


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add an update entity for each printer."""
    version = str((await async_get_integration(hass, DOMAIN)).version)
    add_for_each_printer(
        hass, entry, add, lambda fleet, printer: Extra(fleet, printer, version)
    )


class Extra(PrinterEntity, UpdateEntity):
    """The extra in the printer's Klippy. Home Assistant cannot install its update."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    _attr_title = "Klipper Upkeep"

    def __init__(self, fleet: Fleet, printer: Printer, version: str) -> None:
        super().__init__(fleet, printer, "extra")
        self._version = version

    @property
    def installed_version(self) -> str | None:
        """The version that the printer publishes."""
        return self.printer.introduced.version or None

    @property
    def latest_version(self) -> str | None:
        """The integration's own version, or the printer's if that is newer."""
        installed = self.installed_version
        if installed is None or self.version_is_newer(self._version, installed):
            return self._version
        return installed

    @property
    def release_url(self) -> str:
        """The address of that version's release notes."""
        return RELEASES.format(self.latest_version)
