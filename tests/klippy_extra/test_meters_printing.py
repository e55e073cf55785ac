"""Hours of printing and jobs, for printed files and for streamed prints."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from klippy_extra.meters.base import Options
from klippy_extra.meters.printing import Printing
from tests.fakes import VirtualPrinter
from tests.fakes.meters import Counted

HOUR = 3600.0
PRINT = "M83\n" + "G1 X100 E5 F1200\nG1 X10 E5\n" * 10


@pytest.fixture
def printing(tmp_path, dialect):
    """Return a function that starts a hot, homed virtual printer and its meters.

    The lines are its file.
    """
    printers = []

    def start(text=PRINT):
        (tmp_path / "file.gcode").write_text(text)
        config = f"[virtual_sdcard]\npath: {tmp_path}\n"
        printer = VirtualPrinter(config, tmp_path, extras={})
        printers.append(printer)
        printer.gcode("G28\nM109 S200", 90)
        return printer, Counted(printer)

    yield start
    for printer in printers:
        printer.close()


def jobs(counted):
    return {
        name.partition("_")[2]: reading
        for name, reading in counted.readings.items()
        if name.startswith("jobs_") and reading
    }


def test_the_print_time_equals_klippers_own(printing):
    printer, counted = printing("G4 P20000\n" + PRINT)
    printer.print_to_end("file.gcode")
    printer.advance(2)

    stats = printer.status("print_stats")
    assert stats["print_duration"] > 60
    assert counted["print_time"] * HOUR == pytest.approx(stats["print_duration"], abs=1)
    assert counted["busy_time"] * HOUR == pytest.approx(stats["total_duration"], abs=1)
    assert jobs(counted) == {"started": 1, "completed": 1}


def test_a_pause_is_busy_and_not_printing(printing):
    printer, counted = printing()
    printer.print_file("file.gcode")
    printer.advance(20)
    printer.gcode("PAUSE", 30)
    before = dict(counted.readings)
    printer.advance(360)

    assert counted["print_time"] == before["print_time"]
    assert counted["busy_time"] - before["busy_time"] == pytest.approx(0.1, rel=1e-2)

    printer.gcode("RESUME")
    printer.advance(200)
    stats = printer.status("print_stats")
    assert stats["state"] == "complete"
    assert counted["print_time"] * HOUR == pytest.approx(stats["print_duration"], abs=1)


def test_a_cold_print_is_busy_and_not_printing(printing):
    """Klipper's own print time of a file without filament is 0, and so is ours."""
    printer, counted = printing("G1 X100 F1200\nG1 X10\n" * 5)
    printer.print_to_end("file.gcode")
    printer.advance(2)

    assert counted["print_time"] == 0
    assert counted["busy_time"] * HOUR > 20


@pytest.mark.parametrize("paused", [False, True])
def test_a_cancelled_print_counts_what_it_printed(printing, paused):
    printer, counted = printing()
    printer.print_file("file.gcode")
    printer.advance(20)
    if paused:
        printer.gcode("PAUSE", 5)
        # At the end Klipper counts the pause as printing, which is wrong.
        stats = printer.status("print_stats")
    printer.gcode("CANCEL_PRINT", 5)

    end = printer.status("print_stats")
    assert end["state"] == "cancelled"
    stats = stats if paused else end
    assert counted["print_time"] * HOUR == pytest.approx(stats["print_duration"], abs=1)
    assert jobs(counted) == {"started": 1, "cancelled": 1}


def test_a_print_that_ends_with_an_error_is_a_failed_job(printing):
    printer, counted = printing(PRINT + "G1 X9999\n")
    printer.print_file("file.gcode")
    printer.advance(200)

    assert printer.status("print_stats")["state"] == "error"
    assert jobs(counted) == {"started": 1, "failed": 1}


def test_a_file_that_is_closed_during_the_print_is_a_cancelled_job(printing):
    """Klipper sets everything to 0 at once, so at most the time of one poll is lost."""
    printer, counted = printing()
    printer.print_file("file.gcode")
    printer.advance(20)
    duration = printer.status("print_stats")["print_duration"]
    printer.gcode("SDCARD_RESET_FILE", 10)

    assert printer.status("print_stats")["print_duration"] == 0
    assert duration <= counted["print_time"] * HOUR <= duration + 10
    assert jobs(counted) == {"started": 1, "cancelled": 1}


def test_a_second_print_of_the_same_file_counts_again(printing):
    printer, counted = printing()
    duration = 0.0
    for _ in range(2):
        printer.print_to_end("file.gcode")
        printer.advance(2)
        duration += printer.status("print_stats")["print_duration"]

    assert counted["print_time"] * HOUR == pytest.approx(duration, abs=1)
    assert jobs(counted) == {"started": 2, "completed": 2}


