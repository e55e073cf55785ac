"""Hours of printing and jobs: as Klipper tells them, of files and of streams."""

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
    """A hot, homed virtual printer with these lines as its file, and its meters."""
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


def test_print_time_is_klippers_own(printing):
    printer, counted = printing("G4 P20000\n" + PRINT)
    printer.print_to_end("file.gcode")
    printer.advance(2)

    told = printer.status("print_stats")
    assert told["print_duration"] > 60
    assert counted["print_time"] * HOUR == pytest.approx(told["print_duration"], abs=1)
    assert counted["busy_time"] * HOUR == pytest.approx(told["total_duration"], abs=1)
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
    told = printer.status("print_stats")
    assert told["state"] == "complete"
    assert counted["print_time"] * HOUR == pytest.approx(told["print_duration"], abs=1)


def test_a_cold_print_is_busy_and_not_printing(printing):
    """Klipper's own print time of a file without filament is 0, and so is ours."""
    printer, counted = printing("G1 X100 F1200\nG1 X10\n" * 5)
    printer.print_to_end("file.gcode")
    printer.advance(2)

    assert counted["print_time"] == 0
    assert counted["busy_time"] * HOUR > 20


@pytest.mark.parametrize("paused", [False, True])
def test_a_cancelled_print_counts_what_was_printed(printing, paused):
    printer, counted = printing()
    printer.print_file("file.gcode")
    printer.advance(20)
    if paused:
        printer.gcode("PAUSE", 5)
        # At the end Klipper takes the pause for printing, which it was not.
        told = printer.status("print_stats")
    printer.gcode("CANCEL_PRINT", 5)

    end = printer.status("print_stats")
    assert end["state"] == "cancelled"
    told = told if paused else end
    assert counted["print_time"] * HOUR == pytest.approx(told["print_duration"], abs=1)
    assert jobs(counted) == {"started": 1, "cancelled": 1}


def test_a_print_that_errs_has_failed(printing):
    printer, counted = printing(PRINT + "G1 X9999\n")
    printer.print_file("file.gcode")
    printer.advance(200)

    assert printer.status("print_stats")["state"] == "error"
    assert jobs(counted) == {"started": 1, "failed": 1}


def test_a_file_put_away_in_the_middle_is_a_cancelled_print(printing):
    """Klipper zeroes everything at once: no more than a poll is lost."""
    printer, counted = printing()
    printer.print_file("file.gcode")
    printer.advance(20)
    told = printer.status("print_stats")["print_duration"]
    printer.gcode("SDCARD_RESET_FILE", 10)

    assert printer.status("print_stats")["print_duration"] == 0
    assert told <= counted["print_time"] * HOUR <= told + 10
    assert jobs(counted) == {"started": 1, "cancelled": 1}


def test_a_second_print_of_the_same_file_counts_as_much_again(printing):
    printer, counted = printing()
    told = 0.0
    for _ in range(2):
        printer.print_to_end("file.gcode")
        printer.advance(2)
        told += printer.status("print_stats")["print_duration"]

    assert counted["print_time"] * HOUR == pytest.approx(told, abs=1)
    assert jobs(counted) == {"started": 2, "completed": 2}


def test_a_shutdown_ends_the_counting_with_a_failed_job(printing):
    """After it Klipper says `paused` and its total goes on growing for ever."""
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


def test_nothing_is_printed_while_nothing_is(printing):
    printer, counted = printing()
    printer.gcode("G28\nG1 X50 F3000", 600)

    assert counted["print_time"] == counted["busy_time"] == 0
    assert jobs(counted) == {}


def test_a_print_typed_line_by_line_counts_too(printing):
    """As OctoPrint does it; and a home run of the toolhead is no print."""
    printer, counted = printing("")
    printer.gcode("G1 X200 F3000\nG1 X10", 30)
    assert counted["print_time"] == 0
    printer.gcode("M83\n" + "G1 X100 E5 F1200\nG1 X10 E5\n" * 10, 120)
    assert counted["print_time"] * HOUR == pytest.approx(91, abs=3)
    assert printer.status("print_stats")["print_duration"] == 0

    printer.gcode("M104 S0", 30)
    assert jobs(counted) == {"started": 1, "completed": 1}


# Prints that are streamed, line by line: Klipper's print_stats sees nothing of them.


