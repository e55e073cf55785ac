"""Counts Klipper's events: homings, probes, tool changes."""

from __future__ import annotations

from typing import Any, Sequence

from .. import klipper
from ..contract import Meter
from ..guard import Handlers
from ..klipper_objects import HomingMove, Printer, Rail, Toolhead
from .base import Increments, Options
from .families import each, meters


class Events:
    """``homings`` (each of one axis), ``probes``, ``tool_changes``."""

    def __init__(self, printer: Printer, options: Options) -> None:
        self._toolhead: Toolhead = printer.lookup_object("toolhead")
        self._reactor = printer.get_reactor()
        self._pending: Increments = {}
        self._handlers = Handlers(printer)
        self._in_rails = False
        self._touches = klipper.Touches()
        self._axes = each("homings", klipper.homed_axes(printer))
        self._tools = each("tool_changes", klipper.extruders(printer))
        self.meters: dict[str, Meter] = dict(self._axes.values())
        if klipper.has_axes(printer):
            self.meters.update(meters("homings"))
        if klipper.has_probe(printer):
            self.meters.update(meters("probes"))
        if len(self._tools) > 1:
            self.meters.update(meters("tool_changes"), **dict(self._tools.values()))
        for event, handle in (
            ("homing:home_rails_begin", self._rails_begin),
            ("homing:home_rails_end", self._homed),
            ("homing:homing_move_begin", self._homing_begins),
            ("homing:homing_move_end", self._homing_ends),
            ("probe:update_results", self._probed),
            ("extruder:activate_extruder", self._changed_tool),
        ):
            self._handlers.add(event, handle)

    @property
    def failing(self) -> bool:
        return self._handlers.failing

    def poll(self, eventtime: float) -> Increments:
        increments, self._pending = self._pending, {}
        return increments

    def _rails_begin(self, homing: object, rails: Sequence[Rail]) -> None:
        self._in_rails = True

    def _homed(self, homing: object, rails: Sequence[Rail]) -> None:
        self._in_rails = False
        # get_axes() cannot be used: it names all axes of the G28 each time.
        axis = rails[0].get_name().replace("_", " ").split()[-1]
        self._count("homings")
        if axis in self._axes:
            self._count(self._axes[axis][0])

    def _homing_begins(self, move: HomingMove) -> None:
        # Newer versions of Klipper send no event about rails when they home Z with a
        # probe. Such a move differs from a probing move: it starts far outside of the
        # axis.
        if self._in_rails or move.toolhead is not self._toolhead:
            return  # a manual stepper homes
        z = self._toolhead.get_position()[2]
        status = self._toolhead.get_status(self._reactor.monotonic())
        if not status["axis_minimum"][2] <= z <= status["axis_maximum"][2]:
            self._count("homings")
            if "z" in self._axes:
                self._count(self._axes["z"][0])

    def _homing_ends(self, move: HomingMove) -> None:
        self._count("probes", self._touches.moved(move))

    def _probed(self, results: Sequence[Any]) -> None:
        self._count("probes", self._touches.updated(results))

    def _changed_tool(self) -> None:
        self._count("tool_changes")
        name = self._toolhead.get_extruder().get_name()
        if name in self._tools:
            self._count(self._tools[name][0])

    def _count(self, meter: str, times: float = 1.0) -> None:
        if times and meter in self.meters:
            self._pending[meter] = self._pending.get(meter, 0.0) + times
