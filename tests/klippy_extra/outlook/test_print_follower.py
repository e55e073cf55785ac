"""Looking ahead on a printer: MAINTENANCE_CHECK, the current print, and its end."""

from __future__ import annotations

import json
import re

import pytest

from klippy_extra.contract import Summary

RODS = """
[maintain]
at_print_start: {policy}
[maintain rods]
label: Grease the rails
trigger: print_time
threshold: 200
[gcode_macro PRINT_START]
gcode:
    MAINTENANCE_CHECK
    STARTED
[gcode_macro STARTED]
gcode:
    {{action_respond_info('off we go')}}
"""
FILE = ";TIME:50400\n;Filament used: 120m\nPRINT_START\n" + 60 * "G4 P1000\n"
MAKES_DUE = 'This print (14 h, 120 m) makes "Grease the rails" due after 9 h.'


@pytest.fixture
def ahead(bench, tmp_path):
    """Return a function that starts a printer whose rails are due in 9 h.

    There is a file `job.gcode`.
    """

    def start(policy="ahead=warn", file=FILE):
        printer = bench(RODS.format(policy=policy))
        (tmp_path / "job.gcode").write_text(file)
        printer.lookup("virtual_sdcard").folder = tmp_path
        printer.use(print_time=191.0)
        return printer

    return start


def begin(printer):
    """Start the file, and wait until its start went on or was refused."""

    def starts():
        return printer.times("off we go") + printer.times("not started")

    before = starts()
    printer.print_file("job.gcode")
    printer.wait_for(lambda: starts() > before, "a start")


def job(printer):
    return printer.life.follower.job


def run(printer):
    """Start the file, and wait until the extra follows the print."""
    begin(printer)
    printer.advance(2)
    printer.wait_for(lambda: job(printer).hours, "what the file says")


def test_check_tells_what_a_file_makes_due_and_prints_nothing(ahead):
    printer = ahead(policy="ahead=off")
    assert printer.say("MAINTENANCE_CHECK FILE=job.gcode") == f"// {MAKES_DUE}"
    assert printer.status("print_stats")["state"] == "standby"


def test_check_tells_when_a_file_makes_nothing_due(ahead):
    printer = ahead(file=";TIME:3600\n;Filament used: 5m\n")
    answer = printer.say("MAINTENANCE_CHECK FILE=job.gcode")
    assert answer == "// This print (1 h, 5 m) makes no maintenance due."


def test_a_file_without_a_prediction_is_answered_with_one_sentence(ahead):
    printer = ahead(file="PRINT_START\n")
    assert printer.say("MAINTENANCE_CHECK FILE=job.gcode") == (
        "// 'job.gcode' does not say how long it prints or how much filament it"
        " needs, so nothing is known ahead."
    )
    begin(printer)
    assert printer.times("nothing is known ahead") == 2
    assert printer.times("off we go") == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.gcode", r"There is no file /\S+/none\.gcode\."),
        ("../passwd", r"FILE=\S+ is no file in the folder of \[virtual_sdcard\]\."),
        ("/", r"FILE=/ is no file in the folder of \[virtual_sdcard\]\."),
    ],
)
def test_a_file_that_does_not_exist_is_answered_with_one_sentence(
    ahead, name, sentence
):
    answer = ahead().say(f"MAINTENANCE_CHECK FILE={name}")
    assert re.fullmatch(rf"(// |!! ){sentence}", answer.strip()), answer


def test_a_print_start_warns_once_of_what_the_print_makes_due(ahead):
    printer = ahead()
    begin(printer)
    printer.advance(20)
    assert printer.times(f"// Maintenance: {MAKES_DUE}") == 1


def test_the_warning_also_comes_without_the_command_in_the_start_macro(ahead):
    printer = ahead(file=FILE.replace("PRINT_START", "STARTED"))
    run(printer)
    printer.advance(10)
    assert printer.times(f"// Maintenance: {MAKES_DUE}") == 1


