"""The rows of a benchmark, and their output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """One measure. *ratio* is compared with the goal. *value* is a text with units."""

    measure: str
    value: str
    ratio: float | None = None
    goal: str = ""
    ok: bool | None = None


def at_least(measure: str, value: str, ratio: float, goal: float) -> Row:
    return Row(measure, value, ratio, f">= {goal}", ratio >= goal)


def at_most(measure: str, value: str, ratio: float, goal: float) -> Row:
    return Row(measure, value, ratio, f"<= {goal}", ratio <= goal)


def show(rows: Iterable[Row]) -> None:
    lines = [("measure", "value", "ratio", "goal", "")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        mark = {True: "ok", False: "MISSED", None: ""}[row.ok]
        lines.append((row.measure, row.value, ratio, row.goal, mark))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
