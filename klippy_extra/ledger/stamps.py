"""Corrects times that were taken from a clock before a time server set it.

A Raspberry Pi has a wrong clock at its start, and the clock jumps by months when a time
server answers. The times that were noted before are then corrected: those of the wall
clock by the jump, and those of the calendar by the hours for which the printer was off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Tuple

from ..contract import Entry
from .ledger import Ledger
from .records import CALENDAR, Record

SLACK = 60.0  # seconds that two clocks may differ although none was set
NEAR = 5.0  # seconds; a time nearer to the clock was not typed by a person
MOST = 500  # entries of the log that are remembered
HOUR = 3600.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"

BY_WALL = ("last_done", "snoozed_until", "due_since")
BY_CALENDAR = ("snoozed_to", "reminded", "ran")
START = "start "  # the name of a limit on the calendar follows

Row = Tuple[int, str, str]  # a row of the log: its time, task and event
Noted = Dict[str, float]


class Move(NamedTuple):
    """An entry of the log that gets another time."""

    row: Row
    time: int


class Corrections(NamedTuple):
    """The corrected records, and the entries of the log to correct."""

    tasks: tuple[str, ...]
    moves: tuple[Move, ...]


class Stamps:
    """Remembers the times that were noted since the clock was last known to be right.

    *document* is the `document` of an earlier Klippy. It is valid until the machine is
    started again, and *boot* identifies the start of the machine.
    """

    def __init__(self, book: Ledger, document: Mapping[str, Any], boot: str) -> None:
        self._book = book
        self._boot = boot
        self._seen = dict(book.records)
        self._seen_marks = set(book.mark_times)
        self._trusted = False  # whether the clock was right at the last call
        self._offset: float | None = None  # the wall clock less the monotonic clock
        self._at: float | None = None  # the monotonic clock at the last call
        self._records: dict[str, Noted] = {}
        self._rows: list[Row] = []
        self._marks: list[float] = []
        if boot and document.get("boot") == boot:
            self._offset, self._at = document.get("offset"), document.get("at")
            records = document.get("records", {})
            self._records = {task: dict(noted) for task, noted in records.items()}
            rows = document.get("rows", ())
            self._rows = [(when, task, event) for when, task, event in rows]
            self._marks = list(document.get("marks", ()))

    def document(self) -> dict[str, Any]:
        return {
            "boot": self._boot,
            "offset": self._offset,
            "at": self._at,
            "records": {task: dict(noted) for task, noted in self._records.items()},
            "rows": [list(row) for row in self._rows],
            "marks": list(self._marks),
        }

    def rebase(self) -> None:
        """Begin again with the ledger's records, which were joined with a store."""
        self._seen = dict(self._book.records)
        self._seen_marks = set(self._book.mark_times)

    def watch(
        self,
        monotonic: float,
        wall: float,
        missed: float,
        entries: Iterable[Entry],
        *,
        trusted: bool,
    ) -> Corrections | None:
        """Note the times since the last call, and correct the noted ones.

        *missed* are hours that were just added to the calendar. It returns None if
        nothing has to be corrected.
        """
        off = 0.0
        if self._at is not None:
            # The machine ran, but Klippy did not. That time has really passed.
            off = max(0.0, monotonic - self._at) / HOUR
        self._at = monotonic
        offset, before = wall - monotonic, self._offset
        step = 0.0 if before is None else offset - before
        if abs(step) <= SLACK:
            step = 0.0
        if step or before is None:
            self._offset = offset
        self._note(wall - step, entries)
        missed = max(0.0, missed - off)
        if missed * HOUR <= SLACK:
            missed = 0.0
        corrections = self._shift(step, missed) if step or missed else None
        if trusted and self._trusted:
            # The calendar gets these hours at the next call at the latest.
            self._records, self._rows, self._marks = {}, [], []
        self._trusted = trusted
        return corrections

    # Noting

    def _note(self, wall: float, entries: Iterable[Entry]) -> None:
        for task, record in self._book.records.items():
            before = self._seen.get(task, record)
            if record is not before:
                self._note_record(task, before, record, wall)
                self._seen[task] = record
        for entry in entries:
            if abs(entry.time - wall) <= NEAR:
                self._rows.append((entry.time, entry.task, entry.event))
        del self._rows[:-MOST]
        for when in self._book.mark_times:
            if when not in self._seen_marks:
                self._seen_marks.add(when)
                self._marks.append(when)

    def _note_record(self, task: str, before: Record, now: Record, wall: float) -> None:
        noted = self._records.setdefault(task, {})
        for name in (*BY_WALL, *BY_CALENDAR):
            value = getattr(now, name)
            if value == getattr(before, name):
                continue
            noted.pop(name, None)
            # A person may have given the time of a completion. Such a time stays.
            stamped = name != "last_done" or abs((value or 0) - wall) <= NEAR
            if value is not None and stamped:
                noted[name] = value
        for limit in self._book.plans[task].limits:
            begun = now.start.get(limit.name)
            if begun is None or begun == before.start.get(limit.name):
                continue
            if limit.counter.key == CALENDAR:
                noted[START + limit.name] = begun

    # Corrections

    def _shift(self, step: float, missed: float) -> Corrections:
        tasks = [task for task in self._records if self._put_right(task, step, missed)]
        moved = {when: when + step for when in self._marks} if step else {}
        self._book.restamp(moved)
        self._marks = [moved.get(when, when) for when in self._marks]
        self._seen_marks = set(self._book.mark_times)
        moves = []
        if step:
            moves = [Move(row, round(row[0] + step)) for row in self._rows]
            self._rows = [(move.time, *move.row[1:]) for move in moves]
        return Corrections(tuple(tasks), tuple(moves))

    def _put_right(self, task: str, step: float, missed: float) -> bool:
        """Correct a task's noted times; return whether there were any."""
        record, noted = self._book.records.get(task), self._records[task]
        if record is None:
            return False
        changes: dict[str, Any] = {}
        start = dict(record.start)
        for name, value in noted.items():
            if name.startswith(START):
                limit = name[len(START) :]
                if start.get(limit) == value:
                    start[limit] = noted[name] = value + missed
            elif getattr(record, name) == value:
                by_wall = name in BY_WALL
                noted[name] = round(value + step) if by_wall else value + missed
                changes[name] = noted[name]
        fresh = record._replace(**changes, start=start)
        if fresh == record:
            return False
        self._book.records[task] = self._seen[task] = fresh
        return True


def boot_id() -> str:
    """Return the kernel's random id of this boot, or ""."""
    try:
        return Path(BOOT_ID).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def rows_of(moves: Iterable[Move]) -> list[tuple[int, int, str, str]]:
    """Return the moves for SQL: the new time, the old time, the task, the event."""
    return [(move.time, *move.row) for move in moves]
