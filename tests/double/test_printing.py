"""Printing: what a file makes of filament, way and time."""

import math
import re
from pathlib import Path

import pytest

from tests.fakes import GEAR
from tests.fakes.klippy import motion

SLICER_FILAMENT = 2053.05  # mm, at the end of gear.gcode
SLICER_TIME = 27 * 60 + 13  # s


class Odometer:
    """Adds up what the queues of motion say, once a second."""

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
    """How far *move* goes between two print times."""
    until = min(max(end - move.print_time, 0.0), move.move_t)
    since = min(max(begin - move.print_time, 0.0), move.move_t)
    return sum(
        sign * (move.start_v + 0.5 * move.accel * t) * t
        for sign, t in ((1, until), (-1, since))
    )


def read_independently(text):
    """(way, way by axis, net filament) of absolute G-code that begins at the origin."""
    at = dict.fromkeys("XYZE", 0.0)
    way, filament, axes = 0.0, 0.0, dict.fromkeys("XYZ", 0.0)
    for line in text.splitlines():
        command, *words = line.split(";")[0].split() or [""]
        values = {word[0]: float(word[1:]) for word in words if word[0] in at}
        if command == "G92":
            at.update(values)
        if command != "G1":
            continue
        steps = {axis: value - at[axis] for axis, value in values.items()}
        at.update(values)
        filament += steps.pop("E", 0.0)
        way += math.sqrt(sum(step * step for step in steps.values()))
        for axis, step in steps.items():
            axes[axis] += abs(step)
    return way, axes, filament


@pytest.fixture
def printing(start, tmp_path):
    """Home a printer, heat it, and give it a file of its own to print."""

    def printing(text, config=""):
        printer = start(config + f"[virtual_sdcard]\npath: {tmp_path}\n")
        (tmp_path / "file.gcode").write_text(text)
        printer.gcode("G28\nM109 S200", 90)
        return printer

    return printing


def test_the_gear_takes_what_its_slicer_said(start):
    """The filament to a tenth of a percent, the time to a few of them."""
    printer = start()
    odometer = Odometer(printer)
    seconds = printer.print_to_end()
    printer.advance(5)

    assert odometer.filament == pytest.approx(SLICER_FILAMENT, rel=1e-3)
    assert seconds == pytest.approx(SLICER_TIME, rel=0.05)
    stats = printer.status("print_stats")
    assert stats["state"] == "complete"
    # A sample that loses the end, as Klipper's does.
    assert stats["filament_used"] == pytest.approx(SLICER_FILAMENT, rel=2e-3)
    assert stats["filament_used"] < odometer.filament


def test_the_gear_goes_the_way_of_its_file(printing):
    """Every axis to a tenth of a percent of an independent reading."""
    text = re.sub(r"(?m)^G28.*$", "", GEAR.read_text())
    printer = printing(text)
    odometer = Odometer(printer)
    printer.print_to_end("file.gcode")
    printer.advance(5)
    way, axes, filament = read_independently(text)

    assert odometer.way == pytest.approx(way, rel=1e-3)
    assert odometer.axes == pytest.approx(list(axes.values()), rel=1e-3)
    assert odometer.filament == pytest.approx(filament, rel=1e-3)


def test_a_long_way_takes_its_time(printing):
    """Speeding up, cruising and slowing down: 100 mm at 100 mm/s and 1000 mm/s2."""
    printer = printing("")
    printer.gcode("SET_VELOCITY_LIMIT ACCEL=1000\nG1 X100 F6000\nM400", 10)
    queue = printer.lookup("motion_report").dtrapqs["toolhead"]
    moves = queue.extract_trapq(0, 1e9)[0][-3:]

    assert [move.accel for move in moves] == [1000, 0, -1000]
    assert sum(move.move_t for move in moves) == pytest.approx(1.1, rel=1e-3)
    assert moves[1].start_v == pytest.approx(100.0)
    assert moves[0].print_time + moves[0].move_t == pytest.approx(moves[1].print_time)


