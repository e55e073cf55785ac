"""Diagnostics for a bug report. They have no personal data and no addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.core import HomeAssistant

if TYPE_CHECKING:
    from .fleet import Printer, UpkeepEntry

SECRET = {"uuid", "host", "url", "last_by", "by", "note"}


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: UpkeepEntry
) -> dict[str, Any]:
    """Describe the entry and its printers."""
    fleet = entry.runtime_data
    return {
        "entry": {"data": dict(entry.data), "options": dict(entry.options)},
        "printers": {
            slug: async_redact_data(_printer(printer), SECRET)
            for slug, printer in fleet.printers.items()
        },
    }


def _printer(printer: Printer) -> dict[str, Any]:
    return {
        "online": printer.online,
        "info": None if printer.info is None else printer.info._asdict(),
        "tasks": {
            task: dict(
                state._asdict(), limits=[limit._asdict() for limit in state.limits]
            )
            for task, state in printer.tasks.items()
        },
        "logged": None if printer.log is None else len(printer.log),
    }
