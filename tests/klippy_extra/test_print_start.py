"""MAINTENANCE_CHECK at the start of a print warns, asks, or ends the start cleanly."""

from __future__ import annotations

import pytest

RODS = """
[maintain rods]
label: Clean the rods
message: Wipe, then one drop of oil.
trigger: print_time
threshold: 150
"""
START = """
[gcode_macro PRINT_START]
gcode:
    SET_HEATER_TEMPERATURE HEATER=heater_bed TARGET=50
    MAINTENANCE_CHECK
    SET_HEATER_TEMPERATURE HEATER=extruder TARGET=200
    STARTED
[gcode_macro STARTED]
gcode:
    {action_respond_info('off we go')}
"""
CONFIRM = "at_print_start: confirm\n" + START
CANCELLED = "// The print is not started: it was cancelled."


def target(printer, heater="extruder"):
    return printer.status(heater)["target"]


def test_a_print_starts_when_nothing_is_due(bench):
    assert bench(RODS).say("MAINTENANCE_CHECK") == ""


def test_warn_is_the_default(due):
    answer = due().say("MAINTENANCE_CHECK")
    assert (
        answer
        == "// Maintenance: Clean the rods is due: 151 h used of 150 h, 1 h over."
    )


def test_off_writes_nothing(due):
    assert due("at_print_start: off\n").say("MAINTENANCE_CHECK") == ""


def test_block_refuses_the_print_until_the_task_is_done_or_snoozed(due):
    printer = due("at_print_start: block\n")
    assert "// The print is not started" in printer.say("MAINTENANCE_CHECK")
    assert "not started" in printer.say("MAINTENANCE_CHECK NAME=rods")

    printer.say("SNOOZE_MAINTENANCE NAME=rods")
    assert printer.say("MAINTENANCE_CHECK") == ""


@pytest.fixture
def asking(due):
    """A printer whose print start waits for an answer."""
    printer = due(CONFIRM)
    printer.gcode("PRINT_START")
    printer.advance(5)
    assert printer.times("Print anyway") == 1
    assert printer.times("off we go") == 0
    return printer


def test_confirm_goes_on_by_itself_after_its_timeout(asking):
    asking.advance(110)
    assert asking.times("off we go") == 0
    asking.advance(10)
    assert asking.times("off we go") == 1


def test_confirm_accepts_yes(asking):
    """The command of the button is carried out although another command waits."""
    asking.gcode("MAINTENANCE_CHECK ANSWER=print")
    assert asking.times("off we go") == 1
    assert not asking.lookup("gcode").get_mutex().test()


def test_confirm_accepts_no(asking):
    asking.gcode("MAINTENANCE_CHECK ANSWER=stop")
    asking.advance(200)

    assert asking.times("off we go") == 0
    assert asking.times("// The print is not started: maintenance is due.") > 0
    assert not asking.lookup("gcode").get_mutex().test()


def test_an_emergency_stop_ends_the_question(asking):
    asking.emergency_stop()
    asking.advance(2)
    assert asking.times("The print is not started: the printer has shut down.") == 1
    asking.advance(200)

    assert asking.state == "shutdown"
    assert asking.times("off we go") == 0


@pytest.fixture
def asking_file(due, tmp_path):
    """A printer that prints a file whose start waits for an answer."""
    return asking_of_a_file(due(CONFIRM), tmp_path)


def asking_of_a_file(printer, tmp_path):
    (tmp_path / "job.gcode").write_text("PRINT_START\nG28\n")
    printer.lookup("virtual_sdcard").folder = tmp_path
    printer.print_file("job.gcode")
    printer.advance(5)
    assert printer.times("prompt_begin Maintenance is due. Print?") == 1
    assert printer.status("print_stats")["state"] == "printing"
    return printer


def test_no_ends_a_file_as_cancelled_and_without_an_alarm(asking_file):
    """OctoPrint reacts to a line with `!!` by an emergency stop."""
    asking_file.gcode("MAINTENANCE_CHECK ANSWER=stop", 2)

    stats = asking_file.status("print_stats")
    assert (stats["state"], stats["message"]) == ("cancelled", "")
    assert asking_file.times("!!") == 0
    assert asking_file.times("off we go") == 0
    assert target(asking_file) == 0
    assert asking_file.state == "ready"


def test_block_ends_a_file_as_cancelled_and_tells_why(due, tmp_path):
    printer = due("at_print_start: block\n" + START)
    (tmp_path / "job.gcode").write_text("PRINT_START\nG28\n")
    printer.lookup("virtual_sdcard").folder = tmp_path
    printer.print_file("job.gcode")
    printer.advance(5)

    assert printer.status("print_stats")["state"] == "cancelled"
    assert printer.times("!!") == 0
    assert printer.times("prompt_begin Maintenance comes first") == 1
    assert target(printer) == 0
    readings = printer.life.upkeep.counting.readings()
    assert readings["jobs_failed"] == 0


def test_a_start_that_was_cancelled_during_the_question_heats_nothing(asking_file):
    asking_file.gcode("CANCEL_PRINT", 2)
    asking_file.advance(200)

    assert asking_file.times(CANCELLED) == 1
    assert asking_file.times("off we go") == 0
    assert target(asking_file) == 0
    assert asking_file.status("print_stats")["state"] == "cancelled"
    assert asking_file.console.count("// action:prompt_end") >= 2


def test_a_start_whose_file_was_closed_during_the_question_heats_nothing(asking_file):
    """A file cannot close itself, but somebody else can."""
    asking_file.lookup("virtual_sdcard").close()
    asking_file.advance(200)

    assert asking_file.times(CANCELLED) == 1
    assert asking_file.times("off we go") == 0
    assert target(asking_file) == 0


