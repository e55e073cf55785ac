"""What happens a number of times: homings, probes, tool changes."""

from __future__ import annotations

from ..contract import Meter
from ..guard import guarded
from .base import Increments, Options
from .families import each, meters

AXES = ("x", "y", "z")


class Events:
    """``homings`` (of one axis each), ``probes``, ``tool_changes``."""

    def __init__(self, printer, options: Options) -> None:
        self._toolhead = printer.lookup_object("toolhead")
        self._reactor = printer.get_reactor()
        self._pending: Increments = {}
        self._in_rails = False
        self._axes = each("homings", AXES)
        self._tools = each("tool_changes", _extruders(printer))
        self.meters: dict[str, Meter] = meters("homings", "probes", "tool_changes")
        self.meters.update(self._axes.values())
        if len(self._tools) > 1:
            self.meters.update(self._tools.values())
        for event, handle in (
            ("homing:home_rails_begin", self._rails_begin),
            ("homing:home_rails_end", self._homed),
            ("homing:homing_move_begin", self._homing_begins),
            ("probe:update_results", self._probed),
            ("extruder:activate_extruder", self._changed_tool),
        ):
            printer.register_event_handler(event, guarded(handle, event))

    def poll(self, eventtime: float) -> Increments:
        increments, self._pending = self._pending, {}
        return increments

    def _rails_begin(self, homing, rails) -> None:
        self._in_rails = True

    def _homed(self, homing, rails) -> None:
        self._in_rails = False
        # Not get_axes(): that is all of what G28 was asked for, each time.
        axis = rails[0].get_name().replace("_", " ").split()[-1]
        self._count("homings")
        if axis in self._axes:
            self._count(self._axes[axis][0])

    def _homing_begins(self, move) -> None:
        # Newer Klippers home Z with a probe and tell of no rails. What tells such a
        # move from a probing one: it starts far outside of the axis.
        if self._in_rails:
            return
        z = self._toolhead.get_position()[2]
        status = self._toolhead.get_status(self._reactor.monotonic())
        if not status["axis_minimum"][2] <= z <= status["axis_maximum"][2]:
            self._count("homings")
            self._count(self._axes["z"][0])

    def _probed(self, results) -> None:
        self._count("probes")

    def _changed_tool(self) -> None:
        self._count("tool_changes")
        name = self._toolhead.get_extruder().get_name()
        meter = self._tools[name][0]
        if meter in self.meters:
            self._count(meter)

    def _count(self, meter: str) -> None:
        self._pending[meter] = self._pending.get(meter, 0.0) + 1.0


def _extruders(printer) -> list[str]:
    names = [f"extruder{number or ''}" for number in range(99)]
    return [name for name in names if printer.lookup_object(name, None) is not None]
