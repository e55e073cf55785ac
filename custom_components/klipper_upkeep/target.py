"""Finds the tasks for which the user runs an action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er

from .children import AnyDevice, task_of
from .const import DOMAIN
from .contract import State, slug
from .devices import mqtt_identifier
from .fleet import Fleet, Printer


class Target(NamedTuple):
    """A task for which an action runs."""

    fleet: Fleet
    printer: Printer
    state: State


def targets(hass: HomeAssistant, data: Mapping[str, Any]) -> list[Target]:
    """Return the tasks that an action's data name by device, entity, label or slug.

    An entity of a task names that task. A printer's device, its list and its calendar
    name the printer, and ``task`` names the task. ServiceValidationError if there is
    no such printer or task.
    """
    names: list[str] = data.get("task", [])
    targets: dict[tuple[str, str], Target] = {}
    for given, uuid, task in _named(hass, data):
        fleet, printer = _printer(hass, given, uuid)
        wanted = [task] if task else names
        if not wanted:
            raise _wrong("which_task", printer=printer.name, tasks=_labels(printer))
        for name in wanted:
            state = _task(printer, name)
            targets[uuid, state.task] = Target(fleet, printer, state)
    if not targets:
        raise _wrong("no_target")
    return list(targets.values())


def _named(
    hass: HomeAssistant, data: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Yield each given id with its printer's uuid, and its task if it names one."""
    devices, entities = dr.async_get(hass), er.async_get(hass)
    for given in data.get("device_id", []):
        yield given, *_uuid(devices.async_get(given))
    for given in data.get("entity_id", []):
        entity = entities.async_get(given)
        uuid = ""
        if entity is not None and entity.device_id is not None:
            uuid, _ = _uuid(devices.async_get(entity.device_id))
        start = f"{uuid}_task."
        task = ""
        if entity is not None and uuid and entity.unique_id.startswith(start):
            task = entity.unique_id[len(start) :].partition(".")[0]
        yield given, uuid, task


def _uuid(device: AnyDevice | None) -> tuple[str, str]:
    """Return the uuid of a device's printer, and the task if it is a task's device.

    The device may be of MQTT discovery or of this integration.
    """
    if device is None:
        return "", ""
    start = mqtt_identifier("")[1]
    for domain, name in device.identifiers:
        if domain == "mqtt" and name.startswith(start):
            return name[len(start) :], ""
    return task_of(device)


def _printer(hass: HomeAssistant, given: str, uuid: str) -> tuple[Fleet, Printer]:
    for entry in hass.config_entries.async_entries(DOMAIN):
        if entry.state is not ConfigEntryState.LOADED:
            continue
        fleet: Fleet = entry.runtime_data
        for printer in fleet.printers.values():
            if printer.info is not None and printer.info.uuid == uuid:
                return fleet, printer
    raise _wrong("no_printer", device_id=given)


def _task(printer: Printer, name: str) -> State:
    """Return the task with this slug, with this section's name, or with this label."""
    for known in (name, slug(name)):
        if known in printer.tasks:
            return printer.tasks[known]
    labelled = [
        state
        for state in printer.tasks.values()
        if state.label.casefold() == name.strip().casefold()
    ]
    if len(labelled) != 1:
        raise _wrong(
            "unknown_task", printer=printer.name, task=name, tasks=_labels(printer)
        )
    return labelled[0]


def _labels(printer: Printer) -> str:
    return ", ".join(state.label for state in printer.tasks.values())


def _wrong(key: str, **words: str) -> ServiceValidationError:
    return ServiceValidationError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=words
    )
