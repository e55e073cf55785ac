"""Selects for a printer's places. The part that the user chooses is fitted there.

A place takes one part of each kind, so there is a select for each place and kind.
"""

from __future__ import annotations

from typing import NamedTuple

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


class Slot(NamedTuple):
    """A place and a kind of part. One part fits there at a time."""

    place: str
    kind: str


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add a select for each place and kind, and remove those that no longer exist."""
    fleet = entry.runtime_data
    fleet.adders[Platform.SELECT] = add
    known: dict[str, set[Slot]] = {}  # by the printer's uuid

    @callback
    def changed(printer: Printer) -> None:
        uuid, slots = printer.introduced.uuid, slots_of(printer)
        if known.get(uuid) == slots:
            return
        fresh = sorted(slots - known.get(uuid, set()))
        known[uuid] = slots
        wanted = {_unique(uuid, slot) for slot in slots}
        registry = er.async_get(hass)
        for each in er.async_entries_for_config_entry(registry, entry.entry_id):
            is_ours = each.unique_id.startswith(f"{uuid}_{KEY}.")
            if is_ours and each.unique_id not in wanted:
                registry.async_remove(each.entity_id)
        add([Fitted(fleet, printer, slot) for slot in fresh])

    @callback
    def gone(printer: Printer) -> None:
        if printer.info is not None:
            known.pop(printer.info.uuid, None)

    entry.async_on_unload(fleet.listen(change=changed, gone=gone))


class Fitted(PrinterEntity, SelectEntity):
    """Shows and sets which part of one kind is fitted at one place."""

    _attr_entity_category = EntityCategory.CONFIG

    def __init__(self, fleet: Fleet, printer: Printer, slot: Slot) -> None:
        super().__init__(fleet, printer, f"{KEY}.{slot.place}.{slot.kind}")
        self.slot = slot
        kinds = [each.kind for each in slots_of(printer) if each.place == slot.place]
        place = slot.place if len(kinds) == 1 else f"{slot.place} ({slot.kind})"
        self._attr_translation_key = KEY
        self._attr_translation_placeholders = {"place": place}

    @property
    def options(self) -> list[str]:
        """The word for nothing, then the parts' labels in the order of their tasks."""
        return [self._nothing, *self._parts()]

    @property
    def current_option(self) -> str:
        """The label of the part that is fitted here, or the word for nothing."""
        for label, part in self._parts().items():
            if part.place == self.slot.place:
                return label
        return self._nothing

    async def async_select_option(self, option: str) -> None:
        """Fit the chosen part here, or take off the part that is here.

        HomeAssistantError if the printer refuses.
        """
        by = await name_of(self.hass, self._context)
        parts = self._parts()
        if option in parts:
            part, command = parts[option], Command("fit", by=by, place=self.slot.place)
        elif self.current_option in parts:
            part, command = parts[self.current_option], Command("remove", by=by)
        else:
            return  # no part is fitted here, so none can be taken off
        await self.fleet.command(self.printer, part.task, command)

    @property
    def _nothing(self) -> str:
        return sentence(self.hass, "nothing", "Nothing")

    def _parts(self) -> dict[str, State]:
        """Return the parts that can be fitted here, each by a label of its own."""
        place, kind = self.slot
        parts = [
            state
            for state in self.printer.tasks.values()
            if place in state.places and state.kind == kind
        ]
        labels = [state.label for state in parts] + [self._nothing]
        return {
            state.label
            if labels.count(state.label) == 1
            else f"{state.label} ({state.task})": state
            for state in parts
        }


def slots_of(printer: Printer) -> set[Slot]:
    """Return the places of the printer, with the kinds of parts that they take."""
    return {
        Slot(place, state.kind)
        for state in printer.tasks.values()
        for place in state.places
    }


def _unique(uuid: str, slot: Slot) -> str:
    return f"{uuid}_{KEY}.{slot.place}.{slot.kind}"
