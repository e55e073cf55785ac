"""A clock for several processes, faster than real time, that waits for two of them.

It stands still while the board has not run for `SLACK`, or has seen that Klippy is
late: what a busy machine keeps from running is not missed. Other programs have it by
`clock.c`, which is preloaded.
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
PAGE = struct.Struct("d8q")  # as `struct page` in `clock.c`
LOST, LIMIT, WALL, KLIPPY, DUE, WORKED, SENT = range(2, 9)  # where they are in it
SLACK = 6_000_000  # ns
LATE = 1_000_000  # ns for which a reactor waits for a processor until it is late
LOOK = 15_000_000  # ns until its other threads are looked at again
GONE = 2_000_000_000  # ns after which a board that does not run is gone


class Clock:
    """What the processes that share *file* see."""

    def __init__(self, speed: float | None, file: Path) -> None:
        """*file* is made where a *speed* is given: so many times faster than life."""
        if speed is not None:
            file.write_bytes(PAGE.pack(speed, time.monotonic_ns(), *[0] * 7))
        with file.open("r+b") as opened:
            page = mmap.mmap(opened.fileno(), PAGE.size)
        self.speed: float
        self.begin: int
        self.speed, self.begin, *_ = PAGE.unpack_from(page)
        self.file = file
        self.page = memoryview(page).cast("q")
        self._ready: dict[str, int] = {}
        self._looked, self._is_kept = 0, False

    def environment(self) -> dict[str, str]:
        """For a process that is to have it."""
        return {"LD_PRELOAD": str(library()), "DEMO_CLOCK": str(self.file)}

    def elapsed(self) -> float:
        """Seconds since it began, as the processes see them."""
        limit = self.page[LIMIT]
        run = time.monotonic_ns() - self.page[LOST]
        if run < limit + GONE:
            run = min(run, limit)
        return float(run - self.begin) * self.speed / 1e9

    def beat(self, *, runs: bool = True) -> None:
        """The board says that it is there, more often than each `SLACK`.

        Time *runs* until then, or else stands still.
        """
        now, lost = time.monotonic_ns(), self.page[LOST]
        late = now - lost - self.page[LIMIT]
        if 0 < late < GONE:
            lost += late
        # In this order: in between, the clock shows the limit of before.
        self.page[LOST] = lost
        if runs:
            self.page[LIMIT] = now - lost + SLACK

    def wait_for(self, pid: int) -> None:
        """Time is to wait for this Klippy, which has been started just now."""
        self.page[DUE], self.page[WORKED] = time.monotonic_ns(), 0
        self.page[KLIPPY] = pid

    def sent(self) -> float:
        """When Klippy sent something to the board last (s of `elapsed`)."""
        sent = self.page[SENT]
        return float(sent - self.begin) / 1e9 if sent else self.elapsed()

    def is_late(self) -> bool:
        """Whether Klippy is to run, and the machine runs others.

        What it works longer, or waits for of its own accord, is not late.
        """
        if not self.page[KLIPPY]:
            return False
        process, now = Path(f"/proc/{self.page[KLIPPY]}"), time.monotonic_ns()
        if now > self._looked + LOOK:
            # Klippy gives a board up whose answers its other threads do not take.
            self._looked, before = now, self._ready
            self._ready = _ready(process.glob("task/*"))
            self._is_kept = bool(self._ready.items() & before.items())
        late = now - self.page[DUE] - LATE
        if late < 0 or self._is_kept:
            return self._is_kept
        return any(late > ran - self.page[WORKED] for ran in _ready([process]).values())

    def stop_beating(self) -> None:
        """The board goes: nobody is to wait for it."""
        self.page[LIMIT] = 0


def _ready(threads: Iterable[Path]) -> dict[str, int]:
    """How long threads (their `/proc`) have run (ns) that the machine keeps waiting."""
    ready = {}
    for thread in threads:
        with contextlib.suppress(OSError):  # it is gone
            if (thread / "stat").read_text().rpartition(") ")[2][0] in "RTD":
                ready[thread.name] = int((thread / "schedstat").read_text().split()[0])
    return ready


@functools.cache
def library() -> Path:
    """`clock.c`, compiled; it stays in the environment until it changes."""
    code = zlib.crc32(CODE.read_bytes())
    compiled = Path(sys.prefix) / f"klipper-upkeep-clock-{code:08x}.so"
    if not compiled.exists():
        fresh = compiled.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]
        command += ["-o", str(fresh), str(CODE), "-ldl"]
        subprocess.run(command, check=True)  # noqa: S603 - of our own
        fresh.replace(compiled)
    return compiled
