"""Ends the demo's processes if the demo dies without doing so.

It reads `+PID` and `-PID` on its standard input. When that ends, so do the processes
that were added and not taken away, the last one first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

PATIENCE = 10.0  # s until a process that was asked to end is killed


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watched: list[int] = []
    for line in sys.stdin:
        pid = int(line[1:])
        if line.startswith("+"):
            watched.append(pid)
        else:
            watched.remove(pid)
    for pid in reversed(watched):
        end(pid)


def end(pid: int) -> None:
    """End a process that is not our child: its end can only be looked for."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
