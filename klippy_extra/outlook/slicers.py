"""Reads the comments in which slicers predict a print. Pure.

================  ==========================================  =======================
slicer            time                                        filament
================  ==========================================  =======================
PrusaSlicer,      `estimated printing time (normal mode) =    `filament used [mm] =
SuperSlicer       1d 2h 3m 4s`, at the end                    812.3, 40.1`, at the end
OrcaSlicer        the same, or at the beginning `model        the same, or `total
                  printing time: 1h; total estimated time:    filament length [mm] :
                  1h 2m`                                      812.3,40.1`
Cura              `TIME:50400`, in seconds, at the beginning  `Filament used: 1.2m,
                                                              0.4m`
================  ==========================================  =======================

If there are several numbers, the first is for tool T0, the second for T1, and so on.
"""

from __future__ import annotations

import re
from typing import Callable, Iterable, NamedTuple

MM, M = 0.001, 1.0  # metres
LONGEST = 10_000.0  # hours; a longer time is no print
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d*)?)s)?\Z")
_LENGTH = re.compile(r"(\d+(?:\.\d*)?)(mm|m)?\Z")
# CuraEngine writes this without Cura, since it does not know the time yet.
_UNKNOWN_TO_CURA = ("6666", "0m")


class Prediction(NamedTuple):
    """A slicer's prediction of a print: the hours, and the metres of each tool."""

    hours: float | None = None
    by_tool: tuple[float, ...] = ()

    @property
    def metres(self) -> float | None:
        return sum(self.by_tool) if self.by_tool else None

    def __bool__(self) -> bool:
        return self.hours is not None or bool(self.by_tool)


def prediction(lines: Iterable[bytes]) -> Prediction:
    """Read the comments among *lines*. Without a prediction, the result is false."""
    comments: dict[str, str] = {}
    for line in lines:
        if line.startswith(b";"):
            comments.update(_pairs(line))
    if (comments.get("time"), comments.get("filament used")) == _UNKNOWN_TO_CURA:
        return Prediction()
    hours = (read(comments[name]) for name, read in _TIMES.items() if name in comments)
    by_tool = (
        read(comments[name]) for name, read in _LENGTHS.items() if name in comments
    )
    return Prediction(
        next((each for each in hours if each is not None), None),
        next((each for each in by_tool if each), ()),
    )


def _pairs(line: bytes) -> Iterable[tuple[str, str]]:
    """Return those names and values in a comment that this module knows."""
    for part in line[:1000].decode("utf-8", "replace").split(";"):
        name, sign, value = part.partition("=" if "=" in part else ":")
        name = name.strip().lower()
        if sign and (name in _TIMES or name in _LENGTHS):
            yield name, value.strip()


def _duration(text: str) -> float | None:
    """Return the hours of a text like `1d 2h 3m 4s`."""
    match = _DURATION.match(text.replace(" ", ""))
    if match is None:
        return None
    days, hours, minutes, seconds = (float(each or 0) for each in match.groups())
    return _plausible(24.0 * days + hours + minutes / 60.0 + seconds / 3600.0)


def _seconds(text: str) -> float | None:
    match = _LENGTH.match(text)
    return None if match is None else _plausible(float(match.group(1)) / 3600.0)


def _plausible(hours: float) -> float | None:
    return hours if 0.0 < hours <= LONGEST else None


def _lengths(text: str, unit: float) -> tuple[float, ...]:
    """Return lengths with commas between them, in metres; none if one is invalid."""
    matches = [_LENGTH.match(part.strip()) for part in text.split(",")]
    lengths = [
        float(match.group(1)) * {"mm": MM, "m": M}.get(match.group(2) or "", unit)
        for match in matches
        if match is not None
    ]
    return tuple(lengths) if len(lengths) == len(matches) and any(lengths) else ()


# The names of the comments, the best first.
_TIMES: dict[str, Callable[[str], float | None]] = {
    "estimated printing time (normal mode)": _duration,
    "total estimated time": _duration,
    "estimated printing time": _duration,
    "time": _seconds,
}
_LENGTHS: dict[str, Callable[[str], tuple[float, ...]]] = {
    "filament used [mm]": lambda text: _lengths(text, MM),
    "total filament length [mm]": lambda text: _lengths(text, MM),
    "filament used": lambda text: _lengths(text, M),
}
