"""Meters against the steps that a board really made, with every kinematics."""

from __future__ import annotations

import sys

import pytest

from demo.klippy import GCodeError
from tests.system.klippy import Printer, until
from tests.system.machines import (
    EXTRUDER,
    LIMITS,
    MACHINES,
    PROBE,
    PROBED_Z,
    RAIL_Z,
    SAFE,
    X,
    Y,
    base,
    extruder,
    stepper,
)

pytestmark = [pytest.mark.system, pytest.mark.klipper]


def tasks(meters):
    """Return a task for each meter."""
    return "[maintain]\n" + "".join(
        f"[maintain {meter}]\ntrigger: {meter}\nthreshold: 1000\n" for meter in meters
    )


def readings(printer, meters):
    """Return each meter in mm, seconds or times, after all steps are made."""
    names = list(meters)
    scales = [
        {"m": 1000, "h": 3600}.get(printer.task(name)["unit"], 1) for name in names
    ]
    last = None
    for _ in range(20):  # Klippy ends before its board.
        printer.gcode("M400\nG4 P1000")
        used = printer.used(*names)
        counted = {n: u * s for n, u, s in zip(names, used, scales, strict=True)}
        if counted == last:
            break
        last = counted
    return counted


def close_to(printer, stepper):
    """Accept one step, or 0.1 % of the way, as the difference."""
    state = printer.board()["steppers"][stepper]
    made = (state["forward"] + state["back"]) * state["step_distance"]
    return pytest.approx(made, rel=1e-3, abs=1.01 * state["step_distance"])


@pytest.fixture
def made(back_end):
    """Return a function that makes printers from a machine and its tasks."""
    printers = []

    def make(machine, meters):
        printer = Printer(back_end, tasks(meters), machine)
        printers.append(printer)
        assert printer.start() == ("ready", "Printer is ready")
        return printer

    yield make
    for printer in printers:
        sys.stdout.write(printer.log()[-6000:])
        printer.close()


@pytest.mark.parametrize("name", MACHINES)
def test_travel_is_what_the_steppers_really_moved(made, name):
    """It includes homing, probing and moves, from the first step after power on."""
    machine = MACHINES[name]
    meters = sorted({m for key in machine.meters for m in key.split("+")})
    printer = made(machine.config + EXTRUDER, [*meters, "extruded"])

    printer.gcode("G28")
    printer.gcode(machine.moves)
    printer.gcode("G28")

    counted = readings(printer, [*meters, "extruded"])
    for key, motor in machine.meters.items():
        if any(printer.task(meter).get("problem") for meter in key.split("+")):
            continue  # This Klippy has another name for it, which is also in the table.
        total = sum(counted[meter] for meter in key.split("+"))
        assert total == close_to(printer, motor), (key, counted)
    assert counted["extruded"] == close_to(printer, "extruder")


CARTESIAN = base("cartesian", *LIMITS) + X + Y + RAIL_Z
TWO = (
    CARTESIAN
    + EXTRUDER
    + extruder("extruder1", 40, 1)
    + (
        "[gcode_macro T0]\ngcode:\n  ACTIVATE_EXTRUDER EXTRUDER=extruder\n"
        "[gcode_macro T1]\ngcode:\n  ACTIVATE_EXTRUDER EXTRUDER=extruder1\n"
    )
)


def test_each_extruder_counts_its_own_filament_with_tool_changes(made):
    meters = ["filament", "filament_extruder", "filament_extruder1", "print_time"]
    printer = made(TWO, meters)
    text = "".join(
        f"T{n % 2}\nM83\nG92 E0\n" + "".join(
            f"G1 X{20 + 60 * (m % 2)} E2 F1200\n" for m in range(8)
        )
        for n in range(4)
    )  # fmt: skip

    printer.gcode("G28")
    printer.print_file(text)
    job = printer.finish_printing()

    counted = readings(printer, meters)
    assert job["state"] == "complete"
    assert counted["filament_extruder"] == close_to(printer, "extruder")
    assert counted["filament_extruder1"] == close_to(printer, "extruder1")
    assert counted["filament"] == pytest.approx(64, rel=1e-3)
    # Printing begins at the first extrusion, and tool changes are printing time.
    assert counted["print_time"] == pytest.approx(job["total_duration"], abs=3)