def test_a_shutdown_ends_the_counting_with_a_failed_job(printing):
    """After a shutdown Klipper's state is `paused`, and its total grows for ever."""
    printer, counted = printing()
    printer.print_file("file.gcode")
    printer.advance(20)
    printer.emergency_stop()
    at_stop = dict(counted.readings)
    printer.advance(3600)

    assert counted["print_time"] * HOUR == pytest.approx(20, abs=3)
    assert counted["print_time"] == at_stop["print_time"]
    assert counted["busy_time"] == at_stop["busy_time"]
    assert jobs(counted) == {"started": 1, "failed": 1}


def test_nothing_counts_while_no_print_runs(printing):
    printer, counted = printing()
    printer.gcode("G28\nG1 X50 F3000", 600)

    assert counted["print_time"] == counted["busy_time"] == 0
    assert jobs(counted) == {}


def test_a_print_that_is_typed_line_by_line_counts_too(printing):
    """OctoPrint prints in this way. Homing the toolhead is no print."""
    printer, counted = printing("")
    printer.gcode("G1 X200 F3000\nG1 X10", 30)
    assert counted["print_time"] == 0
    printer.gcode("M83\n" + "G1 X100 E5 F1200\nG1 X10 E5\n" * 10, 120)
    assert counted["print_time"] * HOUR == pytest.approx(91, abs=3)
    assert printer.status("print_stats")["print_duration"] == 0

    printer.gcode("M104 S0", 30)
    assert jobs(counted) == {"started": 1, "completed": 1}


# Prints that are streamed line by line. Klipper's print_stats does not see them.


class Streamed:
    """A printer whose objects have the values that a test sets."""

    def __init__(self):
        self.now = 100.0
        self.busy = False
        self.since = 0.0
        self.e = self.xy = 0.0
        self.target = 0.0
        self.state = "standby"
        self.print_duration = self.total_duration = 0.0
        self.position = 0.0  # position of the active extruder, mm
        self.tool = SimpleNamespace(last_position=0.0)
        self.handlers = {}
        self.objects = {
            "print_stats": StatusObject(
                lambda: {
                    "state": self.state,
                    "print_duration": self.print_duration,
                    "total_duration": self.total_duration,
                }
            ),
            "gcode_move": StatusObject(
                lambda: {"position": [0.0, 0.0, 0.0, self.position]}
            ),
            "extruder": object(),
            "toolhead": self,
            "idle_timeout": StatusObject(
                lambda: {
                    "state": "Printing" if self.busy else "Ready",
                    "printing_time": self.now - self.since if self.busy else 0.0,
                }
            ),
            "motion_report": StatusObject(
                lambda: {"live_extruder_velocity": self.e, "live_velocity": self.xy}
            ),
            "heaters": self,
        }
        self.printing = Printing(self, Options())
        self.total = {}

    def lookup_object(self, name, default=None):
        return self.objects.get(name, default)

    def get_all_heaters(self):
        return ["heater_bed", "extruder"]

    def lookup_heater(self, name):
        return StatusObject(
            lambda: {"target": self.target if name == "extruder" else 60.0}
        )

    def get_reactor(self):
        return self

    def monotonic(self):
        return self.now

    def register_event_handler(self, event, handler):
        self.handlers[event] = handler

    def get_extruder(self):
        return self.tool

    def print(self, seconds, draws=0.0):
        """Print a file for some seconds, which extrudes *draws* mm each second."""
        for _ in range(int(seconds)):
            self.position += draws
            self.total_duration += 1.0
            self.go(1, busy=True)

    def change_tool(self, position):
        """Continue with an extruder that stands at *position*."""
        self.tool.last_position = self.position
        self.position = position
        self.tool = SimpleNamespace(last_position=position)
        self.handlers["extruder:activate_extruder"]()

    def go(self, seconds, busy, e=0.0, xy=0.0):
        if busy and not self.busy:
            self.since = self.now
        self.busy, self.e, self.xy = busy, e, xy
        for _ in range(int(seconds)):
            self.now += 1.0
            for name, added in self.printing.poll(self.now).items():
                self.total[name] = self.total.get(name, 0.0) + added

    def hours(self, name):
        return self.total.get(name, 0.0) * HOUR


class StatusObject:
    def __init__(self, status):
        self.status = status

    def get_status(self, eventtime):
        return self.status()


# Files. Before May 2025, and in Kalico, Klipper's own print time falls to 0 at a tool
# change, and stays 0 in a print that uses only the second tool. Ours does not.


def test_the_time_of_a_tool_change_is_printing_time():
    printer = Streamed()
    printer.state = "printing"
    printer.print(60)
    printer.print(600, draws=2.0)
    printer.change_tool(position=0.0)
    printer.print(30)
    printer.print(600, draws=2.0)
    printer.state = "complete"
    printer.go(5, busy=False)

    assert printer.hours("print_time") == pytest.approx(1230, abs=1)
    assert printer.hours("busy_time") == pytest.approx(1290, abs=1)


def test_an_extrusion_just_before_a_tool_change_begins_the_printing():
    """The meter is read four times a second.

    The change may come before the next reading.
    """
    printer = Streamed()
    printer.state = "printing"
    printer.print(60)
    printer.position = 20.0
    printer.change_tool(position=0.0)
    printer.print(100)

    assert printer.hours("print_time") == pytest.approx(100, abs=1)


