"""Filament: the length that an extruder used, and the travel of its gears, in mm.

It is read from the extruder's motion queue, so it is the length that the motor really
moves: it is also right with M221, in volumetric mode, and when somebody extrudes by
hand.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .. import klipper
from ..klipper_objects import HomingMove
from .base import Increments
from .families import each, meters
from .queue import MOVES, Piece

# Filament that is drawn back further than by any retraction has left the printer. What
# is pushed afterwards is new filament.
UNLOADED = 30.0


class FilamentUse:
    """Computes how much filament the moves of one extruder use."""

    def __init__(self) -> None:
        self._behind = 0.0  # how far it is drawn back from its furthest position

    def advance(self, length: float) -> float:
        """Return the use of a move of *length*, which is negative for a retraction.

        A push of retracted filament uses nothing. Slicers count in the same way.
        """
        self._behind -= length
        used = max(0.0, -self._behind)
        self._behind = min(max(0.0, self._behind), UNLOADED)
        return used


class Filament:
    """``filament`` and ``extruded``, and both for each of several extruders."""

    def __init__(self, extruders: Mapping[str, Any]) -> None:
        self._extruders = extruders
        self.moves = MOVES
        self.meters = meters("filament", "extruded")
        self._uses = {name: FilamentUse() for name in self._extruders}
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
            advance = self._uses[name].advance
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
        """Return the extruders whose gears follow *queue* now."""
        moved = self._extruders[queue].get_trapq()
        return [
            name
            for name, extruder in self._extruders.items()
            if klipper.queue_moving(extruder) is moved
        ]
