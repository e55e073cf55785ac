"""Reminders appear once, where people see them, and never during a print."""

from __future__ import annotations

import pytest

RODS = """
[maintain rods]
label: Clean the rods
message: Wipe, then one drop of oil.
guide: https://example.org/rods
trigger: print_time
threshold: 150
"""
LATER = (
    "// action:prompt_button Later"
    "|SNOOZE_MAINTENANCE NAME=rods HOURS=24 BY=screen|secondary"
)
TEXT = (
    "Wipe, then one drop of oil."
    " Clean the rods is due: 151 h used of 150 h, 1 h over."
    " Guide: https://example.org/rods"
)
OFTEN = "[maintain]\nremind_interval: 60\n"  # seconds


def test_a_due_task_is_shown_on_console_display_and_dialog(due):
    printer = due()

    lines = printer.console
    assert (
        "// Maintenance: Clean the rods is due: 151 h used of 150 h, 1 h over." in lines
    )
    assert "// Guide: https://example.org/rods" in lines
    assert printer.status("display_status")["message"] == "Maintenance: Clean the rods"
    dialog = [line for line in lines if line.startswith("// action:prompt_")]
    assert dialog == [
        "// action:prompt_end",
        "// action:prompt_begin Clean the rods",
        f"// action:prompt_text {TEXT}",
        "// action:prompt_button Done|UPDATE_MAINTENANCE NAME=rods BY=screen|primary",
        LATER,
        "// action:prompt_footer_button Close|MAINTENANCE_PROMPT CLOSE=1|info",
        "// action:prompt_show",
    ]


def test_a_reminder_is_shown_once_and_again_at_the_interval(due):
    printer = due(main=OFTEN)
    # once in the console and once in the dialog
    assert printer.times("rods is due") == 2

    printer.advance(54)
    assert printer.times("rods is due") == 2
    printer.advance(6)
    assert printer.times("rods is due") == 4


def test_due_soon_is_shown_once_and_in_no_dialog(bench):
    printer = bench(OFTEN + RODS)
    printer.use(print_time=140.0)
    printer.advance(150)

    assert printer.times("due soon") == 1
    assert printer.times("action:prompt_show") == 0


def test_the_buttons_work_and_close_the_dialog(due):
    printer = due()
    begin = len(printer.console)
    printer.say("UPDATE_MAINTENANCE NAME=rods BY=screen")

    assert "// action:prompt_end" in printer.console[begin:]
    assert printer.task("rods")["last_by"] == "screen"


def test_dialogs_are_shown_one_after_another(bench):
    belts = RODS.replace("rods", "belts")
    printer = bench(RODS + belts)
    printer.use(print_time=151.0)
    shown = [line for line in printer.console if "prompt_begin" in line]
    assert shown == ["// action:prompt_begin Clean the rods"]

    printer.say("SNOOZE_MAINTENANCE NAME=rods")

    shown = [line for line in printer.console if "prompt_begin" in line]
    assert shown[1:] == ["// action:prompt_begin Clean the belts"]
    printer.say("MAINTENANCE_PROMPT CLOSE=1")
    assert printer.console[-2:] == ["// action:prompt_end", "ok"]


def test_a_dialog_that_a_screen_closed_does_not_block_the_next(bench):
    belts = RODS.replace("rods", "belts").replace("150", "160")
    printer = bench(RODS + belts)
    printer.use(print_time=151.0)
    printer.advance(610)
    printer.use(print_time=10.0)

    shown = [line for line in printer.console if "prompt_begin" in line]
    assert shown[-1].endswith("Clean the belts")


def shown(printer):
    return [line for line in printer.console if "prompt_begin" in line]


def test_the_x_of_a_dialog_is_noticed_and_the_next_dialog_comes(bench):
    printer = bench(RODS + RODS.replace("rods", "belts"))
    printer.use(print_time=151.0)
    printer.lookup("gcode").respond_raw("// action:prompt_end")
    printer.advance(1)

    assert shown(printer)[1:] == ["// action:prompt_begin Clean the belts"]


