"""Child devices: each task and part becomes a device below its printer's device.

Home Assistant 2026 has child devices, and 2025.4 does not. The user chooses them by an
option, which works only for printers whose entities the integration makes.
"""

from __future__ import annotations

from typing import Any, Protocol

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import DeviceInfo

from .const import DOMAIN
from .devices import device_info
from .fleet import Fleet, Printer, UpkeepEntry

# 2025.4 has neither of these two.
_CHILD: Any = getattr(dr, "ChildDeviceInfo", None)
_CHILDREN: Any = getattr(dr, "async_child_entries_for_config_entry", None)


class AnyDevice(Protocol):
    """What all devices have: those of both supported versions, and child devices."""

    @property
    def identifiers(self) -> set[tuple[str, str]]:
        """Pairs of a domain and a name."""


def possible() -> bool:
    """Return whether this Home Assistant has child devices."""
    return _CHILD is not None


def has_children(fleet: Fleet, printer: Printer) -> bool:
    """Return whether each task of *printer* has a device of its own."""
    return fleet.children and printer.owned


def task_of(device: AnyDevice) -> tuple[str, str]:
    """Return the printer's uuid and the task that *device* stands for.

    The task is empty for a printer's device. Both are empty for any other device.
    """
    for domain, name in device.identifiers:
        if domain == DOMAIN:
            uuid, _, task = name.partition(".")
            return uuid, task
    return "", ""


def task_device(fleet: Fleet, printer: Printer, task: str) -> DeviceInfo:
    """Return the device of a task's entities: the printer's, or the task's own."""
    if not has_children(fleet, printer):
        return device_info(printer)
    parent = dr.async_get(fleet.hass).async_get_or_create(
        config_entry_id=fleet.entry_id, **device_info(printer)
    )
    child: DeviceInfo = _CHILD(
        identifiers={(DOMAIN, f"{printer.introduced.uuid}.{task}")},
        name=printer.tasks[task].label,
        parent_device_id=parent.id,
    )
    return child


def capital(name: str) -> str:
    """Return a name that begins with a capital letter."""
    return name[:1].upper() + name[1:]


class Children:
    """Adds and removes task devices when the tasks or the option change."""

    def __init__(self, hass: HomeAssistant, entry: UpkeepEntry) -> None:
        self.hass = hass
        self.entry = entry
        self._labels: dict[str, dict[str, str] | None] = {}  # by uuid and task

    @callback
    def changed(self, printer: Printer) -> None:
        """Move the entities of tasks to their devices, and remove unused devices."""
        if not possible():
            return
        uuid, fleet = printer.introduced.uuid, self.entry.runtime_data
        labels = (
            {task: state.label for task, state in printer.tasks.items()}
            if has_children(fleet, printer)
            else None
        )
        if uuid in self._labels and self._labels[uuid] == labels:
            return
        self._labels[uuid] = labels
        there = self._there(uuid)
        if labels is not None or there:
            self._move(printer)
        for task, device in there.items():
            if task not in (labels or ()):
                dr.async_get(self.hass).async_remove_device(device)

    def _move(self, printer: Printer) -> None:
        """Put the entities of each task into the device of that task."""
        fleet = self.entry.runtime_data
        homes = {
            task: self._device(task_device(fleet, printer, task))
            for task in printer.tasks
        }
        registry, start = er.async_get(self.hass), f"{printer.introduced.uuid}_task."
        for each in er.async_entries_for_config_entry(registry, self.entry.entry_id):
            task = each.unique_id.removeprefix(start).partition(".")[0]
            home = homes.get(task) if each.unique_id.startswith(start) else None
            if home is not None and each.device_id != home:
                registry.async_update_entity(each.entity_id, device_id=home)

    def _device(self, info: DeviceInfo) -> str:
        registry: Any = dr.async_get(self.hass)
        make = (
            registry.async_get_or_create_child
            if "parent_device_id" in info
            else registry.async_get_or_create
        )
        return str(make(config_entry_id=self.entry.entry_id, **info).id)

    def _there(self, uuid: str) -> dict[str, str]:
        """Return the tasks that have a device in the registry, each with its id."""
        known = _CHILDREN(dr.async_get(self.hass), self.entry.entry_id)
        devices = {task_of(device): device.id for device in known}
        return {task: each for (of, task), each in devices.items() if of == uuid}
