"""Reads the files of KlipperMaintenance, `~/maintain-db/NAME`. It changes none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from ..language import tr
from ..paths import path_of, shown

FOLDER = Path("~/maintain-db")
MOST = 1 << 16  # bytes
METERS = ("print_time", "filament", "time")  # in h, in m, in hours since 1970


class Old(NamedTuple):
    """The ancestor's data: the reading of each meter at the last "done"."""

    start: dict[str, float]
    disabled_at: float | None = None  # the trigger's reading then; None: it is enabled

    def used(self, meter: str, reading: float) -> float:
        """Return the use of *meter* at its present *reading*. It is never negative."""
        if self.disabled_at is not None:
            reading = self.disabled_at
        return max(0.0, reading - self.start[meter])


def read(name: str, folder: Path = FOLDER) -> Old | None:
    """Return the ancestor's data for the task *name*; None if there is no file.

    ValueError for a file that is not valid.
    """
    word = name.split(maxsplit=1)[0] if name.split() else ""
    # With a slash in the name, the ancestor wrote outside of its folder.
    if not word or word in (".", "..") or "/" in word:
        return None
    path = path_of(f"{folder}/{word}")
    try:
        with path.open("rb") as file:
            return parse(file.read(MOST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(
            tr(
                "{file} cannot be taken over: {error}",
                file=shown(path),
                error=str(error),
            )
        ) from None


def parse(content: bytes) -> Old:
    """Read a file's content. ValueError if it is not an object with numbers."""
    try:
        fields = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError(tr("it is nested too deeply")) from None
    if not isinstance(fields, dict):
        raise ValueError(tr("it is no JSON object"))  # noqa: TRY004 - a file is wrong
    start = {name: _number(fields[name]) for name in METERS if name in fields}
    if not start:
        raise ValueError(tr("it has no count"))
    disabled_at = _number(fields.get("last_disabled", -1))
    return Old(start, disabled_at if disabled_at > -1 else None)


def _number(value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value)):
        raise ValueError(tr("{value} is no number", value=f"{value!r:.40}"))
    return float(value)
