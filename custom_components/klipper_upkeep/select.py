"""Selects for a printer's places: choose a part, and it is fitted there."""

from __future__ import annotations

from homeassistant.components.select import SelectEntity
from homeassistant.const import EntityCategory, Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .actions import name_of
from .contract import Command, State
from .entity import PrinterEntity
from .fleet import Fleet, Printer, UpkeepEntry
from .words import sentence

PARALLEL_UPDATES = 0

KEY = "fitted"


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add a choice for each place that takes a part; remove those of lost places."""
    fleet = entry.runtime_data
    fleet.adders[Platform.SELECT] = add
    known: dict[str, set[str]] = {}  # places by their printer's uuid

    @callback
    def changed(printer: Printer) -> None:
        uuid, places = printer.introduced.uuid, places_of(printer)
        if known.get(uuid) == places:
            return
        fresh = sorted(places - known.get(uuid, set()))
        known[uuid] = places
        wanted = {_unique(uuid, place) for place in places}
        registry = er.async_get(hass)
        for each in er.async_entries_for_config_entry(registry, entry.entry_id):
            is_ours = each.unique_id.startswith(_unique(uuid, ""))
            if is_ours and each.unique_id not in wanted:
                registry.async_remove(each.entity_id)
        add([Fitted(fleet, printer, place) for place in fresh])

    @callback
    def gone(printer: Printer) -> None:
        if printer.info is not None:
            known.pop(printer.info.uuid, None)

    entry.async_on_unload(fleet.listen(change=changed, gone=gone))


class Fitted(PrinterEntity, SelectEntity):
    """One place, and the parts that can be fitted there."""

    _attr_entity_category = EntityCategory.CONFIG

    def __init__(self, fleet: Fleet, printer: Printer, place: str) -> None:
        super().__init__(fleet, printer, f"{KEY}.{place}")
        self.place = place
        self._attr_translation_key = KEY
        self._attr_translation_placeholders = {"place": place}

    @property
    def options(self) -> list[str]:
        """The labels of the parts, by their tasks' order, and nothing at all."""
        return [self._nothing, *self._parts()]

    @property
    def current_option(self) -> str:
        """The part that is fitted here."""
        for label, part in self._parts().items():
            if part.place == self.place:
                return label
        return self._nothing

    async def async_select_option(self, option: str) -> None:
        """Fit a part here, or take off what is here; the printer refuses or does it."""
        by = await name_of(self.hass, self._context)
        parts = self._parts()
        if option in parts:
            part, command = parts[option], Command("fit", by=by, place=self.place)
        elif self.current_option in parts:
            part, command = parts[self.current_option], Command("remove", by=by)
        else:
            return  # nothing is here already
        await self.fleet.command(self.printer, part.task, command)

    @property
    def _nothing(self) -> str:
        return sentence(self.hass, "nothing", "Nothing")

    def _parts(self) -> dict[str, State]:
        """Return the parts that can be fitted here, by their unique labels."""
        parts = [
            state for state in self.printer.tasks.values() if self.place in state.places
        ]
        labels = [state.label for state in parts] + [self._nothing]
        return {
            state.label
            if labels.count(state.label) == 1
            else f"{state.label} ({state.task})": state
            for state in parts
        }


def places_of(printer: Printer) -> set[str]:
    """Return the places at which one of the printer's parts can be fitted."""
    return {place for state in printer.tasks.values() for place in state.places}


def _unique(uuid: str, place: str) -> str:
    return f"{uuid}_{KEY}.{place}"
