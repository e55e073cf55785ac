"""Printing: the filament, the ways and the time of a file."""

from pathlib import Path

import pytest

from tests.fakes import GEAR

SLICER_FILAMENT = 2053.05  # mm, at the end of gear.gcode


class Odometer:
    """Adds up the queues of motion, once a second."""

    def __init__(self, printer):
        self._printer = printer
        self._queues = printer.lookup("motion_report").dtrapqs
        self._mcu = printer.lookup("mcu")
        self._now = self._read_until = self._mcu.estimated_print_time(
            printer.clock.monotonic()
        )
        self.filament = self.extruded = self.way = 0.0
        self.axes = [0.0, 0.0, 0.0]
        printer.reactor.register_timer(self._tick, printer.reactor.NOW)

    def _tick(self, eventtime):
        begin, end = self._read_until, self._mcu.estimated_print_time(eventtime)
        self._read_until = end
        for move in self._queues["toolhead"].extract_trapq(begin, end)[0]:
            distance = clipped(move, begin, end)
            self.way += abs(distance)
            for axis, ratio in enumerate((move.x_r, move.y_r, move.z_r)):
                self.axes[axis] += abs(distance * ratio)
        for move in self._queues["extruder"].extract_trapq(begin, end)[0]:
            distance = clipped(move, begin, end) * move.x_r
            self.filament += distance
            self.extruded += abs(distance)
        return eventtime + 1.0


def clipped(move, begin, end):
    """Return how far *move* goes between two print times."""
    until = min(max(end - move.print_time, 0.0), move.move_t)
    since = min(max(begin - move.print_time, 0.0), move.move_t)
    return sum(
        sign * (move.start_v + 0.5 * move.accel * t) * t
        for sign, t in ((1, until), (-1, since))
    )


@pytest.fixture
def printing(start, tmp_path):
    """Home a printer, heat it, and give it its own file to print."""

    def printing(text, config=""):
        printer = start(config + f"[virtual_sdcard]\npath: {tmp_path}\n")
        (tmp_path / "file.gcode").write_text(text)
        printer.gcode("G28\nM109 S200", 90)
        return printer

    return printing


def test_a_shutdown_during_a_print_looks_like_a_pause(printing):
    """The state is `paused`, and the total goes on growing.

    No extra should trust it.
    """
    printer = printing("M83\n" + "G1 X100 E1 F3000\nG1 X0 E1\n" * 50)
    odometer = Odometer(printer)
    printer.print_file("file.gcode")
    printer.advance(20)
    printer.emergency_stop()
    printer.advance(1)
    filament = odometer.filament
    stats = printer.lookup("print_stats").get_status(printer.clock.monotonic())
    printer.advance(60)
    later = printer.lookup("print_stats").get_status(printer.clock.monotonic())

    assert stats["state"] == later["state"] == "paused"
    assert later["total_duration"] == pytest.approx(stats["total_duration"] + 60.0)
    assert odometer.filament == filament  # the queued moves were never made


def test_the_history_has_half_a_minute_of_motion(printing):
    """Older moves are dropped, so an extra that reads too seldom misses some."""
    printer = printing("M83\n" + "G1 X100 F3000\nG1 X0\n" * 40)
    printer.print_file("file.gcode")
    printer.advance(60)
    queue = printer.lookup("motion_report").dtrapqs["toolhead"]
    now = printer.lookup("mcu").estimated_print_time(printer.clock.monotonic())
    oldest = queue.extract_trapq(0.0, now)[0][0]

    assert now - 40.0 < oldest.print_time < now - 29.0


def test_the_gear_of_the_demo_is_a_file_of_a_slicer():
    """Its figures were made by PrusaSlicer, not by a program of this project."""
    text = Path(GEAR).read_text()

    assert f"; filament used [mm] = {SLICER_FILAMENT}" in text
    assert "; estimated printing time (normal mode) = 27m 13s" in text