def test_a_print_that_uses_only_the_second_tool_is_counted(made):
    meters = ["print_time", "filament"]
    printer = made(TWO, meters)
    text = "T1\nM83\n" + "".join(
        f"G1 X{20 + 60 * (m % 2)} E2 F1200\n" for m in range(20)
    )

    printer.gcode("G28")
    printer.print_file(text)
    job = printer.finish_printing()

    counted = readings(printer, meters)
    assert counted["print_time"] == pytest.approx(job["total_duration"], abs=3)
    assert counted["print_time"] > 50
    assert counted["filament"] == close_to(printer, "extruder1")


def test_an_extruder_stepper_and_a_manual_stepper_count_their_own_steps(made):
    machine = CARTESIAN + EXTRUDER
    machine += stepper("extruder_stepper belt", 40, "extruder: extruder", distance=22)
    machine += stepper(
        "manual_stepper wiper", 44, "velocity: 10", "accel: 100",
        "endstop_pin: ^gpio50", distance=8,
    )  # fmt: skip
    meters = ["travel_wiper", "extruded"]
    printer = made(machine, meters)

    printer.gcode("MANUAL_STEPPER STEPPER=wiper SET_POSITION=0 ENABLE=1")
    # The endstop is 20 mm away, and the move goes up to 300 mm.
    printer.gcode("MANUAL_STEPPER STEPPER=wiper MOVE=-300 STOP_ON_ENDSTOP=1")
    printer.gcode("MANUAL_STEPPER STEPPER=wiper SET_POSITION=0\nG4 P2000")
    printer.gcode("MANUAL_STEPPER STEPPER=wiper MOVE=7 SYNC=1")
    printer.gcode("M83\nG1 E20 F600\nM400")

    steppers = printer.board()["steppers"]
    assert steppers["manual_stepper wiper"]["back"] * 0.0025 == pytest.approx(20)
    counted = readings(printer, meters)
    assert counted["travel_wiper"] == close_to(printer, "manual_stepper wiper")
    assert counted["extruded"] == close_to(printer, "extruder_stepper belt")


def test_probing_is_counted_exact_to_the_step(made):
    machine = base("cartesian", *LIMITS) + X + Y + PROBED_Z + PROBE + SAFE + EXTRUDER
    printer = made(machine, ["travel_z", "probes", "homings"])

    printer.gcode("G28")
    printer.gcode("G1 Z10 F600\nPROBE\nG1 Z10\nPROBE_ACCURACY SAMPLES=3\nG1 Z10")

    counted = readings(printer, ["travel_z", "probes", "homings"])
    assert counted["travel_z"] == close_to(printer, "stepper_z")
    assert counted["probes"] == 2 + 1 + 3  # Homing touches twice.
    assert counted["homings"] == 3


def test_setting_a_position_is_no_travel(made):
    """FORCE_MOVE turns a motor and moves no axis.

    SET_KINEMATIC_POSITION moves nothing.
    """
    machine = CARTESIAN + EXTRUDER + "[force_move]\nenable_force_move: True\n"
    printer = made(machine, ["travel_x", "travel_y"])
    printer.gcode("G28\nG1 X50 Y50 F6000\nM400")
    before = readings(printer, ["travel_x", "travel_y"])

    printer.gcode("SET_KINEMATIC_POSITION X=150 Y=20 Z=5")
    printer.gcode("G1 X140 F6000\nM400")
    after = readings(printer, ["travel_x", "travel_y"])

    assert after["travel_x"] - before["travel_x"] == pytest.approx(10, abs=0.02)
    assert after["travel_y"] == pytest.approx(before["travel_y"], abs=0.02)
    printer.gcode("FORCE_MOVE STEPPER=stepper_y DISTANCE=15 VELOCITY=20\nM400")
    y = readings(printer, ["travel_y"])["travel_y"]
    assert y in (
        pytest.approx(before["travel_y"], abs=0.02),
        pytest.approx(before["travel_y"] + 15, abs=0.02),
    )


