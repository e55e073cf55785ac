"""The names of meters in Home Assistant, in the printer's language. Pure."""

from __future__ import annotations

from .language import Catalogue, mark

# A label that begins with one of these goes on with a name: "Heater on heater_bed".
PARTS = {
    "Filament": mark("Filament {part}"),
    "Extruded": mark("Extruded {part}"),
    "Travel": mark("Travel {part}"),
    "Travel of carriage": mark("Travel of carriage {part}"),
    "Heater on": mark("{part} on time"),
    "Fan on": mark("Fan {part} on time"),
    "Homings": mark("Homings {part}"),
    "Tool changes": mark("Tool changes {part}"),
    "Count": mark("Count {part}"),
}
# In all other languages, a label after another label begins with a small letter.
CAPITAL_NOUNS = ("de", "lb")


def meter_name(label: str, language: Catalogue) -> str:
    """Return a meter's label in natural words: "Heater bed on time"."""
    starts = [each for each in PARTS if label.startswith(f"{each} ")]
    start = max(starts, key=len, default="")
    part = label[len(start) :].strip().replace("_", " ")
    if not start or not part:
        return language.tr(label)
    name = language.tr(PARTS[start], part=part)
    if part.lower().endswith("fan"):
        # The name is "Part fan on time", and not "Fan part fan on time".
        name = name.replace(f"Fan {part}", part)
    return name[:1].upper() + name[1:]


def behind_label(name: str, language: Catalogue) -> str:
    """Return a meter's name for a place after a task's label."""
    return name if language.code in CAPITAL_NOUNS else name[:1].lower() + name[1:]
