"""What a print adds to the meters, compared with Klipper's own figures and the file."""

from __future__ import annotations

import os
import signal
import time

import pytest

from demo.klippy import ROOT
from tests.system import parts
from tests.system.klippy import STEP_DISTANCE, until

pytestmark = pytest.mark.system

METERS = (
    "print_time",
    "busy_time",
    "filament",
    "extruded",
    "travel_x",
    "travel_y",
    "travel_z",
    "homings",
    "probes",
    "jobs_started",
    "jobs_completed",
)
SECTIONS = "[maintain]\n" + "".join(
    f"[maintain {meter}]\ntrigger: {meter}\nthreshold: 1000\n" for meter in METERS
)


def readings(printer):
    """Return every meter, in hours, metres or times."""
    return dict(zip(METERS, printer.used(*METERS), strict=True))


def counted(before, after):
    return {meter: after[meter] - before[meter] for meter in METERS}


def moved(first, last):
    """Return how far each stepper went between two states of the board, in mm."""
    return {
        name: (
            last[name].forward
            - first[name].forward
            + last[name].back
            - first[name].back
        )
        * distance
        for name, distance in STEP_DISTANCE.items()
    }


@pytest.fixture
def printer(make_printer):
    """A printer that is ready to print: hot, homed and at its origin."""
    printer = make_printer(SECTIONS)
    assert printer.start() == ("ready", "Printer is ready")
    printer.gcode(parts.HEAT)
    return printer


def test_a_print_counts_as_much_as_klipper_and_the_file_tell(printer):
    text = parts.rings()
    file = parts.path(text)
    before = readings(printer)

    printer.print_file(text)
    job = printer.finish_printing()
    print_time = counted(before, readings(printer))

    assert job["state"] == "complete"
    assert print_time["print_time"] * 3600 == pytest.approx(
        job["print_duration"], abs=1.0
    )
    assert print_time["filament"] * 1000 == pytest.approx(file.filament, rel=1e-3)
    assert print_time["extruded"] * 1000 == pytest.approx(file.pushed, rel=1e-3)
    assert print_time["travel_x"] * 1000 == pytest.approx(file.x, rel=1e-3)
    assert print_time["travel_y"] * 1000 == pytest.approx(file.y, rel=1e-3)
    assert print_time["travel_z"] * 1000 == pytest.approx(file.z, rel=1e-3)
    assert print_time["jobs_started"] == print_time["jobs_completed"] == 1


@pytest.mark.klipper
def test_the_path_of_a_file_equals_the_way_of_the_steppers(make_printer):
    """The other tests use the path that is read from the file."""
    printer = make_printer()
    printer.start()
    printer.gcode(parts.HEAT)
    first, text = printer.steps(), parts.rings()

    printer.print_file(text)
    printer.finish_printing()

    went, file = moved(first, printer.steps()), parts.path(text)
    assert went["x"] == pytest.approx(file.x, rel=1e-3)
    assert went["y"] == pytest.approx(file.y, rel=1e-3)
    assert went["z"] == pytest.approx(file.z, rel=1e-3)
    assert went["extruder"] == pytest.approx(file.pushed, rel=1e-3)


def test_filament_under_m221_is_what_was_really_pushed(printer):
    text = parts.rings(layers=2)
    before = readings(printer)

    printer.gcode("M221 S150")
    printer.print_file(text)
    printer.finish_printing()

    filament = counted(before, readings(printer))["filament"]
    assert filament * 1000 == pytest.approx(1.5 * parts.path(text).filament, rel=1e-3)


def test_a_pause_is_busy_time_and_no_print_time(printer):
    text = parts.rings(layers=2)
    before = readings(printer)

    printer.print_file(text)
    until(lambda: printer.status("print_stats")["filament_used"] > 1, "a line")
    printer.gcode("PAUSE")
    printer.gcode("G4 P20000")
    printer.gcode("RESUME")
    job = printer.finish_printing()

    hours = counted(before, readings(printer))
    assert job["total_duration"] > job["print_duration"] + 15
    assert hours["print_time"] * 3600 == pytest.approx(job["print_duration"], abs=1.0)
    assert hours["busy_time"] * 3600 == pytest.approx(job["total_duration"], abs=1.0)


def test_a_cancelled_print_counts_what_it_printed(printer):
    before = readings(printer)

    printer.print_file(parts.rings(layers=9))
    until(lambda: printer.status("print_stats")["filament_used"] > 5, "a line")
    printer.gcode("CANCEL_PRINT")
    job = printer.status("print_stats")

    hours = counted(before, readings(printer))
    assert job["state"] == "cancelled"
    assert hours["print_time"] * 3600 == pytest.approx(job["print_duration"], abs=1.0)
    assert (hours["jobs_started"], hours["jobs_completed"]) == (1, 0)


@pytest.mark.klipper
def test_homing_and_probing_are_counted_exact_to_the_step(printer):
    """The pins of the real firmware tell how far the carriages really went."""
    before, first = readings(printer), printer.steps()

    printer.gcode("G28\nG1 X50 Y60 Z7 F6000\nPROBE\nG1 Z5\nG28 X Y\nM400")

    travel, last = counted(before, readings(printer)), printer.steps()
    assert (travel["homings"], travel["probes"]) == (5, 1)
    went = moved(first, last)
    for axis in "xyz":
        assert travel[f"travel_{axis}"] * 1000 == pytest.approx(
            went[axis], abs=2.01 * STEP_DISTANCE[axis]
        )


@pytest.mark.klipper
def test_a_klippy_that_gets_no_processor_for_seconds_loses_nothing(printer):
    """The printer's clock waits for Klippy, so a busy machine delays nothing."""
    text = parts.rings(layers=9)
    before, first = readings(printer), printer.steps()

    printer.print_file(text)
    until(lambda: printer.status("print_stats")["filament_used"] > 1, "a line")
    for seconds in (3.0, 0.1, 0.1, 0.1):  # a busy machine does the same
        os.kill(printer.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(printer.pid, signal.SIGCONT)
        printer.gcode("MAINTAIN_STATUS")
    job = printer.finish_printing()

    done, went = counted(before, readings(printer)), moved(first, printer.steps())
    assert job["state"] == "complete"
    assert done["print_time"] * 3600 == pytest.approx(job["print_duration"], abs=1.0)
    assert done["extruded"] * 1000 == pytest.approx(went["extruder"], rel=1e-3)
    assert done["travel_x"] * 1000 == pytest.approx(went["x"], rel=1e-3)


# At 30 times real time this file needs a third of a processor. On a busy machine Klippy
# may get less, and would plan steps for a time that has passed.
@pytest.mark.klipper
@pytest.mark.pace(10)
def test_a_slicers_file_is_counted_to_its_end(make_printer):
    """It is 27 minutes of printing with 25 000 moves. PrusaSlicer tells 2053.05 mm."""
    text = (ROOT / "demo" / "gear.gcode").read_text()
    printer = make_printer(SECTIONS)
    printer.start()
    printer.gcode("G28")
    before = readings(printer)
    first = printer.steps()

    printer.print_file(text)
    job = printer.finish_printing()

    done = counted(before, readings(printer))
    assert done["filament"] * 1000 == pytest.approx(2053.05, rel=1e-3)
    assert done["print_time"] * 3600 == pytest.approx(job["print_duration"], abs=1.0)
    went = moved(first, printer.steps())
    assert done["extruded"] * 1000 == pytest.approx(went["extruder"], rel=1e-3)