def test_a_corner_is_taken_at_its_velocity():
    """A right angle costs the square corner velocity, a straight line nothing."""
    planner = motion.Planner()
    at = (0, 0, 0, 0)
    for end in [(50, 0, 0, 0), (100, 0, 0, 0), (100, 50, 0, 0)]:
        planner.add(motion.Move(at, end, 100.0, 3000.0), 5.0, 1.0)
        at = end
    moves = planner.take_all()

    assert [move.end_v for move in moves] == pytest.approx([100.0, 5.0, 0.0])
    assert sum(move.distance for move in moves) == 150.0


def test_retraction_is_negative_and_net_of_itself(printing):
    """What is pulled back and pushed again is no filament, though it is wear."""
    printer = printing("G92 E0\nG1 E5 F300\nG1 E-3 F2400\nG1 E5 F2400\nG92 E0\nG1 E1\n")
    odometer = Odometer(printer)
    printer.print_to_end("file.gcode")
    printer.advance(5)

    assert odometer.filament == pytest.approx(6.0, abs=1e-6)
    assert odometer.extruded == pytest.approx(22.0, abs=1e-6)


@pytest.mark.parametrize(
    ("mode", "script"),
    [
        ("absolute", "M82\nG92 E0\nG1 X10 E1\nG1 X20 E2\n"),
        ("relative", "M83\nG1 X10 E1\nG1 X20 E1\n"),
        ("relative, all axes", "G91\nG1 X10 E1\nG1 X10 E1\nG90\n"),
    ],
)
def test_extrusion_is_absolute_or_relative(printing, mode, script):
    """The same two millimetres, and the same way."""
    printer = printing(f"G1 F3000\n{script}")
    odometer = Odometer(printer)
    printer.print_to_end("file.gcode")
    printer.advance(5)

    assert odometer.filament == pytest.approx(2.0, abs=1e-6)
    assert odometer.axes[0] == pytest.approx(20.0, abs=0.1)  # homing ends near zero


def test_an_extrude_factor_moves_more_and_is_not_told(printing):
    """M221 S200 pushes twice; print_stats divides by the factor again."""
    printer = printing("M83\nM221 S200\nG1 X100 E10 F1200\nG4 P2000\nM400\n")
    odometer = Odometer(printer)
    printer.print_file("file.gcode")
    printer.advance_until(
        lambda: printer.status("print_stats")["state"] == "complete", 60, step=0.25
    )
    printer.advance(5)

    assert odometer.filament == pytest.approx(20.0, abs=1e-6)
    assert printer.status("print_stats")["filament_used"] == pytest.approx(10.0)


def test_a_speed_factor_makes_it_faster(printing):
    """M220 S200 halves the time and changes no way."""
    text = "".join(f"G1 X{100 * (i % 2)} F3000\n" for i in range(20)) + "M400\n"
    printer = printing(text)
    slow = printer.print_to_end("file.gcode", step=0.1)
    printer.gcode("M220 S200")
    fast = printer.print_to_end("file.gcode", step=0.1)

    assert fast == pytest.approx(slow / 2, rel=0.1)


def test_a_cold_extruder_refuses(start):
    """The file ends with an error, and the printer goes on."""
    printer = start()
    printer.gcode("G28", 30)
    said = printer.gcode("M83\nG1 E1 F300", 1)

    assert said == ["!! extruder is too cold to extrude: see min_extrude_temp"]


def test_print_duration_begins_with_filament(printing):
    """What comes before the first extrusion is not printing, nor is a pause."""
    printer = printing("G4 P20000\nM83\nG1 X200 E20 F600\nG4 P1000\n")
    printer.print_file("file.gcode")
    printer.advance(15)
    before = printer.status("print_stats")
    assert (before["state"], before["print_duration"]) == ("printing", 0.0)

    printer.advance(15)
    printer.gcode("PAUSE", 60)
    paused = printer.status("print_stats")
    assert paused["state"] == "paused"
    printer.advance(60)
    later = printer.status("print_stats")
    assert later["print_duration"] == paused["print_duration"]
    assert later["total_duration"] == pytest.approx(paused["total_duration"] + 60.0)


