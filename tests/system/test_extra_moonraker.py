"""Moonraker's totals, from a Moonraker that runs beside a real Klippy."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.system import parts
from tests.system.klippy import until
from tests.system.moonraker import Moonraker, needs_moonraker

pytestmark = [pytest.mark.system, pytest.mark.klipper, needs_moonraker]

TASKS = """
[maintain rods]
trigger: print_time
threshold: 150

[maintain nozzle]
trigger: filament
threshold: 500
"""


@pytest.fixture
def printer(make_printer):
    printer = make_printer()
    assert printer.start() == ("ready", "Printer is ready")
    return printer


@pytest.fixture
def moonraker(printer):
    """A Moonraker that has seen a job until its end."""
    with Moonraker(printer) as moonraker:
        printer.gcode(parts.HEAT)
        job(printer, moonraker)
        yield moonraker


def totals(moonraker):
    return moonraker.ask("/server/history/totals")["job_totals"]


def section(moonraker, *lines):
    """Return a `[maintain]` section with the address of this Moonraker."""
    store = "store: {folder}/upkeep.sqlite"
    return "\n".join(
        ["[maintain]", f"moonraker_url: {moonraker.url}", store, *lines, ""]
    )


def job(printer, moonraker, layers=70):
    """Print for some minutes, because tasks show hundredths of an hour.

    The rings have few corners, because each move costs a processor some time.
    """
    before = totals(moonraker)["total_jobs"]
    printer.print_file(parts.rings(layers, corners=12))
    printer.finish_printing()
    until(lambda: totals(moonraker)["total_jobs"] > before, "the job in the history")


def used(printer, name):
    printer.gcode("MAINTAIN_STATUS")
    return printer.task(name)["used"]


def shows(hours):
    return pytest.approx(hours, abs=0.006)


def test_a_first_start_can_begin_with_moonrakers_history(printer, moonraker):
    printer.configure(section(moonraker, "import_history: True") + TASKS)
    printer.restart()

    known = totals(moonraker)
    hours, metres = known["total_print_time"] / 3600, known["total_filament_used"] / 1e3
    assert hours > 0.04
    until(lambda: used(printer, "rods") == shows(hours), "the hours")
    assert used(printer, "nozzle") == pytest.approx(metres, abs=1e-4)
    printer.restart()
    assert used(printer, "rods") == shows(hours)


def test_each_of_two_instances_begins_with_its_own_history(make_printer):
    """The moonraker.conf beside its printer.cfg has the port."""
    with contextlib.ExitStack() as stack:
        pairs = []
        for layers in (10, 30):
            printer = make_printer()
            assert printer.start() == ("ready", "Printer is ready")
            moonraker = stack.enter_context(Moonraker(printer))
            printer.gcode(parts.HEAT)
            job(printer, moonraker, layers)
            pairs.append((printer, moonraker))
        for printer, moonraker in pairs:
            conf = moonraker.folder / "config" / "moonraker.conf"
            (printer.folder / "moonraker.conf").symlink_to(conf)
            printer.configure("[maintain]\nimport_history: True\n" + TASKS)
            printer.restart()

        for printer, moonraker in pairs:
            metres = totals(moonraker)["total_filament_used"] / 1e3
            until(
                lambda printer=printer, metres=metres: (
                    used(printer, "nozzle") == pytest.approx(metres, abs=1e-4)
                ),
                "its own metres",
            )
        first, second = (used(printer, "nozzle") for printer, _ in pairs)
        assert second > 2 * first > 0


def test_moonrakers_totals_can_be_the_source(printer, moonraker):
    printer.configure(section(moonraker, "source: moonraker") + TASKS)
    printer.restart()
    printer.gcode(parts.HEAT)
    before = totals(moonraker)["total_print_time"]

    job(printer, moonraker)

    hours = (totals(moonraker)["total_print_time"] - before) / 3600
    until(
        lambda: used(printer, "rods") == shows(hours),
        "the job's hours",
        timeout=90,
    )
    moonraker.ask("/server/history/reset_totals", method="POST")
    job(printer, moonraker)
    more = totals(moonraker)["total_print_time"] / 3600
    until(
        lambda: used(printer, "rods") == shows(hours + more),
        "the hours after the reset",
        timeout=90,
    )


def test_the_files_of_klippermaintenance_are_taken_over(printer, moonraker):
    """They hold Moonraker's totals at the time of the last completion."""
    known = totals(moonraker)
    folder = printer.folder / "maintain-db"
    folder.mkdir()
    start = known["total_time"] / 3600 - 0.5
    old = {"print_time": start, "filament": 0.0, "time": 480000.0, "last_disabled": -1}
    (folder / "rods").write_text(json.dumps(old))
    printer.configure(section(moonraker) + TASKS)

    printer.restart()

    until(lambda: used(printer, "rods") == shows(0.5), "the import")
    assert json.loads((folder / "rods").read_text()) == old
