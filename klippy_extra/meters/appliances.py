"""Counts the hours for which heaters and fans are on."""

from __future__ import annotations

from typing import Mapping

from ..klipper_objects import HasStatus, Heaters, Printer
from .base import Increments, Options
from .families import each

HOUR = 3600.0
FANS = ("fan", "heater_fan", "controller_fan", "fan_generic", "temperature_fan")


class Appliances:
    """Counts the hours while *field* in an object's status is above zero."""

    def __init__(
        self,
        printer: Printer,
        family: str,
        objects: Mapping[str, HasStatus],
        field: str,
    ) -> None:
        named = each(family, objects)
        self.meters = dict(named.values())
        self._objects = [(named[name][0], made) for name, made in objects.items()]
        self._field = field
        self._seen = printer.get_reactor().monotonic()

    def poll(self, eventtime: float) -> Increments:
        hours = max(0.0, eventtime - self._seen) / HOUR
        self._seen = max(self._seen, eventtime)
        return {
            meter: hours
            for meter, made in self._objects
            if (made.get_status(eventtime).get(self._field) or 0.0) > 0.0
        }


def heaters(printer: Printer, options: Options) -> Appliances:
    """``heater_on_<heater>``: hours with a target, whatever the power is."""
    heaters_object: Heaters | None = printer.lookup_object("heaters", None)
    objects: dict[str, HasStatus] = {}
    if heaters_object is not None:
        for name in heaters_object.get_all_heaters():
            objects[name] = heaters_object.lookup_heater(name.split()[-1])
    return Appliances(printer, "heater_on", objects, "target")


def fans(printer: Printer, options: Options) -> Appliances:
    """``fan_on_<fan>``: hours at any speed."""
    objects = {
        name: made for module in FANS for name, made in printer.lookup_objects(module)
    }
    return Appliances(printer, "fan_on", objects, "speed")
