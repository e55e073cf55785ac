"""How entities and devices are called, in the printer's language. Pure tables.

The English words are the keys. A language is one more table; what it lacks stays
English, and a test tells what it lacks.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping

GERMAN = {
    "3D printer": "3D-Drucker",
    "Maintenance due": "Wartung fällig",
    "Tasks due": "Fällige Wartungen",
    "Next task": "Nächste Wartung",
    "Next task due": "Nächste Wartung fällig",
    "Connection": "Verbindung",
    # These follow a task's label: "Stangen: Restlaufzeit".
    "status": "Status",
    "used up": "Verbrauch",
    "next due": "nächster Termin",
    "last done": "zuletzt erledigt",
    "remaining": "verbleibend",
    "used": "seit der Wartung",
    "done": "erledigt",
    "snooze": "verschieben",
    "enabled": "aktiv",
    "threshold": "Intervall",
    "event": "Ereignis",
    # Meters; what belongs to one part has its name behind it.
    "Print time": "Druckzeit",
    "Busy time": "Arbeitszeit",
    "Power on": "Einschaltzeit",
    "Calendar time": "Kalenderzeit",
    "Filament": "Filament",
    "Extruded": "Gefördertes Filament",
    "Jobs started": "Begonnene Druckaufträge",
    "Jobs completed": "Fertige Druckaufträge",
    "Jobs cancelled": "Abgebrochene Druckaufträge",
    "Jobs failed": "Fehlgeschlagene Druckaufträge",
    "Homings": "Referenzfahrten",
    "Probes": "Messungen des Tasters",
    "Tool changes": "Werkzeugwechsel",
    "Travel": "Fahrweg",
    "Travel of carriage": "Fahrweg des Schlittens",
    "Heater on": "Heizzeit",
    "Fan on": "Lüfterzeit",
    "Count": "Zähler",
    "Print time, Moonraker's history": "Druckzeit laut Moonraker",
    "Filament, Moonraker's history": "Filament laut Moonraker",
}

# Meters of one part: how they read with its name in them.
PARTS = {
    "en": {"Heater on": "{} on time", "Fan on": "Fan {} on time"},
    "de": {"Heater on": "Heizzeit {}", "Fan on": "Lüfterzeit {}"},
}

LANGUAGES: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": {}, "de": GERMAN})


def translated(text: str, language: str) -> str:
    """Return *text* in *language*, or as it is."""
    return LANGUAGES.get(language, {}).get(text, text)


def meter_name(label: str, language: str) -> str:
    """Return a meter's label as people say it: "Heater bed on time"."""
    words = LANGUAGES.get(language, {})
    patterns = PARTS.get(language, {})
    known = [*GERMAN, *patterns]
    start = max(
        (e for e in known if f"{label} ".startswith(f"{e} ")), key=len, default=""
    )
    part = label[len(start) :].strip().replace("_", " ")
    if not start or not part:
        return words.get(label, label)
    if start not in patterns:
        return f"{words.get(start, start)} {part}"
    pattern = patterns[start]
    if part.lower().endswith("fan"):
        # "Part fan on time", and not "Fan part fan on time".
        pattern = pattern.replace("Fan ", "")
    name = pattern.format(part)
    return name[:1].upper() + name[1:]