def test_a_task_that_was_done_elsewhere_is_not_shown_in_its_turn(bench):
    printer = bench(RODS + RODS.replace("rods", "belts"))
    printer.use(print_time=151.0)
    printer.say("UPDATE_MAINTENANCE NAME=belts")
    printer.say("UPDATE_MAINTENANCE NAME=rods")

    assert len(shown(printer)) == 1
    assert printer.console.count("// action:prompt_end") == 2


def test_a_dialog_from_before_a_restart_is_closed_at_the_start(due):
    """Web interfaces keep it until it is closed."""
    printer = due()
    begin = len(printer.console)
    printer.restart()
    printer.advance(3)
    lines = printer.console[begin:]
    again = lines.index("// Klipper state: Ready")
    assert lines[:again].count("// action:prompt_end") == 1
    assert lines[again:].count("// action:prompt_end") == 1


def test_a_button_closes_a_dialog_from_before_a_restart(due):
    printer = due()
    printer.restart()
    printer.advance(3)
    begin = len(printer.console)
    printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=24 BY=screen")

    assert "// action:prompt_end" in printer.console[begin:]


def test_the_display_is_cleared_if_it_still_shows_the_reminder(due):
    printer = due()
    printer.say("UPDATE_MAINTENANCE NAME=rods")
    printer.advance(1)
    assert not printer.status("display_status")["message"]


def test_a_display_text_of_somebody_else_stays(due):
    printer = due()
    printer.gcode("M117 Hello")
    printer.say("UPDATE_MAINTENANCE NAME=rods")
    printer.advance(1)
    assert printer.status("display_status")["message"] == "Hello"


def test_a_long_label_is_cut_at_the_length_of_mainsails_titles(bench):
    printer = bench(RODS.replace("Clean the rods", "Clean and grease the linear rods"))
    printer.use(print_time=151.0)
    title = shown(printer)[0][len("// action:prompt_begin ") :]
    assert title == "Clean and grease the linear…"
    assert len(title) <= 28


def test_a_guide_keeps_its_anchor(due):
    """A number sign ends a value in printer.cfg, so it is written as %23."""
    printer = due(
        "[maintain guided]\ntrigger: count_x\nthreshold: 1\n"
        "guide: https://example.org/a%23oil\n"
    )
    assert "Guide: https://example.org/a#oil" in printer.say(
        "CHECK_MAINTENANCE NAME=guided"
    )


def test_a_reminder_comes_at_the_end_of_a_snooze_whatever_the_interval(due):
    printer = due(main="[maintain]\nremind_interval: 86400\n")
    printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=0.05")
    before = printer.times("rods is due")
    printer.advance(170)
    assert printer.times("rods is due") == before
    printer.advance(20)
    assert printer.times("rods is due") == before + 2


def test_a_snoozed_task_does_not_remind_and_a_snooze_survives_restarts(due):
    printer = due(main=OFTEN)
    printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=0.05")
    before = printer.times("rods is due")
    printer.advance(90)
    printer.restart()
    assert printer.task("rods")["status"] == "snoozed"
    assert printer.times("rods is due") == before

    printer.advance(120)
    assert printer.task("rods")["status"] == "due"
    assert printer.times("rods is due") >= before + 2


def test_a_restart_is_no_new_event(due):
    printer = due()
    before = printer.times("rods is due")
    printer.restart()
    printer.advance(60)

    assert printer.times("rods is due") == before


def test_a_reminder_waits_for_the_end_of_a_print(bench):
    printer = bench(RODS)
    printer.print_file()
    printer.advance(60)
    printer.use(print_time=151.0)
    printer.advance(60)
    assert printer.times("rods is due") == 0
    assert printer.task("rods")["status"] == "due"

    printer.gcode("CANCEL_PRINT")
    printer.advance(30)
    assert printer.times("rods is due") == 2


def test_a_reminder_comes_during_a_print_if_the_option_says_so(bench):
    printer = bench("[maintain]\nremind_while_printing: True\n" + RODS)
    printer.print_file()
    printer.advance(60)
    printer.use(print_time=151.0)

    assert printer.times("rods is due") == 2


def test_a_printer_without_a_display_gets_no_display_command(bench, tmp_path):
    """M117 would be an unknown command each time."""
    printer = bench(RODS)
    printer.printer.objects.pop("display_status", None)
    printer.use(print_time=151.0)

    assert printer.times("rods is due") == 2
    assert printer.times("Unknown") == 0