def test_the_look_ahead_is_off_by_default_and_reads_no_file(bench, tmp_path):
    printer = bench(RODS.format(policy="warn"))
    (tmp_path / "job.gcode").write_text(FILE)
    printer.lookup("virtual_sdcard").folder = tmp_path
    printer.use(print_time=191.0)
    begin(printer)
    printer.advance(20)
    assert printer.times("passes") == 0
    assert job(printer) is None
    assert b"job" not in printer.life.upkeep.board.summary().encode()


def test_the_policy_confirm_asks_and_tells_why(ahead):
    printer = ahead("ahead=confirm")
    printer.print_file("job.gcode")
    printer.wait_for(lambda: printer.times("comes due in this print"), "a question")
    printer.advance(5)
    assert printer.times("prompt_begin Maintenance ahead. Print?") == 1
    assert printer.times(MAKES_DUE) >= 1

    printer.gcode("MAINTENANCE_CHECK ANSWER=stop", 2)
    assert printer.status("print_stats")["state"] == "cancelled"
    assert printer.times("not started: maintenance would come due in it.") > 0


def test_the_policy_block_ends_the_start_as_cancelled(ahead):
    printer = ahead("ahead=block")
    begin(printer)
    printer.advance(2)
    assert printer.times("off we go") == 0
    assert printer.times(f"maintenance comes first. {MAKES_DUE}") > 0
    assert printer.status("print_stats")["state"] == "cancelled"


def test_the_summary_has_the_current_print(ahead):
    printer = ahead()
    run(printer)

    payload = printer.life.upkeep.board.summary(1).encode()
    shown = json.loads(payload)["job"]
    assert (shown["file"], shown["hours"], shown["metres"]) == ("job.gcode", 14, 120)
    [each] = shown["ahead"]
    assert (each["task"], each["after"], each["meter"]) == ("rods", 9.0, "print_time")
    assert Summary.decode(payload).job == job(printer)


def test_macros_and_the_web_page_can_read_it(ahead):
    printer = ahead()
    assert "job" not in printer.status("maintain")
    run(printer)
    assert printer.status("maintain")["job"] == {
        "file": "job.gcode",
        "ahead": ["Grease the rails"],
        "due": [],
        "ended": False,
    }


def test_a_task_that_is_done_during_the_print_is_no_longer_listed(ahead):
    printer = ahead()
    run(printer)
    printer.gcode("MAINTENANCE_DONE NAME=rods")
    printer.advance(3)
    assert job(printer).ahead == ()
    assert job(printer).due == ()


def test_the_end_of_a_print_tells_what_the_print_made_due(ahead):
    printer = ahead()
    run(printer)
    printer.use(print_time=9.5)
    assert job(printer).due == ("Grease the rails",)
    assert job(printer).ahead == ()
    assert not job(printer).ended

    printer.advance(120)
    assert printer.times("This print made maintenance due: Grease the rails.") == 1
    assert job(printer).ended
    assert job(printer).due == ("Grease the rails",)


def test_the_next_print_starts_without_the_tasks_of_the_last(ahead):
    printer = ahead()
    begin(printer)
    printer.advance(120)
    assert job(printer).ended

    run(printer)
    assert job(printer).due == ()
    assert printer.times("made maintenance due") == 0
    assert printer.times(f"// Maintenance: {MAKES_DUE}") == 2


def test_a_print_that_follows_at_once_is_another_print(ahead):
    """It starts while the extra still waits for the last moves of the first print."""
    printer = ahead()
    run(printer)
    printer.use(print_time=9.5)
    while printer.status("print_stats")["state"] == "printing":
        printer.advance(0.5)
    printer.advance(1)
    assert not job(printer).ended

    printer.print_file("job.gcode")
    printer.advance(2)
    assert printer.times("This print made maintenance due: Grease the rails.") == 1
    assert job(printer).due == ()
    assert not job(printer).ended


def test_wrong_options_are_refused_with_a_clear_error(bench):
    printer = bench("[maintain]\nat_print_start: ahead=later\n", expect="error")
    assert "Option 'at_print_start' in section 'maintain'" in printer.state_message
    assert "choose one of warn, off, confirm, block" in printer.state_message
