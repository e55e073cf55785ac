"""How long fifty parts beside a hundred tasks hold the reactor of a real Klippy.

The load of `extra`, with a nozzle and 24 more parts fitted, as many on the shelf,
a swap every ten seconds, a file that is held against everything each minute, and
intervals that learn. The limits are those of `extra`: its floor is the ancestor.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import extra
from benchmarks.table import Row, at_most
from demo.klippy import EXTRAS
from tests.system.klippy import Printer

FITTED = 25  # and as many on the shelf
SWAP, LOOK = 10.0, 60.0  # seconds between two
AHEAD = "; estimated printing time (normal mode) = 90d 0h\n; filament used [mm] = 9e8\n"


def run() -> Iterator[Row]:
    ours = extra.measured(EXTRAS, sections, swap)
    usual, longest = ours.at(extra.NEARLY), ours.at(100)
    if extra.ANCESTOR is None:
        yield Row("50 parts: turn, 99.9 % of them under", f"{usual:.3f} ms")
        yield Row("50 parts: turn, the longest", f"{longest:.3f} ms")
    else:
        floor = extra.ancestors(Path(extra.ANCESTOR)).at(100)
        yield Row("50 parts: ancestor's longest turn", f"{floor:.3f} ms", 1.0)
        yield at_most(
            "50 parts: turn, 99.9 % of them under",
            f"{usual:.3f} ms",
            usual / floor,
            0.5,
        )
        yield at_most(
            "50 parts: turn, the longest", f"{longest:.3f} ms", longest / floor, 1.0
        )
    # The requests are those of the page, and swaps; `extra` limits those of the page.
    yield Row("50 parts: the longest request", f"{max(ours.answers):.3f} ms")
    yield at_most(
        "50 parts: of one core, in percent", f"{ours.core:.2f} %", ours.core, 1
    )


def sections(printer: Printer, stack: ExitStack) -> str:
    """The tasks of `extra`, which look ahead and learn, and the parts."""
    text = extra.sections(printer, stack)
    options = "[maintain]\nlearn: True\nat_print_start: ahead=warn\n"
    (printer.folder / "gcodes" / "ahead.gcode").write_text(AHEAD)
    return text.replace("[maintain]\n", options, 1) + parts()


def parts() -> str:
    """Of each kind a part that is fitted to the extruder, and one on the shelf."""
    return "".join(
        f"[maintain_part {where}{number}]\nkind: kind{number}\n{place}"
        "trigger: filament, print_time\nthreshold: 5000, 5000\n"
        for number in range(FITTED)
        for where, place in (("on", "place: extruder\n"), ("off", ""))
    )


def swap(printer: Printer, end: float) -> None:
    """Ask for all tasks once a second; swap parts and look ahead meanwhile."""
    begun = time.monotonic()
    swaps, looks = 0, 0
    while time.monotonic() < end:
        passed = time.monotonic() - begun
        if passed > SWAP * (swaps + 1):
            swaps += 1
            name = "off0" if swaps % 2 else "on0"
            printer.send(f"FIT_PART PART={name} PLACE=extruder")
        if passed > LOOK * (looks + 1):
            looks += 1
            printer.send("MAINTENANCE_CHECK FILE=ahead.gcode")
        tasks = printer.request("maintain/tasks")["tasks"]
        assert len(tasks) == extra.TASKS + 2 * FITTED
        time.sleep(1.0)
