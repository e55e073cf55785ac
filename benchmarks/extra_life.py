"""The extra's memory after thirty restarts, and the updates of an idle printer.

A real Klippy runs with a hundred tasks, faster than real time. The floor is the same
Klippy without the extra, in the same run, since that may grow too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.extra import sections
from benchmarks.table import Row, at_most
from demo.klippy import find
from tests.system.klippy import Klippy, Printer, until

WARM = 5  # restarts that are not measured, since they fill caches
RESTARTS = 30
CHANCE = 2.0  # MB by which two runs may differ
IDLE = 1800.0  # seconds in which the printer does nothing
SETTLED = 60.0  # seconds from a start until the size does not change any more
MOST = 20.0  # MB that a hundred tasks may take
DECIMALS = {"used": 2, "remaining": 2, "percent": 1}  # of a published task in hours


class Size(NamedTuple):
    threads: int
    descriptors: int  # but for pipes
    memory: float  # MB


def run() -> Iterator[Row]:
    with ExitStack() as stack:
        printer = Printer(Klippy(find()))
        stack.callback(printer.close)
        text = sections(printer, stack)
        printer.configure("")
        printer.start()
        bare, floor = restarted(printer)
        printer.kill()
        printer.configure(text)
        printer.start()
        first, ours = restarted(printer)
        updates, vain = idle(printer)
    yield growth("threads", ours.threads, floor.threads, 0)
    yield growth("descriptors but for pipes", ours.descriptors, floor.descriptors, 0)
    yield growth("memory, in MB,", ours.memory, floor.memory, CHANCE)
    memory = first.memory - bare.memory
    yield at_most("extra: memory, in MB", f"{memory:.1f} MB", memory, MOST)
    yield Row("extra: updates of an idle half-hour, 100 tasks", str(updates))
    yield at_most("extra: of these without a step of 0.01 h", str(vain), vain, 0)


def growth(of: str, ours: float, floor: float, chance: float) -> Row:
    measure = f"extra: {of} after {RESTARTS} more restarts, less Klippy's own"
    more = ours - floor
    return at_most(measure, f"{more:+.1f}", more, chance)


def restarted(printer: Printer) -> tuple[Size, Size]:
    """Return the size after some restarts, and how much it grew with thirty more."""
    for _ in range(WARM):
        printer.restart()
    first = size(printer)
    for number in range(RESTARTS):
        printer.restart("FIRMWARE_RESTART" if number % 2 else "RESTART")
    last = size(printer)
    return first, Size(
        last.threads - first.threads,
        last.descriptors - first.descriptors,
        last.memory - first.memory,
    )


def size(printer: Printer) -> Size:
    """Wait until the printer has settled, and return its process's size."""
    wait(printer, SETTLED)
    folder = Path(f"/proc/{printer.pid}")
    status = (folder / "status").read_text()
    return Size(
        len(list((folder / "task").iterdir())),
        sum(not is_pipe(each) for each in (folder / "fd").iterdir()),
        int(status.split("VmRSS:")[1].split()[0]) / 1024,
    )


def is_pipe(descriptor: Path) -> bool:
    """Klippy leaves two pipes at each restart to its garbage collector.

    So their number varies by some restarts. The extra opens no pipe.
    """
    return str(descriptor.readlink()).startswith("pipe:")


def idle(printer: Printer) -> tuple[int, int]:
    """Return how many updates a subscriber of all tasks got, and how many in vain."""
    wait(printer, SETTLED)
    objects = printer.request("objects/list")["objects"]
    updates = printer.subscribe(*(name for name in objects if "maintain" in name))
    wait(printer, IDLE)
    vain = sum(not any(map(is_step, update.values())) for update in updates)
    return len(updates), vain


def is_step(status: dict[str, float]) -> bool:
    """Return whether all changed numbers of a task have the published precision."""
    return all(
        status[name] == round(status[name], decimals)
        for name, decimals in DECIMALS.items()
        if name in status
    )


def wait(printer: Printer, seconds: float) -> None:
    end = printer.clock.elapsed() + seconds

    def is_over() -> bool:
        printer.state()  # this also receives the updates
        return printer.clock.elapsed() > end

    until(is_over, "the printer's time", timeout=3600, pause=0.2)
