"""The configuration and the commands of KlipperMaintenance still work."""

from __future__ import annotations

import pytest

LEFT = "[maintain xyrods left side]\ntrigger: print_time\nthreshold: 250\n"
RIGHT = LEFT.replace("left", "right")
NOZZLE = "[maintain nozzle]\nlabel: Nozzle\ntrigger: filament\nthreshold: 10\n"


def test_the_first_word_of_a_section_is_the_name_of_the_task(bench):
    printer = bench(LEFT + NOZZLE)
    printer.use(print_time=5.0)
    assert "245 h remaining" in printer.say("CHECK_MAINTENANCE NAME=xyrods")
    assert "marked done" in printer.say("UPDATE_MAINTENANCE NAME=xyrods")
    assert "is disabled" in printer.say("DISABLE_MAINTENANCE NAME=xyrods")
    assert "is enabled" in printer.say("ENABLE_MAINTENANCE NAME=xyrods")
    assert "marked done" in printer.say('UPDATE_MAINTENANCE NAME="xyrods left side"')
    assert printer.task("xyrods left side")["used"] == 0.0


def test_a_first_word_that_two_sections_share_names_no_task(bench):
    printer = bench(LEFT + RIGHT)
    answer = printer.say("CHECK_MAINTENANCE NAME=xyrods")
    assert "There is no maintenance task 'xyrods'" in answer
    assert "xyrods left side, xyrods right side" in answer


@pytest.mark.parametrize("interval", ["0", "-1"])
def test_a_configuration_without_an_interval_sends_no_reminders(bench, interval):
    printer = bench(f"[maintain]\ninterval: {interval}\n" + LEFT)
    printer.use(print_time=300.0)
    printer.advance(3700, step=60)  # an hour is the usual interval

    assert printer.task("xyrods left side")["status"] == "due"
    assert not any("Maintenance:" in line for line in printer.console)


def test_a_threshold_of_zero_starts_and_is_always_due(bench):
    printer = bench(LEFT.replace("250", "0"))
    assert any("always due" in line for line in printer.console)
    assert "is always due" in printer.say("MAINTAIN_STATUS")
    printer.say("UPDATE_MAINTENANCE NAME=xyrods")
    printer.advance(5)
    task = printer.task("xyrods left side")
    assert (task["status"], task["percent"], task["threshold"]) == ("due", 100.0, 0.0)
    printer.use(print_time=1.0)
    assert printer.task("xyrods left side")["remaining"] == -1.0


def test_update_with_hours_enables_a_disabled_task(bench):
    printer = bench(LEFT)
    printer.use(print_time=5.0)
    printer.say("DISABLE_MAINTENANCE NAME=xyrods")
    printer.say("UPDATE_MAINTENANCE NAME=xyrods HOURS=20")
    printer.use(print_time=1.0)

    task = printer.task("xyrods left side")
    assert (task["status"], task["used"]) == ("ok", 21.0)


def test_update_without_hours_leaves_a_disabled_task_disabled(bench):
    printer = bench(LEFT)
    printer.say("DISABLE_MAINTENANCE NAME=xyrods")
    printer.say("UPDATE_MAINTENANCE NAME=xyrods")
    assert printer.task("xyrods left side")["status"] == "disabled"
