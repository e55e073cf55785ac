"""The integration's actions: people and automations send commands to tasks."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import voluptuous as vol
from homeassistant.core import (
    Context,
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
)
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .contract import CONDITIONS, MAX_TEXT, Amount, Command, Entry, iso
from .schema import schema
from .target import Target, targets

MOST = 1e9  # the greatest amount that an action accepts


def finite(value: Any) -> float:
    """Return a finite number. Home Assistant's own check accepts `inf` and `nan`."""
    number = float(vol.Coerce(float)(value))
    if not math.isfinite(number) or abs(number) > MOST:
        raise vol.Invalid(f"{value} is not a number from 0 to {MOST:.0f}")
    return number


TARGET: dict[Any, Any] = {
    vol.Optional("device_id"): vol.All(cv.ensure_list, [cv.string]),
    vol.Optional("entity_id"): cv.entity_ids,
    vol.Optional("task"): vol.All(cv.ensure_list, [cv.string]),
}
TEXT = vol.All(cv.string, vol.Length(max=MAX_TEXT))
BY: dict[Any, Any] = {vol.Optional("by"): TEXT}
NOTE: dict[Any, Any] = {vol.Optional("note"): TEXT}
METER: dict[Any, Any] = {vol.Optional("meter"): cv.string}
ABOVE_ZERO = vol.All(finite, vol.Range(min=0, min_included=False))
FROM_ZERO = vol.All(finite, vol.Range(min=0))

# For each action: its fields beside the target, and the command of the contract.
ACTIONS: dict[str, tuple[dict[Any, Any], str]] = {
    "done": (
        {
            **BY,
            **NOTE,
            **METER,
            vol.Optional("at"): cv.datetime,
            vol.Optional("used"): FROM_ZERO,
            vol.Optional("condition"): vol.In(CONDITIONS),
        },
        "done",
    ),
    "skip": ({**BY, **NOTE}, "skip"),
    "snooze": ({**BY, vol.Required("hours"): ABOVE_ZERO}, "snooze"),
    "unsnooze": (BY, "unsnooze"),
    "enable": (BY, "enable"),
    "disable": (BY, "disable"),
    "set_threshold": (
        {
            **BY,
            **METER,
            vol.Required("threshold"): ABOVE_ZERO,
            vol.Optional("warn_at"): ABOVE_ZERO,
        },
        "set",
    ),
    "adjust": ({**BY, **METER, vol.Required("used"): FROM_ZERO}, "adjust"),
    "take_suggestion": (BY, "learn"),
    # These two are only for parts. The printer refuses them for other tasks.
    "fit_part": ({**BY, **NOTE, vol.Optional("place"): TEXT}, "fit"),
    "remove_part": ({**BY, **NOTE}, "remove"),
}


def register(hass: HomeAssistant) -> None:
    """Register the actions with Home Assistant."""

    async def act(call: ServiceCall) -> None:
        by = call.data.get("by") or await name_of(hass, call.context)
        orders = [(each, _command(call, each, by)) for each in targets(hass, call.data)]
        # All commands are checked before the first of them is sent.
        for target, _ in orders:
            target.fleet.check(target.printer)
        results = await asyncio.gather(
            *(
                target.fleet.command(target.printer, target.state.task, command)
                for target, command in orders
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def get_log(call: ServiceCall) -> ServiceResponse:
        command = Command("log", limit=call.data.get("limit"))
        entries: list[Entry] = []
        for target in targets(hass, call.data):
            fleet, printer = target.fleet, target.printer
            entries += (await fleet.command(printer, target.state.task, command)).log
        entries.sort(key=lambda entry: -entry.time)
        return {
            "log": [dict(entry._asdict(), time=iso(entry.time)) for entry in entries]
        }

    for action, (fields, _) in ACTIONS.items():
        hass.services.async_register(DOMAIN, action, act, schema({**TARGET, **fields}))
    limit: dict[Any, Any] = {vol.Optional("limit"): cv.positive_int}
    hass.services.async_register(
        DOMAIN,
        "get_log",
        get_log,
        schema({**TARGET, **limit}),
        SupportsResponse.ONLY,
    )


async def name_of(hass: HomeAssistant, context: Context | None) -> str:
    """Return the name of the user who caused *context*; empty if there is none."""
    if context is None or context.user_id is None:
        return ""
    user = await hass.auth.async_get_user(context.user_id)
    return "" if user is None or user.name is None else user.name


def _command(call: ServiceCall, target: Target, by: str) -> Command:
    data = call.data
    meter = _meter(data, target)

    def amount(field: str) -> Amount | None:
        given: float | None = data.get(field)
        return given if given is None or meter is None else {meter: given}

    command = Command(
        ACTIONS[call.service][1],
        by=by,
        note=data.get("note", ""),
        used=amount("used"),
        hours=data.get("hours"),
        threshold=amount("threshold"),
        warn_at=amount("warn_at"),
        condition=data.get("condition", ""),
        place=data.get("place"),
    )
    if "at" in data:
        moment = dt_util.as_timestamp(dt_util.as_utc(data["at"]))
        command = command._replace(at=int(moment))
    return command


def _meter(data: dict[str, Any], target: Target) -> str | None:
    """Return the meter that an amount is for, if the task has several limits."""
    given: str | None = data.get("meter")
    known = [limit.meter for limit in target.state.limits]
    wanted = any(field in data for field in ("used", "threshold", "warn_at"))
    if given in known or not wanted:
        return given
    if given is None and len(known) == 1:
        return None
    raise ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="which_meter",
        translation_placeholders={
            "task": target.state.label,
            "meters": ", ".join(known),
        },
    )