class Streamed:
    """A printer whose objects say what a test wants."""

    def __init__(self):
        self.now = 100.0
        self.busy = False
        self.since = 0.0
        self.e = self.xy = 0.0
        self.target = 0.0
        self.state = "standby"
        self.print_duration = self.total_duration = 0.0
        self.position = 0.0  # of the active extruder, mm
        self.tool = SimpleNamespace(last_position=0.0)
        self.handlers = {}
        self.objects = {
            "print_stats": Said(
                lambda: {
                    "state": self.state,
                    "print_duration": self.print_duration,
                    "total_duration": self.total_duration,
                }
            ),
            "gcode_move": Said(lambda: {"position": [0.0, 0.0, 0.0, self.position]}),
            "extruder": object(),
            "toolhead": self,
            "idle_timeout": Said(
                lambda: {
                    "state": "Printing" if self.busy else "Ready",
                    "printing_time": self.now - self.since if self.busy else 0.0,
                }
            ),
            "motion_report": Said(
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
        return Said(lambda: {"target": self.target if name == "extruder" else 60.0})

    def get_reactor(self):
        return self

    def monotonic(self):
        return self.now

    def register_event_handler(self, event, handler):
        self.handlers[event] = handler

    def get_extruder(self):
        return self.tool

    def print(self, seconds, draws=0.0):
        """Let a file be printed, which draws so many mm each second."""
        for _ in range(int(seconds)):
            self.position += draws
            self.total_duration += 1.0
            self.go(1, busy=True)

    def change_tool(self, position):
        """Go on with an extruder that stands at *position*."""
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


class Said:
    def __init__(self, status):
        self.status = status

    def get_status(self, eventtime):
        return self.status()


# Files. Klipper's own print time falls to 0 at a tool change, before May 2025 and in
# Kalico, and stays 0 in a print that uses the second tool alone: ours does not.


def test_a_tool_change_is_printing_time():
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


def test_what_is_drawn_just_before_a_tool_change_begins_the_printing():
    """A look comes four times in a second: the change may come before the next."""
    printer = Streamed()
    printer.state = "printing"
    printer.print(60)
    printer.position = 20.0
    printer.change_tool(position=0.0)
    printer.print(100)

    assert printer.hours("print_time") == pytest.approx(100, abs=1)


@pytest.mark.parametrize("position", [0.0, 9000.0])
def test_a_print_that_uses_the_second_tool_alone_counts(position):
    """Where that extruder stands says nothing of what is drawn."""
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


def test_a_file_that_ends_between_two_looks_is_one_job_with_its_print_time():
    """Its last moves, which are made after that, are no stream."""
    printer = Streamed()
    printer.state = "complete"
    printer.print_duration, printer.total_duration = 0.1, 0.2
    printer.go(2, busy=True, e=3.0, xy=60.0)
    printer.target = 0.0
    printer.go(10, busy=False)

    assert printer.hours("print_time") == pytest.approx(0.1)
    assert printer.hours("busy_time") == pytest.approx(0.2)
    assert printer.total["jobs_started"] == printer.total["jobs_completed"] == 1


def test_a_printer_without_extruders_prints_whenever_a_file_runs():
    printer = Streamed()
    del printer.objects["extruder"]
    printer.printing = Printing(printer, Options())
    printer.state = "printing"
    printer.print(60)

    assert printer.hours("print_time") == pytest.approx(60, abs=1)


def test_a_streamed_print_counts_from_its_first_line():
    """As Klipper counts a file: not the heating, and all from the first extrusion."""
    printer = Streamed()
    printer.target = 200.0
    printer.go(300, busy=True)
    printer.go(600, busy=True, e=3.0, xy=60.0)
    printer.go(100, busy=True, e=0.0, xy=60.0)

    assert printer.hours("print_time") == pytest.approx(700, abs=2)
    assert printer.hours("busy_time") == pytest.approx(1000, abs=2)
    assert printer.total["jobs_started"] == 1


def test_a_streamed_print_is_done_when_the_hotend_is_off():
    printer = Streamed()
    printer.target = 200.0
    printer.go(60, busy=True, e=3.0, xy=60.0)
    printer.target = 0.0
    printer.go(60, busy=False)

    assert printer.total["jobs_completed"] == 1
    assert printer.hours("busy_time") == pytest.approx(61, abs=2)
    assert "jobs_failed" not in printer.printing.stop(printer.now)


def test_a_pause_of_a_stream_is_busy_and_not_printing():
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
def test_moving_loading_and_wiping_is_no_print(e, xy):
    printer = Streamed()
    printer.target = 200.0
    printer.go(600, busy=True, e=e, xy=xy)

    assert printer.total == {}


def test_while_a_file_is_paused_nothing_is_taken_for_a_stream():
    printer = Streamed()
    printer.state = "paused"
    printer.go(600, busy=True, e=3.0, xy=60.0)

    assert printer.total == {"jobs_started": 1}


def test_the_last_moves_of_a_file_are_no_stream():
    """Klipper says `complete` when the last line is read: a second of moves is left."""
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
