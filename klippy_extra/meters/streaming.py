"""Counts prints that arrive line by line, for example from OctoPrint.

``print_stats`` does not have them. A stream prints if filament is drawn while the
toolhead moves. From then on it counts as printing as long as Klippy has moves or
commands. This is the same time as ``print_duration`` of a file. In a pause, nothing is
sent.
"""

from __future__ import annotations

from ..klipper_objects import HasStatus, Heaters, Printer
from .base import Increments

HOUR = 3600.0
MOVING = 0.001  # mm/s


class Stream:
    """The hours and jobs of streamed prints."""

    def __init__(self, printer: Printer) -> None:
        self._motion: HasStatus | None = printer.lookup_object("motion_report", None)
        self._idle: HasStatus | None = printer.lookup_object("idle_timeout", None)
        self._heaters: Heaters | None = printer.lookup_object("heaters", None)
        self._drawing = False  # whether filament was drawn since the last standstill
        self._of_a_file = False
        self.under_way = False  # from the first drawn line until all hotends are off

    def pass_over(self) -> None:
        """Count nothing, since a file is printed. Its moves go on after its end."""
        self._drawing, self._of_a_file = False, True

    def poll(self, eventtime: float, passed: float) -> Increments:
        """Return the growth in *passed* seconds, in which no file was printed."""
        if self._motion is None or self._idle is None:
            return {}
        status = self._idle.get_status(eventtime)
        busy = status["state"] == "Printing"
        self._of_a_file = self._of_a_file and busy
        increments = {"busy_time": passed / HOUR} if self.under_way else {}
        if not busy:
            self._drawing = False
            increments.update(self._end(eventtime))
        elif self._drawing:
            increments["print_time"] = passed / HOUR
        elif not self._of_a_file and self._draws(eventtime):
            self._drawing = True
            increments.update(self._begin(status["printing_time"]))
        return increments

    def _begin(self, busy_for: float) -> Increments:
        if self.under_way:
            return {}
        self.under_way = True
        return {"jobs_started": 1.0, "busy_time": busy_for / HOUR}

    def _end(self, eventtime: float) -> Increments:
        if not self.under_way or not self._cold(eventtime):
            return {}
        self.under_way = False
        return {"jobs_completed": 1.0}

    def _draws(self, eventtime: float) -> bool:
        live = {} if self._motion is None else self._motion.get_status(eventtime)
        return bool(live) and bool(
            live["live_extruder_velocity"] > MOVING and live["live_velocity"] > MOVING
        )

    def _cold(self, eventtime: float) -> bool:
        if self._heaters is None:
            return True
        return not any(
            self._heaters.lookup_heater(name).get_status(eventtime)["target"]
            for name in self._heaters.get_all_heaters()
            if name.startswith("extruder")
        )
