"""The base classes of all entities."""

from __future__ import annotations

from collections.abc import Callable

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .children import capital, has_children, task_device
from .contract import State
from .devices import device_info
from .fleet import Fleet, Printer, UpkeepEntry
from .words import sentence


class FleetEntity(Entity):
    """An entity that is available while Home Assistant is connected to a broker."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    @property
    def available(self) -> bool:
        """A printer that is off still has its tasks, but only the broker knows them."""
        return self.fleet.connected

    def concerns(self, printer: Printer) -> bool:
        """Return whether the entity shows anything of *printer*."""
        return True

    async def async_added_to_hass(self) -> None:
        """Write the state whenever a printer changes that the entity shows."""

        @callback
        def changed(printer: Printer) -> None:
            if self.concerns(printer):
                self.async_write_ha_state()

        self.async_on_remove(self.fleet.listen(change=changed))


class PrinterEntity(FleetEntity):
    """An entity of one printer. It writes its state when the printer changes."""

    def __init__(self, fleet: Fleet, printer: Printer, key: str) -> None:
        super().__init__(fleet)
        self.printer = printer
        self._attr_unique_id = f"{printer.introduced.uuid}_{key}"
        self._attr_translation_key = key
        self._attr_device_info = device_info(printer)

    def concerns(self, printer: Printer) -> bool:
        """Return whether the entity shows anything of *printer*."""
        return printer is self.printer


class MaintenanceEntity(PrinterEntity):
    """The list or the calendar of one printer, whose name depends on its device."""

    @property
    def name(self) -> str | None:
        """Its own name, or None (the device's name) if that is "Voron maintenance"."""
        if not self.printer.owned:
            return None
        return sentence(self.hass, "maintenance", "Maintenance")

    async def async_added_to_hass(self) -> None:
        """Tell the registry the name when the entity gets another device.

        The registry itself reads it only when the entity is added.
        """
        await super().async_added_to_hass()
        registry = er.async_get(self.hass)

        @callback
        def changed(printer: Printer) -> None:
            known = registry.async_get(self.entity_id)
            if self.concerns(printer) and known and known.original_name != self.name:
                registry.async_update_entity(self.entity_id, original_name=self.name)

        self.async_on_remove(self.fleet.listen(change=changed))


class TaskEntity(PrinterEntity):
    """An entity of one task."""

    def __init__(self, fleet: Fleet, printer: Printer, task: str, key: str) -> None:
        super().__init__(fleet, printer, f"task.{task}.{key}")
        self.task = task
        self._attr_translation_key = key
        self._attr_translation_placeholders = {"task": printer.tasks[task].label}
        self._attr_device_info = task_device(fleet, printer, task)

    @property
    def name(self) -> str | None:
        """The entity's name. The task is left out if the task's device names it."""
        if has_children(self.fleet, self.printer):
            self._attr_translation_placeholders = {"task": ""}
        name = super().name
        return capital(name.strip()) if isinstance(name, str) else None

    @property
    def state_of_task(self) -> State | None:
        """Return the task's last state, or None if there is no such task any more."""
        return self.printer.tasks.get(self.task)


@callback
def add_for_each_printer(
    hass: HomeAssistant,
    entry: UpkeepEntry,
    add: AddConfigEntryEntitiesCallback,
    make: Callable[[Fleet, Printer], Entity],
) -> None:
    """Add an entity for each printer, also for printers that appear later."""
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
    """Add an entity for each task of each printer, and remove those of old tasks."""
    fleet = entry.runtime_data
    known: dict[str, set[str]] = {}  # tasks by the printer's uuid

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
    """Remove entities of tasks that no longer exist.

    A task may have been removed while Home Assistant was off.
    """
    registry = er.async_get(hass)
    start, end = f"{uuid}_task.", f".{key}"
    for each in er.async_entries_for_config_entry(registry, entry.entry_id):
        unique = each.unique_id
        is_ours = unique.startswith(start) and unique.endswith(end)
        if is_ours and unique[len(start) : -len(end)] not in tasks:
            registry.async_remove(each.entity_id)
