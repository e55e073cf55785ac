"""Everything that shows the state of tasks also shows what does not work."""

from __future__ import annotations

import importlib

import pytest

from klippy_extra.upkeep.problems import BROKER, STORE, Problems

MISSPELT = """
[maintain chamber]
trigger: heater_on_chamber
threshold: 100

[maintain rods]
trigger: print_time, travel_u
threshold: 150, 900

[maintain fine]
trigger: print_time
threshold: 150
"""


def test_a_task_without_its_meter_shows_it_in_the_console_and_in_its_status(bench):
    printer = bench(MISSPELT)

    assert "'heater_on_chamber' is not counted" in printer.say("MAINTAIN_STATUS")
    assert "'travel_u' is not counted" in printer.say("CHECK_MAINTENANCE NAME=rods")
    assert "'travel_u' is not counted" in printer.task("rods")["problem"]
    assert printer.task("fine")["problem"] is None


def test_a_task_without_its_meter_shows_it_in_the_published_message(bench):
    printer = bench(MISSPELT)

    states = {state.task: state for state in printer.life.upkeep.board.states()}

    assert "'travel_u' is not counted" in states["rods"].problem
    assert states["fine"].problem is None


def test_a_task_whose_condition_is_never_true_shows_it(bench):
    printer = bench(
        "[maintain hot]\ntrigger: print_time\nthreshold: 100\nwhile: heater_bde>80\n"
    )

    sentence = "This printer has no 'heater_bde', so the condition 'heater_bde>80'"
    assert sentence in printer.say("MAINTAIN_STATUS")
    assert printer.task("hot")["problem"].startswith(sentence)


def test_an_unreachable_broker_is_a_problem_of_the_printer(bench):
    printer = bench("[maintain]\nmqtt_host: 127.0.0.1\nmqtt_port: 9\n" + MISSPELT)
    printer.wait_for(lambda: printer.manager.problems.summary, "a problem")
    printer.advance(3)

    assert "127.0.0.1" in printer.status("maintain")["problem"]
    assert "'mqtt_port'" in printer.say("MAINTAIN_STATUS").splitlines()[0]


def test_a_problem_of_the_printer_is_shown_until_it_is_cleared(bench):
    printer = bench(MISSPELT)
    text = "Nothing is saved since 10:00: the disk is full."

    printer.manager.problems.report(STORE, text)

    assert printer.say("MAINTAIN_STATUS").splitlines()[0].endswith(text)
    assert printer.status("maintain")["problem"] == text
    assert printer.life.upkeep.board.summary().problem == text
    assert printer.request("maintain/tasks")["problem"] == text
    printer.manager.problems.clear(STORE)
    assert text not in printer.say("MAINTAIN_STATUS")
    assert printer.status("maintain")["problem"] is None
    assert printer.life.upkeep.board.summary().problem is None
    assert printer.request("maintain/tasks")["problem"] is None


def test_the_problems_of_several_parts_of_the_extra_are_one_text():
    problems = Problems()

    problems.report(BROKER, "The broker refuses the password.")
    problems.report(STORE, "The disk is full.")

    assert problems.summary == "The disk is full. The broker refuses the password."


def sources(printer):
    """Return the extra's table of sources, under the name of the printer's import."""
    package = type(printer.manager).__module__.rpartition(".")[0]
    return importlib.import_module(f"{package}.meters").SOURCES


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("event", "arguments", "meter"),
    [
        ("homing:home_rails_end", (None, []), "homings"),
        ("homing:homing_move_end", (None,), "homings"),
        ("homing:homing_move_end", (None,), "travel_x"),
    ],
)
def test_a_homing_that_was_not_counted_is_shown_until_one_is_counted(
    bench, event, arguments, meter
):
    """Klipper's event may have no rail, or no move, that the meter can read."""
    printer = bench(f"[maintain rails]\ntrigger: {meter}\nthreshold: 100\n")

    printer.printer.send_event(event, *arguments)
    printer.advance(3)
    assert f"'{meter}' is not counted now" in printer.task("rails")["problem"]

    printer.gcode("G28 X", 30)
    assert printer.task("rails")["problem"] is None


@pytest.mark.logs_errors
def test_a_meter_that_fails_is_shown_until_it_counts_again(bench, monkeypatch):
    printer = bench(MISSPELT)
    printing = sources(printer)["printing"]
    poll = printing.poll
    broken = True

    def failing(self, eventtime):
        if broken:
            raise RuntimeError("no")
        return poll(self, eventtime)

    monkeypatch.setattr(printing, "poll", failing)
    printer.restart()
    printer.advance(3)

    assert "'print_time' is not counted now" in printer.task("fine")["problem"]
    assert "print_time" in printer.status("maintain")["problem"]
    broken = False
    printer.advance(3)
    assert printer.task("fine")["problem"] is None
    assert printer.status("maintain")["problem"] is None