@pytest.mark.parametrize("position", [0.0, 9000.0])
def test_a_print_that_uses_only_the_second_tool_counts(position):
    """The position of that extruder tells nothing about what is extruded."""
    printer = Streamed()
    printer.position = 5000.0
    printer.go(1, busy=False)
    printer.state = "printing"
    printer.print(10)
    printer.change_tool(position)
    printer.print(60)
    printer.print(600, draws=2.0)

    assert printer.hours("print_time") == pytest.approx(600, abs=1)


def test_the_time_before_the_first_extrusion_and_that_of_a_pause_are_not_printing():
    printer = Streamed()
    printer.state = "printing"
    printer.print(120)
    printer.print(60, draws=2.0)
    printer.state = "paused"
    printer.print(300)
    printer.state = "printing"
    printer.print(60, draws=2.0)

    assert printer.hours("print_time") == pytest.approx(120, abs=2)
    assert printer.hours("busy_time") == pytest.approx(540, abs=2)


def test_a_file_that_ends_between_two_polls_is_one_job_with_its_print_time():
    """Its last moves come after its end, and are no streamed print."""
    printer = Streamed()
    printer.state = "complete"
    printer.print_duration, printer.total_duration = 0.1, 0.2
    printer.go(2, busy=True, e=3.0, xy=60.0)
    printer.target = 0.0
    printer.go(10, busy=False)

    assert printer.hours("print_time") == pytest.approx(0.1)
    assert printer.hours("busy_time") == pytest.approx(0.2)
    assert printer.total["jobs_started"] == printer.total["jobs_completed"] == 1


def test_a_printer_without_extruders_prints_while_a_file_runs():
    printer = Streamed()
    del printer.objects["extruder"]
    printer.printing = Printing(printer, Options())
    printer.state = "printing"
    printer.print(60)

    assert printer.hours("print_time") == pytest.approx(60, abs=1)


def test_a_streamed_print_counts_from_its_first_extrusion():
    """Klipper counts a file in the same way: without the time of heating."""
    printer = Streamed()
    printer.target = 200.0
    printer.go(300, busy=True)
    printer.go(600, busy=True, e=3.0, xy=60.0)
    printer.go(100, busy=True, e=0.0, xy=60.0)

    assert printer.hours("print_time") == pytest.approx(700, abs=2)
    assert printer.hours("busy_time") == pytest.approx(1000, abs=2)
    assert printer.total["jobs_started"] == 1


def test_a_streamed_print_is_completed_when_the_hotend_is_off():
    printer = Streamed()
    printer.target = 200.0
    printer.go(60, busy=True, e=3.0, xy=60.0)
    printer.target = 0.0
    printer.go(60, busy=False)

    assert printer.total["jobs_completed"] == 1
    assert printer.hours("busy_time") == pytest.approx(61, abs=2)
    assert "jobs_failed" not in printer.printing.stop(printer.now)


def test_a_pause_of_a_streamed_print_is_busy_and_not_printing():
    printer = Streamed()
    printer.target = 200.0
    printer.go(60, busy=True, e=3.0, xy=60.0)
    printer.go(600, busy=False)
    printer.go(60, busy=True, e=3.0, xy=60.0)

    assert printer.hours("print_time") == pytest.approx(120, abs=3)
    assert printer.hours("busy_time") == pytest.approx(720, abs=3)
    assert printer.total["jobs_started"] == 1
    assert printer.printing.stop(printer.now)["jobs_failed"] == 1


@pytest.mark.parametrize(("e", "xy"), [(0.0, 100.0), (5.0, 0.0), (-5.0, 100.0)])
def test_moving_loading_and_wiping_are_no_print(e, xy):
    printer = Streamed()
    printer.target = 200.0
    printer.go(600, busy=True, e=e, xy=xy)

    assert printer.total == {}


def test_nothing_is_counted_as_a_streamed_print_while_a_file_is_paused():
    printer = Streamed()
    printer.state = "paused"
    printer.go(600, busy=True, e=3.0, xy=60.0)

    assert printer.total == {"jobs_started": 1}


def test_the_last_moves_of_a_file_are_no_streamed_print():
    """Klipper's state is `complete` after the last line: a second of moves is left."""
    printer = Streamed()
    printer.state = "printing"
    printer.go(60, busy=True, e=3.0, xy=60.0)
    printer.state = "complete"
    printer.go(2, busy=True, e=3.0, xy=60.0)
    printer.go(10, busy=False)
    assert printer.hours("print_time") == 0
    assert printer.total["jobs_started"] == 1

    printer.go(60, busy=True, e=3.0, xy=60.0)
    assert printer.hours("print_time") == pytest.approx(60, abs=2)


def test_a_klippy_without_any_of_these_objects_counts_nothing():
    printer = Streamed()
    printer.objects.clear()
    printing = Printing(printer, Options())

    assert printing.poll(printer.now + 1) == {}
