"""Sentences in Home Assistant's language, for texts that have no translation key."""

from __future__ import annotations

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import translation

from .const import DOMAIN
from .contract import slug

# Only this part of Home Assistant's translation files may have other sentences.
PLACE = f"component.{DOMAIN}.selector.words.options."


async def load(hass: HomeAssistant) -> None:
    """Load the sentences. The code that uses them later cannot wait."""
    await translation.async_get_translations(
        hass, hass.config.language, "selector", {DOMAIN}
    )


@callback
def sentence(hass: HomeAssistant, key: str, otherwise: str = "", **given: str) -> str:
    """Return the sentence with this key, or *otherwise* if there is none.

    The *given* words are put in the places with their names.
    """
    known = translation.async_get_cached_translations(
        hass, hass.config.language, "selector", DOMAIN
    )
    text = known.get(PLACE + key, otherwise)
    for name, value in given.items():
        text = text.replace("{" + name + "}", value)
    return text


# A label that begins with one of these goes on with a name: "Heater on heater_bed".
PARTS = (
    "Travel of carriage",
    "Filament",
    "Extruded",
    "Travel",
    "Heater on",
    "Fan on",
    "Homings",
    "Tool changes",
    "Count",
)


@callback
def meter_name(hass: HomeAssistant, meter: str, label: str) -> str:
    """Return a meter's name in Home Assistant's language.

    The printer's own *label* is English.
    """
    for start in PARTS:
        if label.startswith(f"{start} "):
            part = label[len(start) + 1 :].replace("_", " ")
            kind = "part_" + slug(start).replace("-", "_").lower()
            text = sentence(hass, kind, f"{start} {{part}}", part=part)
            if part.lower().endswith("fan"):
                # The name is "Part fan on time", and not "Fan part fan on time".
                text = text.replace(f"Fan {part}", part)
            return text[:1].upper() + text[1:]
    otherwise = label or meter.replace("_", " ").replace("-", " ").capitalize()
    return sentence(hass, f"meter_{meter}", otherwise)
