"""Parts on a real Klippy: fitted, printed with, swapped, restarted and killed."""

from __future__ import annotations

import base64
import json
import re

import pytest

from tests.system.klippy import Printer, until
from tests.system.machines import EXTRUDER, LIMITS, RAIL_Z, X, Y, base, extruder

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


TOOLS = (
    base("cartesian", *LIMITS)
    + X
    + Y
    + RAIL_Z
    + EXTRUDER
    + extruder("extruder1", 40, 1)
    + "[gcode_macro T0]\ngcode:\n  ACTIVATE_EXTRUDER EXTRUDER=extruder\n"
    + "[gcode_macro T1]\ngcode:\n  ACTIVATE_EXTRUDER EXTRUDER=extruder1\n"
)
NOZZLE = """[maintain_part {name}]
kind: nozzle
{place}
trigger: filament, print_time, tool_changes
threshold: 1000, 1000, 1000
"""
NOZZLES = (
    "[maintain]\nstore: {folder}/upkeep.sqlite\n"
    "[maintain all]\ntrigger: print_time\nthreshold: 1000\n"
    + NOZZLE.format(name="left", place="place: extruder")
    + NOZZLE.format(name="right", place="place: extruder1")
    + NOZZLE.format(name="spare", place="")
)


def printed(printer, tools):
    """Print 16 mm for some seconds with each of *tools*."""
    lines = "".join(f"G1 X{20 + 60 * (n % 2)} E2 F1200\n" for n in range(8))
    printer.print_file("".join(f"T{tool}\nM83\nG92 E0\n{lines}" for tool in tools))
    assert printer.finish_printing()["state"] == "complete"
    printer.gcode("M400\nG4 P2000")


def used_in_all(printer, part):
    """Return metres, hours of printing and tool changes of a part, unrounded."""
    printer.gcode(f"EXPORT_PART PART={part} TO=another")
    line = re.compile(rf"IMPORT_PART PART={part} CODE=(\S+)")

    def given():
        # This call reads the new lines. The line comes after the export is saved.
        printer.state()
        return line.search("\n".join(printer.responses))

    code = until(given, "the line for the other printer").group(1)
    used = json.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)))["used"]
    return used["filament"], used["print_time"], used["tool_changes"]


def metres(printer, motor):
    made = printer.board()["steppers"][motor]
    return (made["forward"] + made["back"]) * made["step_distance"] / 1000


def test_each_tool_wears_the_parts_that_are_fitted_to_it(back_end):
    printer = Printer(back_end, NOZZLES, TOOLS)
    try:
        assert printer.start() == ("ready", "Printer is ready")
        printer.gcode("G28")
        printed(printer, [0, 1, 0, 1, 1])
        printer.gcode("FIT_PART PART=spare PLACE=extruder1")
        printed(printer, [1, 0])

        total = printer.used("all")[0]
        left, right, spare = (
            used_in_all(printer, part) for part in ("left", "right", "spare")
        )
        assert left[0] == pytest.approx(metres(printer, "extruder"), rel=1e-3)
        assert right[0] == pytest.approx(0.048, rel=1e-3)
        assert spare[0] == pytest.approx(0.016, rel=1e-3)
        assert right[0] + spare[0] == pytest.approx(
            metres(printer, "extruder1"), rel=1e-3
        )
        # At first the left tool is active, and the last tool of a print stays active.
        assert [left[2], right[2], spare[2]] == [2, 2, 0]
        assert min(left[1], right[1], spare[1]) > 0
        assert left[1] + right[1] + spare[1] == pytest.approx(total, abs=1e-3)
    finally:
        printer.close()
