"""What a person is told when a task becomes due, and when."""

from __future__ import annotations

import pytest

from demo.klippy import GCodeError
from tests.system import parts
from tests.system.klippy import until

pytestmark = pytest.mark.system

SECTIONS = """
[maintain]
store: {folder}/upkeep.sqlite

[maintain nozzle]
label: Change the nozzle
message: Heat it first.
trigger: filament
threshold: 0.02
expired_gcode: RESPOND MSG="the nozzle's own words"

[maintain belts]
trigger: jobs_completed
threshold: 2
at_print_start: block
expired_gcode: G1 X5
"""
PROMPT = "// action:prompt_begin Change the nozzle"
OWN_WORDS = "the nozzle's own words"


@pytest.fixture
def printer(make_printer):
    printer = make_printer(SECTIONS)
    assert printer.start() == ("ready", "Printer is ready")
    return printer


def is_shown(printer, text):
    """Return whether a line with *text* was on the console until now."""
    printer.state()
    return any(text in line for line in printer.responses)


def test_a_task_that_becomes_due_in_a_print_is_reported_after_it(printer):
    printer.gcode(parts.HEAT)
    printer.print_file(parts.rings(layers=8))
    until(lambda: printer.task("nozzle")["status"] == "due", "the nozzle's time")
    while_printing = is_shown(printer, PROMPT) or is_shown(printer, OWN_WORDS)
    assert printer.status("print_stats")["state"] == "printing"
    printer.finish_printing()

    until(lambda: is_shown(printer, PROMPT), "the dialog")
    until(lambda: is_shown(printer, OWN_WORDS), "the task's own G-code")

    assert not while_printing
    assert is_shown(printer, "// action:prompt_text Heat it first.")
    assert "nozzle" in printer.status("display_status")["message"]


def test_done_in_the_dialog_closes_it(printer):
    printer.gcode("ADJUST_MAINTENANCE NAME=nozzle USED=1")
    until(lambda: is_shown(printer, PROMPT), "the dialog")
    button = next(
        line.split("|")[1]
        for line in printer.responses
        if line.startswith("// action:prompt_button Done|")
    )

    lines = printer.gcode(button)

    assert "// action:prompt_end" in lines
    task = printer.task("nozzle")
    assert (task["done_count"], task["status"], task["used"]) == (1, "ok", 0.0)


def test_a_fault_in_a_tasks_gcode_is_reported_and_changes_nothing_else(printer):
    """The G-code moves an axis that is not homed."""
    printer.gcode("ADJUST_MAINTENANCE NAME=belts USED=2")

    until(lambda: is_shown(printer, "the G-code for 'belts' failed"), "the complaint")

    assert printer.state() == ("ready", "Printer is ready")


def test_a_print_that_must_not_start_is_stopped_by_the_check(printer):
    printer.gcode("MAINTENANCE_CHECK")
    printer.gcode("ADJUST_MAINTENANCE NAME=belts USED=2")

    with pytest.raises(GCodeError, match="belts"):
        printer.gcode("MAINTENANCE_CHECK")

    printer.gcode("SNOOZE_MAINTENANCE NAME=belts HOURS=1")
    printer.gcode("MAINTENANCE_CHECK")
