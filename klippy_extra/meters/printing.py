"""Hours and jobs of the virtual SD card, as Klipper's own ``print_stats`` tells."""

from __future__ import annotations

from ..guard import guarded
from .base import Increments, Options
from .families import meters
from .streaming import Stream

HOUR = 3600.0
DURATIONS = {"print_duration": "print_time", "total_duration": "busy_time"}
UNDER_WAY = ("printing", "paused")
ENDS = {
    "complete": "jobs_completed",
    "cancelled": "jobs_cancelled",
    "error": "jobs_failed",
}


class Duration:
    """The length of one job: the highest that a reading of Klipper's was.

    ``print_duration`` leaves out pauses and what came before the first extrusion, and
    it can fall early in a print, when a retraction undoes that extrusion: only a new
    peak is printing.
    """

    def __init__(self) -> None:
        self._peak = 0.0

    def advance(self, reading: float) -> float:
        """Return the seconds added."""
        added = max(0.0, reading - self._peak)
        self._peak += added
        return added


class Printing:
    """``print_time``, ``busy_time`` and the jobs, from a file or from a stream."""

    def __init__(self, printer, options: Options) -> None:
        self.meters = meters(
            "print_time", "busy_time", "jobs_started", *sorted(ENDS.values())
        )
        self._stats = printer.lookup_object("print_stats", None)
        self._stream = Stream(printer)
        self._state = "standby"
        self._seen = printer.get_reactor().monotonic()
        self._pending: Increments = {}
        self._begin()
        printer.register_event_handler(
            "virtual_sdcard:reset_file", guarded(self._reset, "the end of a print job")
        )

    def poll(self, eventtime: float) -> Increments:
        passed = max(0.0, eventtime - self._seen)
        self._seen = max(self._seen, eventtime)
        status = {} if self._stats is None else self._stats.get_status(eventtime)
        self._follow(status.get("state", "standby"))
        for name, duration in self._durations.items():
            self._add(DURATIONS[name], duration.advance(status.get(name, 0.0)) / HOUR)
        if self._state in UNDER_WAY:
            self._stream.pass_over()
        else:
            for name, value in self._stream.poll(eventtime, passed).items():
                self._add(name, value)
        increments, self._pending = self._pending, {}
        return increments

    def stop(self, eventtime: float) -> Increments:
        """Return what is left, once Klippy has shut down: a job then has failed.

        Nothing is to be read any more: Klippy then says `paused`, and its total goes
        on growing.
        """
        increments = self.poll(eventtime)
        if self._state in UNDER_WAY or self._stream.under_way:
            increments["jobs_failed"] = increments.get("jobs_failed", 0.0) + 1.0
        return increments

    def _begin(self) -> None:
        self._durations = {name: Duration() for name in DURATIONS}

    def _follow(self, state: str) -> None:
        before, self._state = self._state, state
        if before not in UNDER_WAY and state not in ("standby", before):
            self._begin()
            self._add("jobs_started", 1.0)
            before = "printing"
        if before in UNDER_WAY and state not in UNDER_WAY:
            # Back to standby: the file was put away before it was printed to its end.
            self._add(ENDS.get(state, "jobs_cancelled"), 1.0)

    def _reset(self) -> None:
        self._follow("standby")
        self._begin()

    def _add(self, name: str, value: float) -> None:
        if value:
            self._pending[name] = self._pending.get(name, 0.0) + value
