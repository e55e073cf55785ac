"""The names, units and labels of all meters. It needs no object of Klipper."""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple

from ..contract import Meter
from ..language import mark

HOURS, METRES, COUNT = "h", "m", ""

_NAME = re.compile(r"[a-z0-9_]{1,63}\Z")


class Family(NamedTuple):
    """One meter, or with *each* a meter for each object: ``heater_on_<heater>``."""

    name: str
    unit: str
    label: str
    each: str = ""  # the kind of object in the name; "" if there is only one meter

    def matches(self, name: str) -> bool:
        if self.each:
            return name.startswith(self.name + "_") and name != self.name + "_"
        return name == self.name

    def meter(self, part: str = "") -> Meter:
        return Meter(self.unit, f"{self.label} {part}" if part else self.label)

    def __str__(self) -> str:
        return f"{self.name}_<{self.each}>" if self.each else self.name


FAMILIES = (
    Family("print_time", HOURS, mark("Print time")),
    Family("busy_time", HOURS, mark("Busy time")),
    Family("power_on", HOURS, mark("Power on")),
    Family("time", HOURS, mark("Calendar time")),
    Family("filament", METRES, mark("Filament")),
    Family("extruded", METRES, mark("Extruded")),
    Family("jobs_started", COUNT, mark("Jobs started")),
    Family("jobs_completed", COUNT, mark("Jobs completed")),
    Family("jobs_cancelled", COUNT, mark("Jobs cancelled")),
    Family("jobs_failed", COUNT, mark("Jobs failed")),
    Family("homings", COUNT, mark("Homings")),
    Family("probes", COUNT, mark("Probes")),
    Family("tool_changes", COUNT, mark("Tool changes")),
    Family("filament", METRES, mark("Filament"), "extruder"),
    Family("extruded", METRES, mark("Extruded"), "extruder"),
    Family("travel", METRES, mark("Travel"), "axis"),
    Family("travel_carriage", METRES, mark("Travel of carriage"), "carriage"),
    Family("heater_on", HOURS, mark("Heater on"), "heater"),
    Family("fan_on", HOURS, mark("Fan on"), "fan"),
    Family("homings", COUNT, mark("Homings"), "axis"),
    Family("tool_changes", COUNT, mark("Tool changes"), "extruder"),
    Family("count", COUNT, mark("Count"), "name"),
    Family("moonraker_print_time", HOURS, mark("Print time, Moonraker's history")),
    Family("moonraker_filament", METRES, mark("Filament, Moonraker's history")),
)
_EXACT = {family.name: family for family in FAMILIES if not family.each}
_EACH = {family.name: family for family in FAMILIES if family.each}


def known(name: str) -> bool:
    """Return whether *name* can be a meter. A printer may still not have it."""
    return _family(name) is not None


def unit(name: str) -> str:
    """Return ``h``, ``m`` or ``""``. ValueError: no meter has such a name."""
    family = _family(name)
    if family is None:
        names = ", ".join(map(str, FAMILIES))
        raise ValueError(f"there is no meter {name!r}; the meters are: {names}")
    return family.unit


def meter(name: str) -> Meter:
    """Return the description of a meter that exists only once."""
    return _EXACT[name].meter()


def meters(*names: str) -> dict[str, Meter]:
    return {name: meter(name) for name in names}


def each(family: str, parts: Iterable[str]) -> dict[str, tuple[str, Meter]]:
    """Return the name and description of a meter for each of *parts*, Klipper's names.

    The last word of a name names the meter (``heater_generic chamber`` gives
    ``heater_on_chamber``), unless another object already has that word.
    """
    made: dict[str, tuple[str, Meter]] = {}
    taken = set()
    for part in parts:
        short = part.split()[-1]
        for text in (short, part):
            name = f"{family}_{plain(text)}"
            if name not in taken:
                break
        taken.add(name)
        made[part] = (name, _EACH[family].meter(text))
    return made


def plain(text: str) -> str:
    """Return *text* with only the letters that a meter's name may have."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _family(name: str) -> Family | None:
    if not _NAME.match(name):
        return None
    if name in _EXACT:
        return _EXACT[name]
    # If several families match the name, the longest one is right.
    behind = [family for family in _EACH.values() if family.matches(name)]
    return max(behind, key=lambda family: len(family.name), default=None)