# expired_gcode

EXPIRED = "expired_gcode: {action_respond_info('spread')}\n"


def test_expired_gcode_runs_once_and_again_at_the_interval(due):
    printer = due(EXPIRED, OFTEN)
    assert printer.times("spread") == 1
    # expired_gcode does not replace the message.
    assert printer.times("rods is due") == 2

    printer.advance(54)
    assert printer.times("spread") == 1
    printer.advance(6)
    assert printer.times("spread") == 2


def test_expired_gcode_is_a_template(due):
    printer = due(
        "expired_gcode: {action_respond_info('left %d' %"
        " printer['maintain rods'].remaining)}\n"
    )
    assert printer.times("left -1") == 1


@pytest.mark.parametrize(("option_value", "times"), [("", 0), ("True", 1)])
def test_expired_gcode_waits_for_the_end_of_a_print_without_the_option(
    bench, option_value, times
):
    option = f"expired_gcode_while_printing: {option_value}\n" if option_value else ""
    printer = bench(RODS + EXPIRED + option)
    printer.print_file()
    printer.advance(60)
    printer.use(print_time=151.0)
    assert printer.times("spread") == times

    printer.gcode("CANCEL_PRINT")
    printer.advance(30)
    assert printer.times("spread") == 1


def test_expired_gcode_does_not_wait_for_the_gcode_mutex(bench):
    """M109 holds the mutex for minutes, and a waiting timer would hold the reactor."""
    printer = bench(RODS + EXPIRED)
    printer.gcode("M109 S220")
    printer.use(print_time=151.0)
    assert printer.times("rods is due") == 2
    assert printer.times("spread") == 0

    printer.advance(300)
    assert printer.times("spread") == 1


def test_expired_gcode_waits_while_somebody_adjusts_a_height(bench):
    """Klipper's manual probe does not hold the mutex between two commands."""

    class ManualProbe:
        is_active = True

        def get_status(self, eventtime):
            return {"is_active": self.is_active}

    printer = bench(RODS + EXPIRED)
    probe = printer.printer.objects["manual_probe"] = ManualProbe()
    printer.use(print_time=151.0)
    printer.advance(60)
    assert printer.times("spread") == 0

    probe.is_active = False
    printer.advance(1)
    assert printer.times("spread") == 1


def test_expired_gcode_waits_for_the_end_of_a_pause_without_a_file(bench):
    printer = bench(RODS + EXPIRED)
    printer.gcode("PAUSE")
    printer.use(print_time=151.0)
    printer.advance(60)
    assert printer.times("spread") == 0

    printer.gcode("RESUME")
    printer.advance(10)
    assert printer.times("spread") == 1


def test_expired_gcode_runs_after_a_command_that_starts_at_the_same_moment(bench):
    """The decision to run it is made a moment before it runs."""
    printer = bench(RODS + EXPIRED)
    printer.use(print_time=151.0)
    task = printer.lookup("maintain rods")
    with printer.lookup("gcode").get_mutex():
        printer.manager.reminders.run("rods", task, task.expired_gcode)
        printer.advance(10)
        assert printer.times("spread") == 1
    printer.advance(1)
    assert printer.times("spread") == 2


@pytest.mark.parametrize(
    "script",
    [
        "UNKNOWN_HEATER_STUFF {1 / 0}",
        "SET_HEATER_TEMPERATURE HEATER=nobody TARGET=5",
        "{action_raise_error('no')}",
        "G1 X99999",
    ],
)
@pytest.mark.logs_errors
def test_an_error_in_expired_gcode_is_reported_once_and_the_printer_goes_on(
    due, script
):
    """KlipperMaintenance shut the printer down, and repeated the code for ever."""
    printer = due(f"expired_gcode: {script}\n", OFTEN)
    printer.advance(150)

    assert printer.state == "ready"
    assert printer.times("the G-code for 'rods' failed") == 1


# MAINTENANCE_PROMPT


def test_the_dialog_comes_by_command(bench):
    printer = bench(RODS)
    assert "No maintenance is due." in printer.say("MAINTENANCE_PROMPT")
    assert "prompt_begin Clean the rods" in printer.say("MAINTENANCE_PROMPT NAME=rods")
