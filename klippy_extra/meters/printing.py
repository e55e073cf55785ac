"""Counts hours and jobs of the virtual SD card, by Klipper's ``print_stats``."""

from __future__ import annotations

from typing import Any, Mapping

from ..guard import Handlers
from ..klipper import Drawing
from ..klipper_objects import HasStatus, Printer
from .base import Increments, Options
from .families import meters
from .streaming import Stream

HOUR = 3600.0
UNDER_WAY = ("printing", "paused")
ENDS = {
    "complete": "jobs_completed",
    "cancelled": "jobs_cancelled",
    "error": "jobs_failed",
}


class Printing:
    """``print_time``, ``busy_time`` and the jobs, from a file or from a stream.

    A second of a job counts as printing if any extruder has drawn filament before in
    this job, and if the job is not paused.
    """

    def __init__(self, printer: Printer, options: Options) -> None:
        self._stats: HasStatus | None = printer.lookup_object("print_stats", None)
        self.meters = meters(
            "print_time", "busy_time", "jobs_started", "jobs_completed", "jobs_failed"
        )
        if self._stats is not None:  # nobody can see whether a stream was cancelled
            self.meters.update(meters("jobs_cancelled"))
        self._stream = Stream(printer)
        self._handlers = Handlers(printer)
        self._drawing = Drawing(printer, self._handlers)
        self._state = "standby"
        self._total = 0.0  # the counted seconds of this job
        self._printed = False  # whether any of these seconds was printing
        self._seen = printer.get_reactor().monotonic()
        self._pending: Increments = {}
        self._handlers.add("virtual_sdcard:reset_file", self._reset)

    @property
    def failing(self) -> bool:
        return self._handlers.failing

    def poll(self, eventtime: float) -> Increments:
        passed = max(0.0, eventtime - self._seen)
        self._seen = max(self._seen, eventtime)
        if self._stats is not None:
            self._read(self._stats.get_status(eventtime))
        if self._state in UNDER_WAY:
            self._stream.pass_over()
        else:
            for name, value in self._stream.poll(eventtime, passed).items():
                self._add(name, value)
        increments, self._pending = self._pending, {}
        return increments

    def stop(self, eventtime: float) -> Increments:
        """Return the rest after a shutdown of Klippy. The job has then failed.

        Klippy's status must not be read any more: it is then `paused`, although the
        total grows.
        """
        increments = self.poll(eventtime)
        if self._state in UNDER_WAY or self._stream.under_way:
            increments["jobs_failed"] = increments.get("jobs_failed", 0.0) + 1.0
        return increments

    def _read(self, status: Mapping[str, Any]) -> None:
        state = str(status["state"])
        begins = self._state not in UNDER_WAY and state not in ("standby", self._state)
        if begins:
            self._begin()
        before = "printing" if begins else self._state
        passed = max(0.0, status["total_duration"] - self._total)
        self._total += passed
        drawn = self._drawing.has_begun() and before == "printing"
        self._printed = self._printed or drawn
        self._add("busy_time", passed / HOUR)
        if drawn:
            self._add("print_time", passed / HOUR)
        elif state == "complete" and before in UNDER_WAY and not self._printed:
            # The job was so short that no poll was during it. Klipper's status has it.
            self._add("print_time", status["print_duration"] / HOUR)
        self._follow(before, state)

    def _follow(self, before: str, state: str) -> None:
        self._state = state
        if before in UNDER_WAY and state not in UNDER_WAY:
            # The state is standby again: the file was closed before its end.
            self._add(ENDS.get(state, "jobs_cancelled"), 1.0)

    def _begin(self) -> None:
        self._add("jobs_started", 1.0)
        self._total, self._printed = 0.0, False
        self._drawing.begin()
        # The last moves are made after the job's end, also if no poll was during it.
        self._stream.pass_over()

    def _reset(self) -> None:
        self._follow(self._state, "standby")
        self._total = 0.0

    def _add(self, name: str, value: float) -> None:
        if value:
            self._pending[name] = self._pending.get(name, 0.0) + value
