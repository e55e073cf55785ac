"""A clock for several processes, faster than real time, that waits for two of them.

It stands still while the board has not run for `SLACK`, or has seen a late Klippy. So
neither is too slow on a busy machine, where both wait for a processor. Other programs
get this clock from `clock.c`, which is preloaded.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

CODE = Path(__file__).with_name("clock.c")
PAGE = struct.Struct("d8q")  # the same as `struct page` in `clock.c`
LOST, LIMIT, WALL, KLIPPY, DUE, WORKED, SENT = range(2, 9)  # the places of its fields
SLACK = 0.18  # s of its own time
LATE = 1_000_000  # ns that a reactor may wait for a processor before it is late
LOOK = 15_000_000  # ns between two checks of Klippy's other threads
GONE = 2_000_000_000  # ns after which a board that does not run counts as ended


class Clock:
    """The clock of all processes that share *file*."""

    def __init__(self, speed: float | None, file: Path) -> None:
        """Open *file*, or make it if a *speed* is given (a factor to real time)."""
        if speed is not None:
            file.write_bytes(PAGE.pack(speed, time.monotonic_ns(), *[0] * 7))
        with file.open("r+b") as opened:
            page = mmap.mmap(opened.fileno(), PAGE.size)
        self.speed: float
        self.begin: int
        self.speed, self.begin, *_ = PAGE.unpack_from(page)
        self.slack = round(SLACK * 1e9 / self.speed)  # ns of real time
        self.file = file
        self.page = memoryview(page).cast("q")
        self.ready: dict[str, int] = {}  # Klippy's threads that wanted to run last
        self._looked, self._is_kept = 0, False

    def environment(self) -> dict[str, str]:
        """Return the environment for a process that is to have this clock."""
        return {"LD_PRELOAD": str(library()), "DEMO_CLOCK": str(self.file)}

    def elapsed(self) -> float:
        """Return the seconds since the clock began, as the processes see them."""
        limit = self.page[LIMIT]
        run = time.monotonic_ns() - self.page[LOST]
        if run < limit + GONE:
            run = min(run, limit)
        return float(run - self.begin) * self.speed / 1e9

    def beat(self, *, runs: bool = True) -> None:
        """Note that the board runs. It calls this more often than once in `SLACK`.

        Until the next call, time *runs* or stands still.
        """
        now, lost = time.monotonic_ns(), self.page[LOST]
        late = now - lost - self.page[LIMIT]
        if 0 < late < GONE:
            lost += late
        # With this order, the clock shows the old limit between the two changes.
        self.page[LOST] = lost
        if runs:
            self.page[LIMIT] = now - lost + self.slack

    def wait_for(self, pid: int) -> None:
        """Let time wait for this Klippy, which has just been started."""
        self.page[DUE], self.page[WORKED] = time.monotonic_ns(), 0
        self.page[KLIPPY] = pid

    def sent(self) -> float:
        """Return when Klippy last sent bytes to the board (s of `elapsed`)."""
        sent = self.page[SENT]
        return float(sent - self.begin) / 1e9 if sent else self.elapsed()

    def is_late(self) -> bool:
        """Return whether Klippy wants to run, but has to wait for a processor.

        A Klippy that works for long, or waits because it wants to, is not late.
        """
        if not self.page[KLIPPY]:
            return False
        process, now = Path(f"/proc/{self.page[KLIPPY]}"), time.monotonic_ns()
        if now > self._looked + LOOK:
            # Klippy declares a board lost if its other threads do not read its answers.
            self._looked, before = now, self.ready
            self.ready = _ready(process.glob("task/*"))
            self._is_kept = bool(self.ready.items() & before.items())
        late = now - self.page[DUE] - LATE
        if late < 0 or self._is_kept:
            return self._is_kept
        return any(late > ran - self.page[WORKED] for ran in _ready([process]).values())

    def stop_beating(self) -> None:
        """Let no process wait for the board any more, since it ends."""
        self.page[LIMIT] = 0


def _ready(threads: Iterable[Path]) -> dict[str, int]:
    """Return how long each waiting thread has run (ns): for a processor, or a disk."""
    ready = {}
    for thread in threads:
        with contextlib.suppress(OSError):  # the thread has ended
            if (thread / "stat").read_text().rpartition(") ")[2][0] in "RTD":
                ready[thread.name] = int((thread / "schedstat").read_text().split()[0])
    return ready


@functools.cache
def library() -> Path:
    """Return `clock.c`, compiled. It is compiled again only if it has changed."""
    code = zlib.crc32(CODE.read_bytes())
    compiled = Path(sys.prefix) / f"klipper-upkeep-clock-{code:08x}.so"
    if not compiled.exists():
        fresh = compiled.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]
        command += ["-o", str(fresh), str(CODE), "-ldl"]
        subprocess.run(command, check=True)  # noqa: S603 - the demo's own command
        fresh.replace(compiled)
    return compiled
