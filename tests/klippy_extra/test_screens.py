"""Dialogs by the rules of each front-end: what is shown, its text, and its end."""

from __future__ import annotations

import pytest

from tests.fakes.screens import LETTERS, KlipperScreen, OctoPrint, Screen

TASK = """
[maintain {0}]
label: Clean and grease the {0} of the printer
message: Wipe the {0} first.
parts: a cloth
guide: https://example.org/{0}%23oil
trigger: print_time
threshold: 150
at_print_start: {1}
"""
START = "[gcode_macro PRINT_START]\ngcode:\n    MAINTENANCE_CHECK\n    G28\n"


@pytest.fixture(params=[Screen, KlipperScreen])
def screen(request):
    return request.param()


@pytest.fixture
def watched(bench, screen):
    """Return a function that starts a printer with two tasks.

    The screen gets its console.
    """

    def start(action="warn"):
        printer = bench(TASK.format("rods", action) + TASK.format("belts", "warn"))
        watch(printer)
        return printer

    def watch(printer):
        printer.lookup("gcode").register_output_handler(screen.receive)

    start.watch = watch
    return start


def test_every_screen_shows_first_what_is_to_be_done(watched, screen):
    watched().use(print_time=151.0)

    [text] = screen.texts
    assert text.startswith("Wipe the rods first. Parts: a cloth")
    assert "https://example.org/rods#oil" in text
    assert len(screen.title) <= LETTERS


def test_the_buttons_close_a_dialog_and_the_next_one_comes(watched, screen):
    printer = watched()
    printer.use(print_time=151.0)
    printer.say(screen.press("Later"))
    assert "belts" in screen.texts[0]
    printer.say(screen.press("Done"))
    assert screen.title == ""
    assert printer.task("belts")["done_count"] == 1


@pytest.mark.parametrize("door", ["UPDATE_MAINTENANCE", "SKIP_MAINTENANCE"])
def test_a_dialog_whose_task_was_done_elsewhere_is_closed(watched, screen, door):
    printer = watched()
    printer.use(print_time=151.0)
    for task in ("belts", "rods"):
        printer.say(f"{door} NAME={task} BY=MQTT")

    assert screen.title == ""


@pytest.mark.parametrize("command", ["RESTART", "FIRMWARE_RESTART"])
def test_no_dialog_is_open_after_a_restart(watched, screen, command):
    printer = watched()
    printer.use(print_time=151.0)
    assert screen.title

    printer.restart(command)
    assert screen.title == ""


def test_a_dialog_that_a_killed_klippy_left_open_is_closed(watched, screen):
    printer = watched()
    printer.use(print_time=151.0)
    before = screen.title
    for task in ("rods", "belts"):
        printer.say(f"DISABLE_MAINTENANCE NAME={task}")
    printer.close()
    screen.title = before  # The killed Klippy has not closed the dialog.
    watched().advance(5)

    assert screen.title == ""


def test_the_question_is_on_every_screen_although_a_print_begins(
    watched, screen, tmp_path
):
    printer = watched("confirm")
    printer.configure(printer.config_file.read_text() + START)
    printer.restart()
    watched.watch(printer)
    printer.use(print_time=151.0)
    (tmp_path / "job.gcode").write_text("PRINT_START\n")
    printer.lookup("virtual_sdcard").folder = tmp_path
    printer.print_file("job.gcode")
    printer.advance(1)
    if isinstance(screen, KlipperScreen):
        screen.prints()
    printer.advance(3)
    assert set(screen.buttons) == {"Print anyway", "Do not print"}

    octoprint = OctoPrint()
    printer.lookup("gcode").register_output_handler(octoprint.receive)
    printer.gcode(screen.press("Do not print"), 2)
    assert not octoprint.stopped
    assert printer.status("print_stats")["state"] == "cancelled"
