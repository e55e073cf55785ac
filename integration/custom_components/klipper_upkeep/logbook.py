"""How a printer's events read in Home Assistant's logbook."""

from __future__ import annotations

from collections.abc import Callable

from homeassistant.components.logbook.const import (
    LOGBOOK_ENTRY_MESSAGE,
    LOGBOOK_ENTRY_NAME,
)
from homeassistant.core import Event, HomeAssistant, callback

from .const import DOMAIN, EVENT

SENTENCES = {
    "soon": "{label} will be due soon",
    "due": "{label} is due",
    "done": "{label} was done",
    "skipped": "{label} was skipped",
    "snoozed": "{label} was told to wait",
    "unsnoozed": "{label} reminds again",
    "enabled": "{label} was enabled",
    "disabled": "{label} was disabled",
    "changed": "{label} was changed",
}


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[[str, str, Callable[[Event], dict[str, str]]], None],
) -> None:
    """Tell the logbook how to read our event."""

    @callback
    def describe(event: Event) -> dict[str, str]:
        data = event.data
        text = SENTENCES.get(data["type"], "{label}: {type}").format(**data)
        by = f" by {data['by']}" if data["by"] else ""
        note = f" ({data['note']})" if data["note"] else ""
        return {
            LOGBOOK_ENTRY_NAME: data["name"],
            LOGBOOK_ENTRY_MESSAGE: f"{text}{by}{note}",
        }

    async_describe_event(DOMAIN, EVENT, describe)
