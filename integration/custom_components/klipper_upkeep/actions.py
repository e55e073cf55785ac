"""The integration's actions: done, skip, snooze, set_threshold, adjust, get_log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import voluptuous as vol
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import (
    Context,
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
)
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .contract import Command, iso, slug

if TYPE_CHECKING:
    from .fleet import Fleet, Printer, UpkeepEntry

TARGET: dict[Any, Any] = {
    vol.Required("device_id"): cv.string,
    vol.Required("task"): cv.string,
}
BY: dict[Any, Any] = {vol.Optional("by"): cv.string}
NOTE: dict[Any, Any] = {vol.Optional("note"): cv.string}
ABOVE_ZERO = vol.All(vol.Coerce(float), vol.Range(min=0, min_included=False))
FROM_ZERO = vol.All(vol.Coerce(float), vol.Range(min=0))

# action: its fields beside the target, and the contract's command
ACTIONS: dict[str, tuple[dict[Any, Any], str]] = {
    "done": (
        {
            **BY,
            **NOTE,
            vol.Optional("at"): cv.datetime,
            vol.Optional("used"): FROM_ZERO,
        },
        "done",
    ),
    "skip": ({**BY, **NOTE}, "skip"),
    "snooze": ({**BY, vol.Required("hours"): ABOVE_ZERO}, "snooze"),
    "set_threshold": (
        {
            **BY,
            vol.Required("threshold"): ABOVE_ZERO,
            vol.Optional("warn_at"): ABOVE_ZERO,
            vol.Optional("meter"): cv.string,
        },
        "set",
    ),
    "adjust": ({**BY, vol.Required("used"): FROM_ZERO}, "adjust"),
}


def register(hass: HomeAssistant) -> None:
    """Register the actions with Home Assistant."""

    async def act(call: ServiceCall) -> None:
        fleet, printer, task = _target(hass, call)
        command = await _command(hass, call)
        await fleet.command(printer, task, command)

    async def get_log(call: ServiceCall) -> ServiceResponse:
        fleet, printer, task = _target(hass, call)
        command = Command("log", limit=call.data.get("limit"))
        result = await fleet.command(printer, task, command)
        return {
            "log": [dict(entry._asdict(), time=iso(entry.time)) for entry in result.log]
        }

    for action, (fields, _) in ACTIONS.items():
        hass.services.async_register(
            DOMAIN, action, act, vol.Schema({**TARGET, **fields})
        )
    limit: dict[Any, Any] = {vol.Optional("limit"): cv.positive_int}
    hass.services.async_register(
        DOMAIN,
        "get_log",
        get_log,
        vol.Schema({**TARGET, **limit}),
        SupportsResponse.ONLY,
    )


async def name_of(hass: HomeAssistant, context: Context | None) -> str:
    """Return the name of the user behind *context*, or nothing."""
    if context is None or context.user_id is None:
        return ""
    user = await hass.auth.async_get_user(context.user_id)
    return "" if user is None or user.name is None else user.name


async def _command(hass: HomeAssistant, call: ServiceCall) -> Command:
    data = dict(call.data)
    command = Command(
        ACTIONS[call.service][1],
        by=data.get("by") or await name_of(hass, call.context),
        note=data.get("note", ""),
        used=data.get("used"),
        hours=data.get("hours"),
        threshold=data.get("threshold"),
        warn_at=data.get("warn_at"),
    )
    if "at" in data:
        moment = dt_util.as_timestamp(dt_util.as_utc(data["at"]))
        command = command._replace(at=int(moment))
    if "meter" in data:
        command = command._replace(
            threshold={data["meter"]: data["threshold"]},
            warn_at={data["meter"]: data["warn_at"]} if "warn_at" in data else None,
        )
    return command


def _target(hass: HomeAssistant, call: ServiceCall) -> tuple[Fleet, Printer, str]:
    """Return the printer and the task's slug that *call* is about."""
    device = dr.async_get(hass).async_get(call.data["device_id"])
    ids = (
        {name for domain, name in device.identifiers if domain == DOMAIN}
        if device
        else ()
    )
    entries: list[UpkeepEntry] = hass.config_entries.async_entries(DOMAIN)
    for entry in entries:
        if entry.state is not ConfigEntryState.LOADED:
            continue
        for printer in entry.runtime_data.printers.values():
            if printer.info is not None and printer.info.uuid in ids:
                return entry.runtime_data, printer, slug(call.data["task"])
    raise ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="no_printer",
        translation_placeholders={"device_id": call.data["device_id"]},
    )
