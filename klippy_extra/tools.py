"""Tells which tool or lane is in use, if several share an extruder.

The status of klipper-toolchanger (`toolchanger`), Happy Hare (`mmu`) and AFC (`AFC`)
has it. Of several extruders, the toolhead has the active one.
"""

from __future__ import annotations

from typing import Any, Mapping

from . import klipper
from .klipper_objects import HasStatus, Printer, Toolhead
from .ledger.inventory import Place
from .meters import families

BED = "bed"
# If there are several extruders, each has its own of these meters.
OWN = ("filament", "extruded", "tool_changes")
CHANGES = "tool_changes"


class Tools:
    """The places of a ready printer, and which of them are in use."""

    def __init__(self, printer: Printer) -> None:
        self._changer = _status_of(printer, "toolchanger")
        self._mmu = _status_of(printer, "mmu")
        self._afc = _status_of(printer, "AFC")
        self._toolhead: Toolhead | None = printer.lookup_object("toolhead", None)
        self._extruders = klipper.extruders(printer)
        now = printer.get_reactor().monotonic()
        tools = [f"tool {number}" for number in self._numbers(now)]
        tools += [f"gate {number}" for number in range(self._gates(now))]
        if self._afc is not None:
            tools += list(map(str, self._afc.get_status(now).get("lanes") or ()))
        self.shares = tuple(tools)
        self._active: frozenset[str] = frozenset()
        self.refresh(now)

    @property
    def places(self) -> list[Place]:
        """Return the places for parts that the printer itself knows."""
        several = len(self._extruders) > 1
        own = {each: families.each(each, self._extruders) for each in OWN}
        extruders = [
            Place(
                name,
                {meter: own[meter][name][0] for meter in OWN} if several else {},
                takes_turns=several,
            )
            for name in self._extruders
        ]
        shared = [Place(name, takes_turns=True) for name in self.shares]
        return [*extruders, *shared, Place(BED)]

    def is_active(self, place: str) -> bool:
        return place in self._active

    def refresh(self, eventtime: float) -> int:
        """Read which tools are in use; return how many tool changes there were."""
        active = set()
        if self._toolhead is not None and len(self._extruders) > 1:
            active.add(self._toolhead.get_extruder().get_name())
        at_work = {name for name in self._at_work(eventtime) if name in self.shares}
        before, self._active = self._active, frozenset(active | at_work)
        return len(at_work - before)

    def _at_work(self, eventtime: float) -> list[str]:
        names = []
        if self._changer is not None:
            number = self._changer.get_status(eventtime).get("tool_number")
            names.append(f"tool {number}")
        if self._mmu is not None:
            status = self._mmu.get_status(eventtime)
            if status.get("filament") != "Unloaded":
                names.append(f"gate {status.get('gate')}")
        if self._afc is not None:
            names.append(str(self._afc.get_status(eventtime).get("current_load")))
        return names

    def _numbers(self, eventtime: float) -> list[int]:
        if self._changer is None:
            return []
        return list(self._changer.get_status(eventtime).get("tool_numbers") or ())

    def _gates(self, eventtime: float) -> int:
        if self._mmu is None:
            return 0
        status: Mapping[str, Any] = self._mmu.get_status(eventtime)
        return int(status.get("num_gates") or len(status.get("gate_status") or ()))


def _status_of(printer: Printer, name: str) -> HasStatus | None:
    with_status: HasStatus | None = printer.lookup_object(name, None)
    return with_status
