"""A wrong configuration gives Klippy's own error, with section, option and fix."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.system

TASK = "[maintain rods]\ntrigger: {}\nthreshold: {}\n"
OTHER = "[maintain Rods]\ntrigger: time\nthreshold: 1\n"
WRONG = {
    "a trigger that does not exist": (
        "[maintain]\n" + TASK.format("print_tine", 150),
        ("trigger", "maintain rods", "print_time"),
    ),
    "a threshold that is no number": (
        "[maintain]\n" + TASK.format("print_time", "abc"),
        ("threshold", "maintain rods", "abc"),
    ),
    "a threshold that is not a number": (
        "[maintain]\n" + TASK.format("print_time", "nan"),
        ("threshold", "maintain rods", "nan"),
    ),
    "no threshold": (
        "[maintain]\n[maintain rods]\ntrigger: print_time\n",
        ("threshold", "maintain rods"),
    ),
    "two names with one slug": (
        "[maintain]\n"
        + TASK.format("time", 1)
        + TASK.format("time", 1).replace("rods", "Rods"),
        ("maintain rods", "maintain Rods", "rename"),
    ),
    "no broker": (
        "[maintain]\nmqtt_port: 1883\n" + TASK.format("time", 1),
        ("mqtt_host", "'maintain'"),
    ),
    "a password in printer.cfg": (
        "[maintain]\nmqtt_host: localhost\nmqtt_password: swordfish\n",
        ("mqtt_password", "'maintain'", "credentials"),
    ),
    "an option that nobody reads": (
        "[maintain]\n" + TASK.format("time", 1) + "treshold: 2\n",
        ("treshold", "maintain rods"),
    ),
}


@pytest.fixture(params=WRONG)
def wrong(request):
    return WRONG[request.param]


def test_one_error_names_section_option_and_fix(make_printer, wrong):
    sections, words = wrong
    printer = make_printer(sections)

    state, message = printer.start()

    assert state == "error"
    assert [word for word in words if word not in message] == []
    assert "swordfish" not in message
    assert "Traceback" not in message


def test_a_corrected_configuration_is_read_at_the_restart(make_printer):
    printer = make_printer("[maintain]\n" + TASK.format("print_time", "abc"))
    printer.start()

    printer.configure("[maintain]\n" + TASK.format("print_time", 150))

    assert printer.restart() == ("ready", "Printer is ready")
    assert printer.task("rods")["threshold"] == 150
