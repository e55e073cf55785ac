"""The life of a real Klippy: sudden ends, a lost board, other configurations."""

from __future__ import annotations

import socket
import sys

import pytest

from tests.system import parts
from tests.system.klippy import PRINTER_CFG, Printer, until

pytestmark = [pytest.mark.system, pytest.mark.klipper]

TASKS = """
[maintain]
store_interval: 2

[maintain rods]
trigger: print_time
threshold: 150

[maintain nozzle]
trigger: filament
threshold: 500

[maintain belts]
trigger: time
threshold: 1000
"""


@pytest.fixture
def make(back_end):
    """Return a function that makes printers. They end with the test."""
    printers = []

    def make(sections=TASKS, machine=PRINTER_CFG):
        printers.append(Printer(back_end, sections, machine))
        return printers[-1]

    yield make
    for printer in printers:
        sys.stdout.write(printer.log()[-6000:])
        printer.close()


def used(printer, task="nozzle"):
    printer.gcode("MAINTAIN_STATUS")
    return printer.task(task)["used"]


@pytest.mark.parametrize("way", ["emergency_stop", "unplug", "terminate", "kill"])
def test_a_print_that_ends_suddenly_is_counted_until_the_last_seconds(make, way):
    printer = make()
    printer.start()
    printer.gcode(parts.HEAT)
    printer.print_file(parts.rings(layers=60))
    until(lambda: printer.status("print_stats")["filament_used"] > 60, "some lines")
    before = used(printer)

    if way == "emergency_stop":
        printer.emergency_stop()
        until(lambda: printer.state()[0] == "shutdown", "the shutdown")
        printer.restart("FIRMWARE_RESTART")
    elif way == "unplug":
        printer.tell_board("unplug")
        until(lambda: printer.state()[0] == "shutdown", "the shutdown")
        printer.tell_board("plug")
        printer.restart("FIRMWARE_RESTART")
    else:
        until(lambda: used(printer) > before + 0.03, "what is stored by now")
        getattr(printer, way)()
        printer.start()

    assert printer.state()[0] == "ready"
    assert used(printer) >= before


def test_a_configuration_is_saved_and_the_counts_stay(make):
    printer = make()
    printer.start()
    printer.gcode("G28\nM104 S200\nM109 S200\nM83\nG1 E20 F600\nM400")
    before = used(printer)
    printer.gcode("G1 Z5 F600\nPROBE_CALIBRATE\nTESTZ Z=-0.1\nACCEPT")

    assert printer.restart("SAVE_CONFIG") == ("ready", "Printer is ready")

    assert "#*# z_offset" in (printer.folder / "printer.cfg").read_text()
    assert used(printer) == pytest.approx(before, abs=0.001)
    assert used(printer) > 0.015


def test_tasks_can_be_in_an_included_file(make):
    printer = make("[include tasks/*.cfg]\n")
    (printer.folder / "tasks").mkdir()
    (printer.folder / "tasks" / "maintain.cfg").write_text(TASKS)

    assert printer.start() == ("ready", "Printer is ready")
    assert printer.task("rods")["status"] == "ok"


def test_two_klippys_on_one_host_count_separately(make):
    one, two = make(), make()
    assert one.start() == two.start() == ("ready", "Printer is ready")

    one.gcode("G28\nM104 S200\nM109 S200\nM83\nG1 E20 F600\nM400")

    assert used(one) > 0.015
    assert used(two) == 0


@pytest.mark.parametrize(
    "name", ["virtual_sdcard", "pause_resume", "display_status", "respond"]
)
def test_klippy_starts_and_answers_without(make, name):
    sections = PRINTER_CFG.split("\n[")
    kept = "\n[".join(each for each in sections if each.split("]")[0] != name)
    printer = make(machine=kept)

    assert printer.start() == ("ready", "Printer is ready")
    printer.gcode("G28\nM400")
    assert "rods" in printer.console("MAINTAIN_STATUS")
    assert "Unknown command" not in printer.console("CHECK_MAINTENANCE NAME=rods")


def test_a_renamed_m117_is_left_alone(make):
    macro = "[gcode_macro M117]\nrename_existing: M117.1\ngcode: M117.1 {rawparams}\n"
    printer = make(TASKS + macro)

    assert printer.start() == ("ready", "Printer is ready")
    printer.gcode('MAINTENANCE_DONE NAME=rods NOTE="oil"')
    assert "Unknown command" not in printer.console("CHECK_MAINTENANCE NAME=rods")


@pytest.mark.parametrize("days", [-400, 400])
def test_a_wall_clock_that_jumps_counts_nothing_and_stops_nothing(make, days):
    printer = make()
    printer.start()
    printer.gcode("MAINTENANCE_DONE NAME=belts\nG4 P1000")

    printer.clock.set_wall(days * 86400)
    printer.gcode("G4 P60000")

    assert printer.state()[0] == "ready"
    assert used(printer, "belts") < 1
    assert printer.restart() == ("ready", "Printer is ready")


@pytest.mark.parametrize("kind", ["refuses", "is silent", "has no name"])
def test_a_broker_that_does_not_answer_does_not_delay_a_print(make, kind):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if kind == "is silent":
            silent.listen()
        host = "broker.invalid" if kind == "has no name" else "127.0.0.1"
        broker = f"mqtt_host: {host}\nmqtt_port: {silent.getsockname()[1]}\n"
        printer = make(TASKS.replace("[maintain]\n", f"[maintain]\n{broker}", 1))

        assert printer.start() == ("ready", "Printer is ready")
        printer.gcode(parts.HEAT)
        printer.print_file(parts.rings(layers=1))
        assert printer.finish_printing()["state"] == "complete"
        assert printer.restart() == ("ready", "Printer is ready")