JOB = CARTESIAN + EXTRUDER + (
    "[pause_resume]\n[display_status]\n[respond]\n[exclude_object]\n"
    "[gcode_macro M600]\ngcode:\n  PAUSE\n"
)  # fmt: skip
METERS = ["print_time", "filament", "travel_x", "jobs_started", "jobs_completed"]


def lines(count, first=""):
    """Return *count* lines of 60 mm and 2 mm of filament. Each takes about a second."""
    return (
        "G90\nM83\nG1 X20 F6000\n"
        + first
        + "".join(f"G1 X{20 + 60 * (m % 2 == 0)} E2 F3600\n" for m in range(count))
    )


def test_a_filament_change_is_no_printing_time(made):
    printer = made(JOB, METERS)
    printer.gcode("G28")

    printer.print_file(lines(20) + "M600\n" + lines(20))
    until(lambda: printer.status("print_stats")["state"] == "paused", "the pause")
    printer.gcode("G4 P60000")
    printer.gcode("RESUME")
    job = printer.finish_printing()

    counted = readings(printer, METERS)
    assert counted["print_time"] == pytest.approx(job["print_duration"], abs=1)
    assert counted["filament"] == close_to(printer, "extruder")
    assert counted["travel_x"] == close_to(printer, "stepper_x")
    assert (counted["jobs_started"], counted["jobs_completed"]) == (1, 1)


def test_a_file_that_is_reset_during_the_print_keeps_its_count(made):
    printer = made(JOB, METERS)
    printer.gcode("G28")

    printer.print_file(lines(200))
    until(lambda: printer.status("print_stats")["filament_used"] > 40, "some lines")
    printer.gcode("PAUSE")
    printed = printer.status("print_stats")["print_duration"]
    printer.gcode("SDCARD_RESET_FILE")

    counted = readings(printer, METERS)
    assert counted["print_time"] == pytest.approx(printed, abs=1)
    assert counted["filament"] == close_to(printer, "extruder")


def test_an_excluded_object_is_not_counted(made):
    printer = made(JOB, METERS)
    printer.gcode("G28")
    text = "EXCLUDE_OBJECT_DEFINE NAME=A\nEXCLUDE_OBJECT_DEFINE NAME=B\nM83\n"
    for name in "AB":
        text += f"EXCLUDE_OBJECT_START NAME={name}\n{lines(10)}EXCLUDE_OBJECT_END\n"

    printer.print_file(text.replace("M83\n", "M83\nEXCLUDE_OBJECT NAME=A\n", 1))
    printer.finish_printing()

    counted = readings(printer, METERS)
    assert counted["filament"] == close_to(printer, "extruder")
    assert counted["travel_x"] == close_to(printer, "stepper_x")
    assert counted["filament"] < 35


def test_a_print_streamed_over_the_terminal_is_counted(made):
    """OctoPrint sends lines over the pty, each after the `ok` of the last one."""
    printer = made(JOB, ["filament", "travel_x"])
    with (printer.folder / "tty").open("r+b", buffering=0) as terminal:
        for line in ("G28\n" + lines(20) + "M400\n").splitlines():
            terminal.write(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"ok\n"):
                answer += terminal.read(1)

    counted = readings(printer, ["filament", "travel_x"])
    assert counted["filament"] == close_to(printer, "extruder")
    assert counted["travel_x"] == close_to(printer, "stepper_x")


def test_a_move_that_is_refused_because_nothing_is_homed_counts_nothing(made):
    printer = made(JOB, ["travel_x"])
    with pytest.raises(GCodeError, match="home axis"):
        printer.gcode("G1 X10 F600")

    assert readings(printer, ["travel_x"])["travel_x"] == 0
