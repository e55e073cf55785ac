"""Writes files for people in a thread: the log as a table, a link as a QR code."""

from __future__ import annotations

import csv
import io
import sys
import threading
from pathlib import Path
from typing import Callable, Sequence

from .. import contract
from ..contract import Entry
from ..language import tr
from ..paths import shown

FIELDS = ("time", "task", "event", "by", "note", "used")
JOIN = 2.0  # seconds

Tell = Callable[[str], None]


class Export:
    """Writes one file at a time. *post* passes the answer to the reactor."""

    def __init__(self, path: Path, post: Callable[[Callable[[], None]], None]) -> None:
        self._path = path
        self._post = post
        self._thread: threading.Thread | None = None

    def write(self, entries: list[Entry], tell: Tell) -> None:
        """Write *entries*, the newest first. *tell* gets the result later."""
        self._start(self._path, lambda: table(entries), tell)

    def write_code(self, link: str, part: str, tell: Tell) -> None:
        """Write *link* as a QR code beside the log. The file has the name of *part*."""
        path = self._path.with_name(f"qr-{part}.svg")
        self._start(path, lambda: qr_code(link), tell)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join(JOIN)

    def _start(self, path: Path, make: Callable[[], str], tell: Tell) -> None:
        if self._thread is not None and self._thread.is_alive():
            tell(tr("Another file is being written. Try it again in a moment."))
            return
        self._thread = threading.Thread(
            target=self._run,
            args=(path, make, tell),
            name="maintain-export",
            daemon=True,
        )
        self._thread.start()

    def _run(self, path: Path, make: Callable[[], str], tell: Tell) -> None:
        try:
            content = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            with fresh.open("w", encoding="utf-8", newline="") as file:
                file.write(content)
            fresh.replace(path)
            text = tr("{file} was written.", file=shown(path))
        except ImportError:
            text = tr(
                "A QR code needs segno. This installs it:"
                " {python} -m pip install segno",
                python=sys.executable,
            )
        except (OSError, ValueError) as error:
            text = tr(
                "{file} could not be written: {error}.",
                file=shown(path),
                error=str(error),
            )
        self._post(lambda: tell(text))


def qr_code(link: str) -> str:
    """Return *link* as a QR code in SVG. ImportError without segno."""
    import segno  # noqa: PLC0415 - few need it, and Klipper does not install it

    file = io.BytesIO()
    segno.make(link, micro=False).save(file, kind="svg", scale=8, light="#fff")
    return file.getvalue().decode()


def table(entries: Sequence[Entry]) -> str:
    """Return the log as CSV, with `meter=amount` pairs in a column.

    If an entry has a condition, there is one more column.
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
    """Return a cell that no spreadsheet reads as a formula."""
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
