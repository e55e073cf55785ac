"""The log as a file that a spreadsheet opens, written in a thread of its own."""

from __future__ import annotations

import csv
import io
import threading
from pathlib import Path
from typing import Callable, Sequence

from .. import contract
from ..contract import Entry
from ..language import tr
from ..paths import shown

FIELDS = ("time", "task", "event", "by", "note", "used")
JOIN = 2.0  # seconds


class Export:
    """Writes one file at a time; *post* brings the answer to the reactor."""

    def __init__(self, path: Path, post: Callable[[Callable[[], None]], None]) -> None:
        self._path = path
        self._post = post
        self._thread: threading.Thread | None = None

    def write(self, entries: list[Entry], tell: Callable[[str], None]) -> None:
        """Write *entries*, newest first; *tell* says later what became of it."""
        if self._thread is not None and self._thread.is_alive():
            tell(tr("The log is being written already."))
            return
        self._thread = threading.Thread(
            target=self._run, args=(entries, tell), name="maintain-export", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join(JOIN)

    def _run(self, entries: list[Entry], tell: Callable[[str], None]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            with fresh.open("w", encoding="utf-8", newline="") as file:
                file.write(table(entries))
            fresh.replace(self._path)
            text = tr("The log was written to {file}.", file=shown(self._path))
        except (OSError, ValueError) as error:
            text = tr("The log could not be written: {error}.", error=str(error))
        self._post(lambda: tell(text))


def table(entries: Sequence[Entry]) -> str:
    """The log as CSV, with `meter=amount` pairs in a column.

    Where somebody told in which condition something was, that is one more column.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    more = ["condition"] if any(entry.condition for entry in entries) else []
    writer.writerow([*FIELDS, *more])
    for entry in entries:
        used = " ".join(f"{name}={value:g}" for name, value in entry.used.items())
        row = [contract.iso(entry.time), entry.task, entry.event, entry.by, entry.note]
        conditions = [entry.condition] if more else []
        writer.writerow([*(_harmless(str(cell)) for cell in row), used, *conditions])
    return text.getvalue()


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