def test_a_print_goes_on_after_a_pause(printing):
    """RESUME prints the rest, and nothing twice."""
    lines = [f"G1 X{i % 2 * 100} E1 F3000" for i in range(40)]
    printer = printing("M83\n" + "\n".join(lines) + "\n")
    odometer = Odometer(printer)
    printer.print_file("file.gcode")
    printer.advance(20)
    printer.gcode("PAUSE", 30)
    assert printer.status("print_stats")["state"] == "paused"
    assert 0.0 < odometer.filament < 40.0

    printer.gcode("RESUME")
    printer.advance_until(
        lambda: printer.status("print_stats")["state"] == "complete", 120
    )
    printer.advance(5)

    assert odometer.filament == pytest.approx(40.0, abs=1e-6)


@pytest.mark.parametrize("paused", [False, True])
def test_a_print_is_cancelled(printing, paused):
    """While it runs or pauses; what was told of it stays until the next file."""
    printer = printing("M83\n" + "G1 X100 E1 F3000\nG1 X0 E1\n" * 50)
    printer.print_file("file.gcode")
    printer.advance(20)
    if paused:
        printer.gcode("PAUSE", 5)
    printer.gcode("CANCEL_PRINT", 5)

    stats = printer.status("print_stats")
    assert stats["state"] == "cancelled"
    assert stats["filament_used"] > 0.0
    assert not printer.status("virtual_sdcard")["is_active"]


def test_a_file_that_is_put_away_is_forgotten(printing):
    """SDCARD_RESET_FILE zeroes all, and says so with an event."""
    printer = printing("M83\n" + "G1 X100 E1 F3000\nG1 X0 E1\n" * 50)
    events = []
    printer.printer.register_event_handler(
        "virtual_sdcard:reset_file", lambda: events.append("reset")
    )
    printer.print_file("file.gcode")
    printer.advance(20)
    printer.gcode("SDCARD_RESET_FILE", 5)

    stats = printer.status("print_stats")
    assert (stats["state"], stats["filament_used"]) == ("standby", 0.0)
    assert stats["total_duration"] == 0.0
    assert events == ["reset", "reset"]  # when it was selected, too


def test_a_wrong_line_ends_the_print(printing):
    """The state is error, with the message; the heaters are off."""
    printer = printing("G4 P1000\nG1 X9999\nG1 X10\n")
    printer.print_file("file.gcode")
    printer.advance(10)

    stats = printer.status("print_stats")
    assert stats["state"] == "error"
    assert "out of range" in stats["message"]
    assert printer.status("extruder")["target"] == 0.0


def test_a_shutdown_in_mid_print_looks_like_a_pause(printing):
    """The state says paused, and the total goes on growing: nobody should trust it."""
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
    assert odometer.filament == filament  # what was queued never moved


def test_half_a_minute_of_motion_is_kept(printing):
    """Older moves are gone: whoever reads too seldom, reads too little."""
    printer = printing("M83\n" + "G1 X100 F3000\nG1 X0\n" * 40)
    printer.print_file("file.gcode")
    printer.advance(60)
    queue = printer.lookup("motion_report").dtrapqs["toolhead"]
    now = printer.lookup("mcu").estimated_print_time(printer.clock.monotonic())
    oldest = queue.extract_trapq(0.0, now)[0][0]

    assert now - 40.0 < oldest.print_time < now - 29.0


def test_the_gear_of_the_demo_is_a_slicer_s_file():
    """It carries the figures that no program of this project made."""
    text = Path(GEAR).read_text()

    assert f"; filament used [mm] = {SLICER_FILAMENT}" in text
    assert "; estimated printing time (normal mode) = 27m 13s" in text
