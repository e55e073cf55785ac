"""Reads a slicer's comments from a file. It uses a thread, since disks may be slow."""

from __future__ import annotations

import functools
import logging
import os
import threading
from pathlib import Path
from typing import Callable, NamedTuple

from ..language import tr
from ..paths import shown
from .slicers import Prediction, prediction

# The first bytes of files that are no text, and so have no comments.
NO_TEXT = (b"GCDE", b"\x1f\x8b", b"PK\x03\x04")  # binary G-code, gzip, zip (UFP, 3MF)
ENDS = 256 * 1024  # bytes at the begin and at the end, where slicers write comments
JOIN = 2.0  # seconds

Post = Callable[[Callable[[], None]], None]


class Reading(NamedTuple):
    """A file's prediction, or a sentence that tells why it was not read."""

    prediction: Prediction = Prediction()
    problem: str = ""


class Reader:
    """Reads files. *post* passes the results to the reactor."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._threads: list[threading.Thread] = []

    def read(self, path: Path, then: Callable[[Reading], None]) -> None:
        """Read *path*, and then call `then(reading)` on the reactor. It never waits."""
        self._threads = [each for each in self._threads if each.is_alive()]
        thread = threading.Thread(
            target=self._run, args=(path, then), name="maintain-outlook", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        for thread in self._threads:
            thread.join(JOIN)

    def _run(self, path: Path, then: Callable[[Reading], None]) -> None:
        try:
            reading = read(path)
        except FileNotFoundError:
            problem = tr("There is no file {file}.", file=shown(path))
            reading = Reading(problem=problem)
        except OSError as error:
            why = error.strerror or str(error)
            problem = tr("{file} cannot be read: {why}.", file=shown(path), why=why)
            reading = Reading(problem=problem)
        except Exception:
            logging.exception("maintain: unable to read %s", path)
            reading = Reading()
        self._post(functools.partial(then, reading))


def read(path: Path) -> Reading:
    """Read the two ends of a file. OSError: it cannot be read."""
    with path.open("rb") as file:
        before = _version(os.fstat(file.fileno()))
        head = file.read(ENDS)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(len(head), size - ENDS))
        tail = file.read(ENDS)
    if head.startswith(NO_TEXT):
        text = tr(
            "'{file}' is binary or compressed: what its slicer says cannot be read, so"
            " nothing is known ahead.",
            file=shown(path.name),
        )
        return Reading(problem=text)
    if _version(path.stat()) != before:
        text = tr(
            "'{file}' was changed while it was read, so nothing is known ahead. Ask"
            " again once it is whole.",
            file=shown(path.name),
        )
        return Reading(problem=text)
    # It is read line by line, since one long search would not let the reactor run.
    return Reading(prediction([*head.split(b"\n"), *tail.split(b"\n")]))


def _version(stat: os.stat_result) -> tuple[int, int, int]:
    """Return a value that changes when the file is written to or replaced."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
