"""The texts of printers' events in Home Assistant's logbook."""

from __future__ import annotations

from collections.abc import Callable

from homeassistant.components.logbook.const import (
    LOGBOOK_ENTRY_MESSAGE,
    LOGBOOK_ENTRY_NAME,
)
from homeassistant.core import Event, HomeAssistant, callback

from .const import DOMAIN, EVENT
from .words import sentence


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[[str, str, Callable[[Event], dict[str, str]]], None],
) -> None:
    """Give the logbook the function that describes our event."""

    @callback
    def describe(event: Event) -> dict[str, str]:
        # Any program may fire an event of this type, so fields may be missing.
        data = {name: str(value or "") for name, value in event.data.items()}
        kind, label = data.get("type", ""), data.get("label", "")
        text = sentence(hass, f"event_{kind}", "{label}: {type}", label=label)
        text = text.replace("{type}", kind)
        if by := data.get("by"):
            text += " " + sentence(hass, "by", "by {by}", by=by)
        if note := data.get("note"):
            text += f" ({note})"
        return {
            LOGBOOK_ENTRY_NAME: data.get("name") or DOMAIN,
            LOGBOOK_ENTRY_MESSAGE: text,
        }

    async_describe_event(DOMAIN, EVENT, describe)