def test_a_start_without_a_file_that_was_cancelled_heats_nothing(asking):
    asking.gcode("CANCEL_PRINT", 2)

    assert asking.times(CANCELLED) == 1
    assert asking.times("off we go") == 0
    assert target(asking) == 0


def test_a_start_that_was_paused_waits_until_it_is_resumed(asking_file):
    asking_file.gcode("PAUSE")
    asking_file.advance(400)
    assert asking_file.times("off we go") == 0
    asking_file.gcode("MAINTENANCE_CHECK ANSWER=print", 100)
    assert "// The print is paused: it starts when it is resumed." in (
        asking_file.console
    )
    assert asking_file.times("off we go") == 0

    asking_file.gcode("RESUME", 1)
    assert asking_file.times("off we go") == 1
    assert asking_file.times("busy") == 0
    asking_file.advance(60)
    assert asking_file.status("print_stats")["state"] == "complete"


def test_a_question_has_its_whole_time_again_after_a_pause(asking_file):
    asking_file.gcode("PAUSE")
    asking_file.advance(400)
    asking_file.gcode("RESUME", 1)
    asking_file.advance(110)
    assert asking_file.times("off we go") == 0
    asking_file.advance(20)
    assert asking_file.times("off we go") == 1


SLOW_PAUSE = """
[gcode_macro SLOW_PAUSE]
gcode:
    G4 P10000
    M400
    PAUSE
"""


def test_a_pause_at_the_end_of_the_time_keeps_the_start_waiting(due, tmp_path):
    printer = asking_of_a_file(due(CONFIRM + SLOW_PAUSE), tmp_path)
    printer.advance(110)
    printer.gcode("SLOW_PAUSE", 60)
    assert printer.times("off we go") == 0
    assert target(printer) == 0

    printer.gcode("RESUME", 1)
    printer.advance(130)
    assert printer.times("off we go") == 1


def test_a_start_whose_heaters_were_turned_off_does_not_go_on_cold(asking_file):
    asking_file.gcode("TURN_OFF_HEATERS", 2)

    assert asking_file.times("a heater was switched off meanwhile.") == 1
    assert asking_file.times("off we go") == 0
    assert target(asking_file) == 0


def test_a_start_whose_motors_were_turned_off_does_not_go_on(due):
    """The position of the nozzle is unknown then."""
    printer = due(CONFIRM)
    printer.gcode("G28", 30)
    printer.gcode("PRINT_START", 5)
    printer.gcode("M84", 2)

    assert printer.times("the motors were switched off meanwhile.") == 1
    assert printer.times("off we go") == 0
    assert target(printer) == 0


def test_the_idle_timeout_does_not_fire_during_the_question(due):
    long = "[maintain]\nconfirm_timeout: 600\n"
    printer = due(CONFIRM + "[idle_timeout]\ntimeout: 30\n", long)
    printer.gcode("G28", 10)  # a printer that never moved does not go idle
    printer.gcode("PRINT_START")
    printer.advance(500)
    assert target(printer, "heater_bed") == 50

    printer.gcode("MAINTENANCE_CHECK ANSWER=print")
    assert printer.times("off we go") == 1


@pytest.mark.parametrize("command", ["RESTART", "FIRMWARE_RESTART"])
def test_a_restart_ends_the_question_cleanly(asking_file, command, caplog):
    before = asking_file.printer
    asking_file.gcode(command, 10)

    assert asking_file.times("The print is not started: Klipper restarts.") == 1
    assert asking_file.printer is not before
    assert asking_file.state == "ready"
    assert asking_file.times("off we go") == 0
    assert "Internal error" not in caplog.text
    assert "GreenletExit" not in caplog.text


def test_an_exit_ends_the_question_cleanly(asking_file, caplog):
    asking_file.close()

    assert asking_file.times("off we go") == 0
    assert "Internal error" not in caplog.text


def test_a_second_start_is_refused_while_the_first_waits(asking_file):
    answer = "\n".join(asking_file.gcode("MAINTENANCE_CHECK", 1))

    assert "Another print start waits" in answer
    assert asking_file.status("print_stats")["state"] == "printing"
    asking_file.gcode("MAINTENANCE_CHECK ANSWER=print", 1)
    assert asking_file.times("off we go") == 1


def test_the_question_comes_after_screens_have_shown_the_print(due):
    """KlipperScreen drops every dialog when a print begins."""
    printer = due(CONFIRM)
    printer.gcode("PRINT_START", 1)
    assert printer.times("prompt_begin Maintenance is") == 0
    printer.advance(2)
    assert printer.times("prompt_begin Maintenance is") == 1


def test_the_question_is_repeated_when_it_was_closed_by_its_x(asking):
    asking.lookup("gcode").respond_raw("// action:prompt_end")
    asking.advance(5)

    assert asking.times("prompt_begin Maintenance is") == 2
    asking.gcode("MAINTENANCE_CHECK ANSWER=print")
    assert asking.times("off we go") == 1


def test_the_question_counts_down_on_the_display_and_then_clears_it(asking):
    first = asking.status("display_status")["message"]
    asking.advance(10)
    second = asking.status("display_status")["message"]
    assert first.startswith("Maintenance due. The print starts in 11")
    assert second.startswith("Maintenance due. The print starts in 10")

    asking.gcode("MAINTENANCE_CHECK ANSWER=print", 1)
    assert not asking.status("display_status")["message"]
