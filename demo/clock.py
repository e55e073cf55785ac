"""A clock for several processes, faster than real time, that waits for two of them.

It stands still while the board has not run for `SLACK`, or has seen that Klippy is
late: what a busy machine keeps from running is not missed. Other programs have it by
`clock.c`, which is preloaded.
"""

from __future__ import annotations

import functools
import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

CODE = Path(__file__).with_name("clock.c")
PAGE = struct.Struct("qqqd")  # as `struct page` in `clock.c`
KLIPPY = struct.Struct("qqqq")
VERSION = struct.Struct("q")
SLACK = 6_000_000  # ns
LATE = 3_000_000  # ns for which Klippy has to wait for a processor to be late
GONE = 2_000_000_000  # ns after which a board that does not run is gone
NO_COMPILER = (
    "Klippy compiles its C helper when it starts first, and there is no gcc here:"
    " `sudo apt install gcc libc6-dev` brings it"
)


class Clock:
    """Begins when it is made; or, told what `environment` has, goes on with another."""

    def __init__(self, speed: float, file: Path, begin: int | None = None) -> None:
        """*speed* times faster than life. *file* is made unless there is a *begin*."""
        self.speed = speed
        self.file = file
        self.begin = time.monotonic_ns() if begin is None else begin
        if begin is None:
            file.write_bytes(PAGE.pack(0, 0, 0, 0.0) + KLIPPY.pack(0, 0, 0, 0))
        with file.open("r+b") as opened:
            self._page = mmap.mmap(opened.fileno(), 0)

    @classmethod
    def parse(cls, text: str) -> Clock:
        """Go on with the clock of a variable `DEMO_CLOCK`."""
        speed, begin, file = text.split(" ", 2)
        return cls(float(speed), Path(file), int(begin))

    def __str__(self) -> str:
        return f"{self.speed:g} {self.begin} {self.file}"

    def environment(self) -> dict[str, str]:
        """For a process that is to have it. ValueError: there is no compiler."""
        return {"LD_PRELOAD": str(library()), "DEMO_CLOCK": str(self)}

    def elapsed(self) -> float:
        """Seconds since it began, as the processes see them."""
        _, beat, lost, _ = PAGE.unpack_from(self._page)
        now = time.monotonic_ns()
        if now < beat + GONE:
            now = min(now, beat + SLACK)
        return float(now - self.begin - lost) * self.speed / 1e9

    def time(self) -> float:
        """The wall clock (UNIX seconds), as the processes see it."""
        real = (time.monotonic_ns() - self.begin) / 1e9
        wall: float = PAGE.unpack_from(self._page)[3]
        return time.time() + self.elapsed() - real + wall

    def set_wall(self, seconds: float) -> None:
        """Let the wall clock be wrong by *seconds*, from now on."""
        version, beat, lost, _ = PAGE.unpack_from(self._page)
        PAGE.pack_into(self._page, 0, version, beat, lost, seconds)

    def beat(self) -> None:
        """The board runs: it says so more often than each `SLACK`."""
        version, beat, lost, wall = PAGE.unpack_from(self._page)
        now = time.monotonic_ns()
        if beat + SLACK < now < beat + GONE:
            lost += now - beat - SLACK
        VERSION.pack_into(self._page, 0, version + 1)
        PAGE.pack_into(self._page, 0, version + 1, now, lost, wall)
        VERSION.pack_into(self._page, 0, version + 2)

    def hold(self) -> None:
        """The board runs, and time is to stand still until it says that it goes on."""
        version, beat, lost, wall = PAGE.unpack_from(self._page)
        begin = time.monotonic_ns() - SLACK
        lost += max(begin - beat, 0)
        VERSION.pack_into(self._page, 0, version + 1)
        PAGE.pack_into(self._page, 0, version + 1, begin, lost, wall)
        VERSION.pack_into(self._page, 0, version + 2)

    def wait_for(self, pid: int) -> None:
        """Time is to wait for this Klippy, which has been started just now."""
        KLIPPY.pack_into(self._page, PAGE.size, pid, time.monotonic_ns(), 0, 0)

    def sent(self) -> float:
        """When Klippy sent something to the board last (s of `elapsed`)."""
        sent = KLIPPY.unpack_from(self._page, PAGE.size)[3]
        return float(sent - self.begin) / 1e9 if sent else self.elapsed()

    def is_late(self) -> bool:
        """Whether Klippy is to run, and the machine runs others.

        What it works longer, or waits for of its own accord, is not late.
        """
        pid, due, worked, _ = KLIPPY.unpack_from(self._page, PAGE.size)
        late = time.monotonic_ns() - due - LATE
        if not pid or late < 0:
            return False
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            ran = Path(f"/proc/{pid}/schedstat").read_text()
        except OSError:  # it is gone
            return False
        is_ready = stat.rpartition(") ")[2][0] in "RT"
        return is_ready and late > int(ran.split()[0]) - worked

    def stop_beating(self) -> None:
        """The board goes: nobody is to wait for it."""
        version, _, lost, wall = PAGE.unpack_from(self._page)
        PAGE.pack_into(self._page, 0, version, 0, lost, wall)


@functools.cache
def library() -> Path:
    """`clock.c`, compiled; it stays in the environment until it changes.

    ValueError: there is no compiler.
    """
    if shutil.which("gcc") is None:
        raise ValueError(NO_COMPILER)
    code = zlib.crc32(CODE.read_bytes())
    compiled = Path(sys.prefix) / f"klipper-upkeep-clock-{code:08x}.so"
    if not compiled.exists():
        fresh = compiled.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]
        command += ["-o", str(fresh), str(CODE), "-ldl"]
        subprocess.run(command, check=True)  # noqa: S603 - of our own
        fresh.replace(compiled)
    return compiled
