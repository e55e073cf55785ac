"""Sentences in Home Assistant's language for places without a translation key."""

from __future__ import annotations

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import translation

from .const import DOMAIN

# Home Assistant's translation files have only this place for other sentences.
PLACE = f"component.{DOMAIN}.selector.words.options."


async def load(hass: HomeAssistant) -> None:
    """Read the sentences, which are used where nothing can be awaited."""
    await translation.async_get_translations(
        hass, hass.config.language, "selector", {DOMAIN}
    )


@callback
def sentence(hass: HomeAssistant, key: str, otherwise: str = "", **given: str) -> str:
    """Return the sentence, or *otherwise* where there is none of that key."""
    known = translation.async_get_cached_translations(
        hass, hass.config.language, "selector", DOMAIN
    )
    text = known.get(PLACE + key, otherwise)
    for name, value in given.items():
        text = text.replace("{" + name + "}", value)
    return text
