"""What could hurt somebody, on a real Klippy: heaters and steps are watched."""

from __future__ import annotations

import json
import os
import select
import time
import tty
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from tests.system import parts
from tests.system.klippy import EXTRAS, Klippy, Printer, until

pytestmark = [pytest.mark.system, pytest.mark.klipper]

TURNS = Path(__file__).parent / "turns"
FLOOD = 20_000  # commands
LONGEST = 0.010  # seconds of the reactor that one call of the extra may take
MACROS = """
[gcode_macro PRINT_START]
gcode:
    SET_HEATER_TEMPERATURE HEATER=heater_bed TARGET=60
    MAINTENANCE_CHECK
    SET_HEATER_TEMPERATURE HEATER=extruder TARGET=200
    G28
"""
RODS = """
[maintain]
store: {folder}/upkeep.sqlite
confirm_timeout: SECONDS

[maintain rods]
label: Clean the rods
trigger: count_cuts
threshold: 1
at_print_start: ACTION
"""
JOB = "PRINT_START\nG1 X10 F6000\n"


def sections(action="confirm", seconds=120):
    text = RODS.replace("ACTION", action).replace("SECONDS", str(seconds))
    return text + MACROS


def count(printer, text):
    """Return how often *text* was on the console until now."""
    printer.state()
    return sum(text in line for line in printer.responses)


def due(printer):
    assert printer.start() == ("ready", "Printer is ready")
    printer.gcode("MAINTENANCE_COUNT NAME=cuts BY=2")
    until(lambda: printer.task("rods")["status"] == "due", "the task")
    return printer


@pytest.fixture
def asking(make_printer):
    """A printer with a hot bed, and a file whose start waits for an answer."""
    printer = due(make_printer(sections()))
    printer.print_file(JOB)
    until(lambda: count(printer, "Maintenance is due."), "the question")
    return printer


def nothing_happened(printer):
    """Return whether only the bed was ever heated, and no step was made."""
    board = printer.board()
    still = all(
        stepper["forward"] == stepper["back"] == 0
        for stepper in board["steppers"].values()
    )
    return still and board["heaters"]["extruder"]["on_time"] == 0.0


def test_a_start_that_was_cancelled_during_the_question_heats_and_moves_nothing(asking):
    asking.gcode("CANCEL_PRINT")
    until(
        lambda: not asking.status("virtual_sdcard")["is_active"], "the end of the start"
    )
    asking.gcode("G4 P5000")

    assert asking.status("print_stats")["state"] == "cancelled"
    assert asking.status("extruder")["target"] == 0
    assert nothing_happened(asking)
    assert count(asking, "!!") == 0


def test_no_ends_the_file_as_cancelled_and_shuts_nothing_down(asking):
    asking.gcode("MAINTENANCE_CHECK ANSWER=stop")
    until(
        lambda: not asking.status("virtual_sdcard")["is_active"], "the end of the start"
    )

    assert asking.status("print_stats")["state"] == "cancelled"
    assert asking.state() == ("ready", "Printer is ready")
    assert nothing_happened(asking)
    assert count(asking, "!!") == 0


def test_a_start_that_was_paused_waits_until_it_is_resumed(asking):
    asking.gcode("PAUSE")
    for _ in range(15):  # This is longer than the question waits.
        asking.gcode("G4 P10000")
    asking.gcode("MAINTENANCE_CHECK ANSWER=print")
    asking.gcode("G4 P5000")
    assert asking.status("pause_resume")["is_paused"]
    assert nothing_happened(asking)

    asking.gcode("RESUME")
    assert asking.finish_printing()["state"] == "complete"
    assert asking.status("extruder")["target"] == 200
    assert count(asking, "SD busy") == 0


def test_the_idle_timeout_does_not_fire_during_the_question(asking):
    asking.gcode("SET_IDLE_TIMEOUT TIMEOUT=30")
    end = asking.status("toolhead")["estimated_print_time"] + 80
    until(
        lambda: asking.status("toolhead")["estimated_print_time"] > end,
        "80 s of the printer's time",
    )

    assert asking.status("heater_bed")["target"] == 60
    assert nothing_happened(asking)
    asking.gcode("MAINTENANCE_CHECK ANSWER=print")
    assert asking.finish_printing()["state"] == "complete"


@pytest.mark.parametrize("command", ["RESTART", "FIRMWARE_RESTART"])
def test_a_restart_ends_the_question_cleanly(asking, command):
    assert asking.restart(command) == ("ready", "Printer is ready")

    log = asking.log()
    for trouble in ("Internal error", "GreenletExit", "Transition to shutdown"):
        assert trouble not in log
    assert asking.status("extruder")["target"] == 0


