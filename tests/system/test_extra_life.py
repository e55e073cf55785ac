"""Restarts, stops and power cuts keep what was counted and what was done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system import parts
from tests.system.klippy import until

pytestmark = pytest.mark.system

STORE_INTERVAL = 2.0
SECTIONS = f"""
[maintain]
store: {{folder}}/upkeep.sqlite
store_interval: {STORE_INTERVAL}

[maintain rods]
label: Oil the rods
trigger: print_time
threshold: 150

[maintain nozzle]
label: Change the nozzle
trigger: filament
threshold: 500

[gcode_macro TELL]
gcode:
  {{% set rods = printer["maintain rods"] %}}
  RESPOND MSG="{{rods.status}} {{rods.threshold}}"
"""


@pytest.fixture
def printer(make_printer):
    printer = make_printer(SECTIONS)
    assert printer.start() == ("ready", "Printer is ready")
    return printer


@pytest.fixture
def printing(printer):
    """A printer that has printed for longer than the interval of saving."""
    printer.gcode(parts.HEAT)
    printer.print_file(parts.rings(layers=60))
    until(
        lambda: printer.status("print_stats")["print_duration"] > 4 * STORE_INTERVAL,
        "some seconds of printing",
    )
    return printer


def used(printer, task="rods"):
    return printer.used(task)[0]


STOPS = {
    "RESTART": lambda p: p.restart(),
    "FIRMWARE_RESTART": lambda p: p.restart("FIRMWARE_RESTART"),
    "emergency stop": lambda p: (p.emergency_stop(), p.restart("FIRMWARE_RESTART")),
    "SIGTERM": lambda p: (p.terminate(), p.start()),
    "kill -9": lambda p: (p.kill(), p.start()),
}


def test_the_extra_loads_and_lists_its_tasks(printer):
    listed = printer.console("MAINTAIN_STATUS")

    assert "Oil the rods" in listed
    assert "Change the nozzle" in listed
    assert "MAINTAIN_STATUS" in printer.request("gcode/help")


def test_a_macro_can_read_a_task(printer):
    assert "ok 150.0" in printer.console("TELL")


@pytest.mark.parametrize("stop", STOPS)
def test_counts_survive_each_kind_of_end(printing, stop):
    before = used(printing), used(printing, "nozzle")

    STOPS[stop](printing)

    assert printing.state()[0] == "ready"
    after = used(printing), used(printing, "nozzle")
    # Klippy is told of a restart. It is not told of SIGTERM or a power cut.
    lost = 0.0 if "RESTART" in stop or "emergency" in stop else STORE_INTERVAL + 1.0
    assert after[0] >= before[0] - lost / 3600
    assert after[0] - before[0] < 30 / 3600  # what was printed after the last saving
    if not lost:
        assert after[1] >= before[1]


def test_a_completion_that_was_answered_survives_a_power_cut(printer):
    for times in range(1, 6):
        printer.gcode(f"UPDATE_MAINTENANCE NAME=rods NOTE='round {times}'")
        printer.kill()
        printer.start()

        assert printer.task("rods")["done_count"] == times


def test_a_restart_leaves_no_thread_behind(printer):
    def threads():
        return len(list(Path(f"/proc/{printer.pid}/task").iterdir()))

    printer.restart()
    before = threads()
    for _ in range(3):
        printer.restart()

    until(lambda: threads() <= before, "the old threads' end")


def test_a_corrupt_store_is_set_aside_and_klippy_starts(printer):
    printer.gcode("UPDATE_MAINTENANCE NAME=rods")
    printer.terminate()
    (printer.folder / "upkeep.sqlite").write_bytes(b"\0" * 5000)

    assert printer.start() == ("ready", "Printer is ready")

    assert "Oil the rods" in printer.console("MAINTAIN_STATUS")
