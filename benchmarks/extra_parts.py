"""How long fifty parts beside a hundred tasks hold the reactor of a real Klippy.

The load is that of `extra`. In addition, 25 parts are fitted and 25 are on the shelf, a
part is changed every ten seconds, a file is compared with all tasks each minute, and
the intervals learn. The limits are those of `extra`, whose floor is the ancestor.
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

FITTED = 25  # parts that are fitted; as many are on the shelf
SWAP, CHECK = 10.0, 60.0  # seconds between two changes of a part, and two checks
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
    # These are the requests of the page, and the changes of parts. `extra` has the
    # limit for the page's requests.
    yield Row("50 parts: the longest request", f"{max(ours.answers):.3f} ms")
    yield at_most(
        "50 parts: of one core, in percent", f"{ours.core:.2f} %", ours.core, 1
    )


def sections(printer: Printer, stack: ExitStack) -> str:
    """Return the tasks of `extra`, which look ahead and learn, and the parts."""
    text = extra.sections(printer, stack)
    options = "[maintain]\nlearn: True\nat_print_start: ahead=warn\n"
    (printer.folder / "gcodes" / "ahead.gcode").write_text(AHEAD)
    return text.replace("[maintain]\n", options, 1) + parts()


def parts() -> str:
    """Return two parts of each kind: one is fitted to the extruder, one is not."""
    return "".join(
        f"[maintain_part {where}{number}]\nkind: kind{number}\n{place}"
        "trigger: filament, print_time\nthreshold: 5000, 5000\n"
        for number in range(FITTED)
        for where, place in (("on", "place: extruder\n"), ("off", ""))
    )


def swap(printer: Printer, end: float) -> None:
    """Request all tasks once a second; change parts and check a file meanwhile."""
    begun = time.monotonic()
    swaps, checks = 0, 0
    while time.monotonic() < end:
        passed = time.monotonic() - begun
        if passed > SWAP * (swaps + 1):
            swaps += 1
            name = "off0" if swaps % 2 else "on0"
            printer.send(f"FIT_PART PART={name} PLACE=extruder")
        if passed > CHECK * (checks + 1):
            checks += 1
            printer.send("MAINTENANCE_CHECK FILE=ahead.gcode")
        tasks = printer.request("maintain/tasks")["tasks"]
        assert len(tasks) == extra.TASKS + 2 * FITTED
        time.sleep(1.0)
