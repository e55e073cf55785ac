"""Filament: the length that an extruder used, and the travel of its gears, in mm.

Read from the extruder's motion queue, so it is what the motor was told: right under
M221, in volumetric mode, and when extruding by hand.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .. import klipper
from ..klipper_objects import HomingMove
from .base import Increments
from .families import each, meters
from .queue import MOVES, Piece

# Drawn back further than any retraction, filament has left the printer: what is
# pushed then is new filament, not the old one coming back.
UNLOADED = 30.0


class Strand:
    """The filament in one extruder."""

    def __init__(self) -> None:
        self._behind = 0.0  # how far it is drawn back from its furthest position

    def advance(self, length: float) -> float:
        """Return the use of a move of *length*, which is negative for a retraction.

        Pushing back what was retracted uses nothing: a slicer counts the same way.
        """
        self._behind -= length
        used = max(0.0, -self._behind)
        self._behind = min(max(0.0, self._behind), UNLOADED)
        return used


class Filament:
    """``filament`` and ``extruded``, and of each extruder where there are several."""

    def __init__(self, extruders: Mapping[str, Any]) -> None:
        self._extruders = extruders
        self.moves = MOVES
        self.meters = meters("filament", "extruded")
        self._strands = {name: Strand() for name in self._extruders}
        self._used = each("filament", self._extruders)
        self._extruded = each("extruded", self._extruders)
        self._several = len(self._extruders) > 1
        if self._several:
            self.meters.update(self._used.values())
            self.meters.update(self._extruded.values())

    def read(self, queue: str, pieces: Sequence[Piece], eventtime: float) -> Increments:
        increments: Increments = {"filament": 0.0, "extruded": 0.0}
        worked = sum(abs(length) for _, _, _, length in pieces)
        for name in self._fed_by(queue):
            advance = self._strands[name].advance
            used = sum(advance(length) for _, _, _, length in pieces)
            increments["filament"] += used
            increments["extruded"] += worked
            if self._several:
                increments[self._used[name][0]] = used
                increments[self._extruded[name][0]] = worked
        return increments

    def homed(self, queue: str, move: HomingMove) -> Increments:
        return {}

    def _fed_by(self, queue: str) -> list[str]:
        """Return the extruders whose gears follow *queue*, as things stand."""
        moved = self._extruders[queue].get_trapq()
        return [
            name
            for name, extruder in self._extruders.items()
            if klipper.queue_moving(extruder) is moved
        ]
