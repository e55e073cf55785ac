"""Parts on a real Klippy: fitted, printed with, swapped, restarted and killed."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.system, pytest.mark.klipper]

PARTS = """[maintain]
store: {folder}/upkeep.sqlite
[maintain_part n4]
kind: nozzle
place: extruder
trigger: homings
threshold: 1000
[maintain_part n6]
kind: nozzle
trigger: homings
threshold: 1000
"""


def of(printer, part):
    status = printer.status(f"maintain_part {part}")
    return status["place"], round(status["used"])


def test_a_swap_survives_a_restart_and_a_kill(make_printer):
    printer = make_printer(PARTS)
    printer.start()
    printer.gcode("G28")
    printer.gcode("FIT_PART PART=n6 PLACE=extruder")
    printer.gcode("G28 X")
    printer.console("PART_STATUS")
    printer.restart("RESTART")
    printer.console("PART_STATUS")

    assert of(printer, "n4") == ("", 3)
    assert of(printer, "n6") == ("extruder", 1)

    printer.gcode("FIT_PART PART=n4 PLACE=extruder")
    printer.kill()
    printer.start()
    printer.console("PART_STATUS")

    assert of(printer, "n4") == ("extruder", 3)
    assert of(printer, "n6") == ("", 1)