def test_block_ends_the_file_as_cancelled_and_not_as_failed(make_printer):
    printer = due(make_printer(sections("block")))
    printer.print_file(JOB)
    until(lambda: count(printer, "maintenance comes first"), "the refusal")
    until(
        lambda: printer.status("print_stats")["state"] == "cancelled", "the job's end"
    )

    assert printer.state() == ("ready", "Printer is ready")
    assert nothing_happened(printer)
    assert count(printer, "!!") == 0
    meters = printer.request("maintain/tasks")["meters"]
    assert meters["jobs_failed"] == 0
    assert meters["jobs_cancelled"] == 1


def test_block_makes_a_streaming_host_cancel_and_raises_no_alarm(make_printer):
    """OctoPrint reacts to a line with `!!` by sending M112."""
    printer = due(make_printer(sections("block")))
    stream = os.open(printer.folder / "tty", os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(stream)
        os.write(stream, b"PRINT_START\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            assert select.select([stream], [], [], 20)[0], answer
            answer += os.read(stream, 4096)
    finally:
        os.close(stream)

    lines = answer.decode().splitlines()
    assert "// action:cancel" in lines
    assert not [line for line in lines if line.startswith("!!")]
    assert printer.state() == ("ready", "Printer is ready")
    assert nothing_happened(printer)


def test_the_gcode_of_a_task_moves_nothing_during_a_pause_or_a_macro(make_printer):
    own = sections().replace("at_print_start: confirm", "expired_gcode: G1 X99 F6000")
    macro = "[gcode_macro LONG]\ngcode:\n    G4 P60000\n"
    printer = make_printer(own + macro)
    assert printer.start() == ("ready", "Printer is ready")
    printer.gcode("G28")
    printer.gcode("PAUSE")
    printer.gcode("MAINTENANCE_COUNT NAME=cuts BY=2")
    until(lambda: printer.task("rods")["status"] == "due", "the task")
    home = printer.status("toolhead")["position"]
    printer.gcode("G4 P20000")
    printer.gcode("LONG")
    assert printer.status("toolhead")["position"] == home

    printer.gcode("RESUME")
    until(lambda: printer.status("toolhead")["position"][0] == 99, "its turn")


def test_a_flood_from_the_network_does_not_hold_the_reactor(back_end, broker):
    """20,000 commands, messages of 1 MiB, random bytes and births come in a print."""
    assert isinstance(back_end, Klippy)
    klippy = Klippy(back_end.source, speed=1, extras={**EXTRAS, "turns": TURNS})
    network = f"mqtt_host: 127.0.0.1\nmqtt_port: {broker.port}\nprinter_name: flooded\n"
    text = "[turns]\n" + sections().replace("[maintain]\n", f"[maintain]\n{network}", 1)
    printer = Printer(klippy, text)
    try:
        assert printer.start() == ("ready", "Printer is ready")
        until(lambda: printer.status("maintain")["connected"], "the broker")
        printer.gcode(parts.HEAT)
        printer.print_file(parts.rings(layers=60))
        printer.gcode("RESET_TURNS")
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        answers = flood(printer, client)
        client.disconnect()
        client.loop_stop()
        measured = printer.status("turns")
        assert printer.status("print_stats")["state"] == "printing"
        assert printer.state() == ("ready", "Printer is ready")
    finally:
        printer.close()

    assert measured["longest"] < LONGEST, measured
    # A busy machine needs some seconds. A held reactor would end in a shutdown.
    assert max(answers) < 5.0


def flood(printer, client):
    """Send all messages.

    Returns how long another client of Klippy's socket waited each time, in seconds.
    """
    base = "klipper_upkeep/flooded"
    for number in range(FLOOD):
        word = "snooze" if number % 2 else "enable"
        command = {"command": word, "transaction": f"t{number}"}
        if number % 2:
            command["for"] = 1
        client.publish(f"{base}/tasks/rods/command", json.dumps(command), qos=1)
        if number % 1000 == 0:
            client.publish(f"{base}/info", b"x" * (1 << 20))
            client.publish(f"{base}/tasks/rods/command", os.urandom(3000))
            client.publish("homeassistant/status", b"online")
            client.publish(f"{base}/availability", b"offline")
    waits = []
    for _ in range(100):
        begin = time.monotonic()
        printer.state()
        waits.append(time.monotonic() - begin)
        time.sleep(0.1)  # the pause between two questions of the other client
    return waits
