"""Metres of travel and filament, counted from moves that were really carried out."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.guard import Handlers
from klippy_extra.meters.carriages import DualCarriages, Towers, carriages
from klippy_extra.meters.filament import UNLOADED, Filament, FilamentUse
from klippy_extra.meters.queue import MOVES, SLICE, Queue
from klippy_extra.meters.travel import ManualSteppers, Travel
from tests.fakes import GEAR, VirtualPrinter
from tests.fakes.meters import Counted

HOT = "G28\nM109 S200"
SLICER_SAYS = 2053.05  # mm, from the comments of the file


def move(start, seconds, speed=10.0, accel=0.0, x=1.0, y=0.0, z=0.0):
    """Return a move as Klipper's queue has it."""
    return SimpleNamespace(
        print_time=start,
        move_t=seconds,
        start_v=speed,
        accel=accel,
        x_r=x,
        y_r=y,
        z_r=z,
        start_x=0.0,
        start_y=0.0,
        start_z=0.0,
    )


class Dumped:
    """The history of a queue, with Klipper's method `extract_trapq`."""

    def __init__(self, moves=()):
        self.moves = list(moves)

    def extract_trapq(self, start, end):
        moves = [
            m
            for m in self.moves
            if m.print_time < end and m.print_time + m.move_t > start
        ]
        return moves, None


def length(pieces):
    return sum(piece[3] for piece in pieces)


def drain(queue, now):
    pieces = []
    while queue.behind(now):
        pieces += queue.take(now)
    return pieces


# The queue

steps = st.tuples(
    st.floats(0.001, 0.5),  # seconds
    st.floats(1.0, 300.0),  # mm/s
    st.floats(-1000.0, 1000.0),  # mm/s2
    st.floats(0.0, 0.3),  # seconds before the move
)


@given(st.lists(steps, max_size=30), st.lists(st.floats(0.0, 2.0), max_size=30))
def test_every_move_counts_once_whenever_the_queue_is_read(moves, intervals):
    queued, at, whole = [], 0.0, 0.0
    for seconds, speed, steep, pause in moves:
        accel = max(steep, -speed / seconds)
        queued.append(move(at + pause, seconds, speed, accel))
        whole += speed * seconds + 0.5 * accel * seconds**2
        at += pause + seconds
    queue, now, counted = Queue(Dumped(queued), 0.0), 0.0, 0.0
    for interval in intervals:
        now += interval
        counted += length(queue.take(now))
    counted += length(drain(queue, max(now, at)))

    assert counted == pytest.approx(whole, rel=1e-9, abs=1e-6)


def test_moves_before_the_start_do_not_count():
    queue = Queue(Dumped([move(0.0, 10.0)]), 4.0)

    assert length(drain(queue, 100.0)) == pytest.approx(60.0)


def test_moves_that_lie_ahead_count_when_they_are_carried_out():
    queue = Queue(Dumped([move(0.0, 10.0)]), 0.0)

    assert length(drain(queue, 2.5)) == pytest.approx(25.0)
    assert not queue.behind(2.5)
    assert queue.take(2.4) == []


def test_the_queue_is_read_one_slice_at_a_time():
    """Reading ten seconds at once would hold the reactor for 20 ms."""
    queue = Queue(Dumped([move(0.0, 10.0)]), 0.0)

    assert length(queue.take(10.0)) == pytest.approx(10.0 * SLICE)
    assert queue.behind(10.0)


def test_a_crowded_queue_is_read_in_smaller_slices():
    tiny = [move(i / 4000, 1 / 4000) for i in range(20000)]
    queue = Queue(Dumped(tiny), 0.0)
    queue.take(10.0)

    for _ in range(20):
        assert 0 < len(queue.take(10.0)) <= 1.1 * MOVES


def test_skipped_moves_do_not_count():
    """They are the moves that a homing had queued and did not carry out."""
    queue = Queue(Dumped([move(0.0, 10.0)]), 0.0)
    queue.begin_skip(2.0)
    assert length(drain(queue, 100.0)) == pytest.approx(20.0)
    queue.end_skip(7.0)

    assert length(drain(queue, 100.0)) == pytest.approx(30.0)


def test_a_skip_may_end_before_it_is_reached():
    queue = Queue(Dumped([move(0.0, 10.0)]), 0.0)
    for begin, end in ((2.0, 3.0), (4.0, 6.0)):
        queue.begin_skip(begin)
        queue.end_skip(end)

    assert length(drain(queue, 100.0)) == pytest.approx(70.0)


def test_a_homing_that_was_interrupted_does_not_end_the_counting():
    queue = Queue(Dumped([move(0.0, 10.0)]), 0.0)
    queue.begin_skip(2.0)
    queue.begin_skip(5.0)
    queue.end_skip(6.0)
    queue.end_skip(9.0)

    assert length(drain(queue, 100.0)) == pytest.approx(60.0)


# Filament


@given(st.lists(st.floats(-5.0, 5.0), max_size=60))
def test_used_filament_is_the_furthest_position_of_the_filament(moves):
    """Retracting it and pushing it back uses nothing. Slicers count in the same way."""
    filament = FilamentUse()
    used = sum(filament.advance(length) for length in moves)
    at = furthest = behind = 0.0
    for step in moves:
        at += step
        furthest = max(furthest, at)
        behind = max(behind, furthest - at)

    if behind < UNLOADED:
        assert used == pytest.approx(furthest)
    assert used >= furthest - 1e-9


def test_filament_that_is_pushed_after_unloading_is_new_filament():
    filament = FilamentUse()
    filament.advance(-600.0)

    assert filament.advance(UNLOADED + 100.0) == pytest.approx(100.0)


class Gears:
    """An extruder whose stepper may follow the queue of another one."""

    def __init__(self, trapq):
        self._trapq = self.followed = trapq
        self.extruder_stepper = self
        self.stepper = SimpleNamespace(get_trapq=lambda: self.followed)

    def get_trapq(self):
        return self._trapq


class Objects:
    """A printer that has only these objects."""

    def __init__(self, **objects):
        self.objects = objects
        self.handlers = {}

    def lookup_object(self, name, default=None):
        return self.objects.get(name, default)

    def lookup_objects(self, module):
        return [(n, o) for n, o in self.objects.items() if n.startswith(module)]

    def register_event_handler(self, event, handler):
        self.handlers[event] = handler

    def get_reactor(self):
        return SimpleNamespace(monotonic=lambda: 0.0)


def pieces(*lengths):
    return [(None, 0.0, 1.0, each) for each in lengths]


def test_several_extruders_count_each_and_together():
    first, second = Gears("a"), Gears("b")
    filament = Filament({"extruder": first, "extruder1": second})

    assert filament.read("extruder1", pieces(10.0, -2.0), 0.0) == {
        "filament": 10.0,
        "extruded": 12.0,
        "filament_extruder1": 10.0,
        "extruded_extruder1": 12.0,
    }
    assert set(filament.meters) == {
        *("filament", "filament_extruder", "filament_extruder1"),
        *("extruded", "extruded_extruder", "extruded_extruder1"),
    }


def test_one_extruder_needs_no_meter_beside_the_sum():
    assert set(Filament({"extruder": Gears("a")}).meters) == {"filament", "extruded"}


def test_an_extruder_in_copy_mode_counts_the_moves_of_its_own_gears():
    """SYNC_EXTRUDER_MOTION EXTRUDER=extruder1 MOTION_QUEUE=extruder"""
    first, second = Gears("a"), Gears("b")
    filament = Filament({"extruder": first, "extruder1": second})
    second.followed = "a"

    used = filament.read("extruder", pieces(10.0), 0.0)
    assert used["filament_extruder"] == used["filament_extruder1"] == 10.0
    assert used["filament"] == 20.0
    assert filament.read("extruder1", pieces(10.0), 0.0)["filament"] == 0.0


def test_a_detached_extruder_counts_nothing():
    gears = Gears("a")
    filament = Filament({"extruder": gears})
    gears.followed = None

    assert filament.read("extruder", pieces(10.0), 0.0)["extruded"] == 0.0


# Homing of a machine whose steps are known


class Stepper:
    def __init__(self, name, step=0.0125, position=0.0):
        self.name, self.step, self.position = name, step, position

    def get_name(self):
        return self.name

    def get_step_dist(self):
        return self.step

    def get_commanded_position(self):
        return self.position

    def ran(self, steps):
        """Return what a homing move tells of it.

        Its position is the new one already.
        """
        return SimpleNamespace(
            stepper=self, stepper_name=self.name, start_pos=1000, halt_pos=1000 + steps
        )


class CoreXY:
    """CoreXY kinematics: two belts move X and Y, a screw moves Z."""

    def __init__(self):
        self.steppers = [
            Stepper("stepper_x"),
            Stepper("stepper_y"),
            Stepper("stepper_z"),
        ]

    def get_steppers(self):
        return self.steppers

    def calc_position(self, position):
        a, b = position["stepper_x"], position["stepper_y"]
        return [0.5 * (a + b), 0.5 * (a - b), position["stepper_z"]]


def machine(kinematics, **objects):
    toolhead = SimpleNamespace(
        get_kinematics=lambda: kinematics, check_busy=lambda eventtime: (0.0, 0.0, True)
    )
    name = type(kinematics).__name__.lower()
    configured = {"settings": {"printer": {"kinematics": name}}}
    return Objects(
        toolhead=toolhead,
        configfile=SimpleNamespace(get_status=lambda eventtime: configured),
        **objects,
    )


def homed(printer, *ran):
    return SimpleNamespace(
        toolhead=printer.objects["toolhead"], stepper_positions=list(ran)
    )


def test_homing_counts_the_steps_through_the_kinematics():
    """X of a CoreXY homes with both motors: 800 steps of each are 10 mm of X."""
    kinematics = CoreXY()
    printer = machine(kinematics)
    a, b, _ = kinematics.steppers

    assert Travel(printer, Handlers(printer)).homed(
        "toolhead", homed(printer, a.ran(-800), b.ran(-800))
    ) == {"travel_x": pytest.approx(10.0), "travel_y": 0.0, "travel_z": 0.0}


def test_an_axis_whose_position_is_unknown_counts_nothing():
    kinematics = CoreXY()
    kinematics.calc_position = lambda position: [None, 1.0, position["stepper_z"]]
    printer = machine(kinematics)
    z = kinematics.steppers[2]

    assert Travel(printer, Handlers(printer)).homed(
        "toolhead", homed(printer, z.ran(80))
    ) == {
        "travel_x": 0.0,
        "travel_y": 0.0,
        "travel_z": pytest.approx(1.0),
    }


# Carriages


class Rail:
    axis = 0

    def __init__(self, modes, name):
        self.is_active = lambda: modes[name] != "INACTIVE"


@pytest.mark.parametrize("newer", [True, False])
def test_of_two_carriages_only_the_active_one_counts(newer):
    modes = {"x": "PRIMARY", "dual_carriage": "INACTIVE"}
    module = SimpleNamespace()
    if newer:
        module.dc_rails = {name: Rail(modes, name) for name in modes}
        names = ["x", "dual_carriage"]
    else:
        module.axis = 0
        module.dc = [Rail(modes, name) for name in modes]
        names = ["0", "1"]
    first, second = (f"travel_carriage_{name}" for name in names)
    printer = machine(CoreXY(), dual_carriage=module)
    travel = Travel(printer, Handlers(printer))
    ten = [(move(0.0, 1.0), 0.0, 1.0, 10.0)]

    assert {first, second} <= set(travel.meters)
    one = travel.read("toolhead", ten, 0.0)
    assert (one["travel_x"], one[first], one.get(second)) == (10.0, 10.0, None)
    modes["dual_carriage"] = "COPY"
    both = travel.read("toolhead", ten, 0.0)
    assert (both["travel_x"], both[first], both[second]) == (10.0, 10.0, 10.0)


def test_moves_planned_before_a_switch_count_for_the_carriage_that_made_them():
    """Klipper switches while the moves of the last half second still lie ahead."""
    modes = {"x": "PRIMARY", "u": "INACTIVE"}
    module = SimpleNamespace(dc_rails={name: Rail(modes, name) for name in modes})
    printer = machine(CoreXY(), dual_carriage=module)
    printer.objects["toolhead"].check_busy = lambda eventtime: (2.0, 1.6, True)
    travel = Travel(printer, Handlers(printer))
    switch = printer.handlers["dual_carriage:update_kinematics"]
    switch()
    modes["x"] = "INACTIVE"
    switch()
    modes["u"] = "PRIMARY"
    old, new = move(1.0, 1.0), move(2.0, 1.0)

    assert travel.read("toolhead", [(old, 0.6, 1.0, 4.0)], 0.0) == {
        "travel_x": 4.0,
        "travel_y": 0.0,
        "travel_z": 0.0,
        "travel_carriage_x": 4.0,
        "travel_carriage_u": 0.0,
    }
    for _ in range(2):
        moved = travel.read("toolhead", [(new, 0.0, 1.0, 10.0)], 0.0)
        assert moved["travel_carriage_u"] == 10.0
        assert not moved.get("travel_carriage_x")


class Delta:
    """Delta kinematics: three towers on a circle of 120 mm, with arms of 250 mm."""

    def __init__(self):
        self.steppers = [
            SimpleNamespace(
                get_name=lambda tower=tower: f"stepper_{tower}",
                calc_position_from_coord=lambda at, a=angle: self.height(at, a),
            )
            for tower, angle in (("a", 210), ("b", 330), ("c", 90))
        ]

    def get_steppers(self):
        return self.steppers

    @staticmethod
    def height(at, angle):
        x = at[0] - 120 * math.cos(math.radians(angle))
        y = at[1] - 120 * math.sin(math.radians(angle))
        return at[2] + math.sqrt(250**2 - x * x - y * y)


def test_the_carriages_of_a_delta_count_their_way_along_the_towers():
    printer = machine(Delta())
    rails = carriages(printer, Handlers(printer))
    up = move(0.0, 1.0, speed=30.0, x=0.0, z=1.0)
    across = move(0.0, 1.0, speed=200.0, x=0.0, y=1.0)
    across.start_y = -100.0

    assert isinstance(rails, Towers)
    assert set(rails.meters) == {f"travel_carriage_{tower}" for tower in "abc"}
    climbed = rails.read([(up, 0.0, 1.0, 30.0)], ())
    assert climbed == {meter: pytest.approx(30.0) for meter in rails.meters}
    # Tower C stands at +120, so its carriage only rises. The other two rise and fall.
    moved = rails.read([(across, 0.0, 1.0, 200.0)], ())
    top = Delta.height((0, 100, 0), 90) - Delta.height((0, -100, 0), 90)
    assert moved["travel_carriage_c"] == pytest.approx(top)
    rise = Delta.height((0, -60, 0), 210) - Delta.height((0, -100, 0), 210)
    fall = Delta.height((0, -60, 0), 210) - Delta.height((0, 100, 0), 210)
    assert moved["travel_carriage_a"] == pytest.approx(rise + fall, rel=1e-3)


def test_the_carriages_of_a_delta_home_by_their_steps():
    printer = machine(Delta())
    rails = carriages(printer, Handlers(printer))

    assert rails.homed({"stepper_a": -12.5}, ()) == {"travel_carriage_a": 12.5}


def test_an_ordinary_printer_has_no_carriage_meters():
    printer = machine(CoreXY())
    rails = carriages(printer, Handlers(printer))

    assert rails.meters == {}
    assert not isinstance(rails, DualCarriages)


def test_a_manual_stepper_has_its_own_travel():
    stepper = Stepper("manual_stepper selector")
    name = "manual_stepper selector"
    travel = ManualSteppers([name])

    assert travel.read(name, pieces(10.0, -4.0), 0.0) == {"travel_selector": 14.0}
    ran = SimpleNamespace(stepper_positions=[stepper.ran(-80)])
    assert travel.homed(name, ran) == {"travel_selector": pytest.approx(1.0)}


# A whole printer


def way(text):
    """Return how far each axis goes in absolute G-code, calculated independently."""
    at, gone = dict.fromkeys("XYZE", 0.0), dict.fromkeys("XYZE", 0.0)
    for line in text.splitlines():
        command, *words = line.partition(";")[0].split() or [""]
        if command in ("G1", "G92"):
            for axis in at.keys() & {word[0] for word in words}:
                value = next(float(word[1:]) for word in words if word[0] == axis)
                gone[axis] += abs(value - at[axis]) if command == "G1" else 0.0
                at[axis] = value
    return gone


@pytest.fixture
def printing(tmp_path, dialect):
    printers = []

    def start(text):
        (tmp_path / "file.gcode").write_text(text)
        config = f"[virtual_sdcard]\npath: {tmp_path}\n"
        printer = VirtualPrinter(config, tmp_path, extras={})
        printers.append(printer)
        printer.gcode(HOT, 90)
        return printer

    yield start
    for printer in printers:
        printer.close()


def test_a_printed_gear_uses_the_slicers_filament_and_travels_as_its_file_says(
    printing,
):
    """All amounts are right to a tenth of a percent."""
    text = "".join(
        line for line in GEAR.read_text().splitlines(keepends=True) if "G28" not in line
    )
    printer = printing(text)
    counted = Counted(printer)
    printer.print_to_end("file.gcode")
    printer.advance(5)
    gone = way(text)

    assert counted["filament"] * 1000 == pytest.approx(SLICER_SAYS, rel=1e-3)
    assert counted["extruded"] * 1000 == pytest.approx(gone["E"], rel=1e-3)
    for axis in "xyz":
        travel = counted[f"travel_{axis}"] * 1000
        assert travel == pytest.approx(gone[axis.upper()], rel=1e-3)


def test_a_homing_is_counted_exact_to_the_step(tmp_path, dialect):
    """The queue still has 0.15 s of moves that the endstop has ended."""
    with VirtualPrinter("", tmp_path, extras={}) as printer:
        counted = Counted(printer)
        steppers = printer.lookup("toolhead").get_kinematics().get_steppers()
        ran = dict.fromkeys((s.get_name() for s in steppers), 0.0)

        def ends(hmove):
            for each in hmove.stepper_positions:
                steps = abs(each.halt_pos - each.start_pos)
                ran[each.stepper_name] += steps * each.stepper.get_step_dist()

        printer.printer.register_event_handler("homing:homing_move_end", ends)
        printer.gcode("G28", 120)
        # Between its two touches an axis goes back by 5 mm.
        for axis in "xyz":
            expected = ran[f"stepper_{axis}"] + 5.0
            assert counted[f"travel_{axis}"] * 1000 == pytest.approx(expected, abs=1e-6)


def test_filament_under_m221_is_what_the_motor_pushed(printing):
    """print_stats divides by the factor, and would report half of it."""
    printer = printing("M83\nM221 S200\nG1 X100 E10 F1200\n")
    counted = Counted(printer)
    printer.print_to_end("file.gcode")
    printer.advance(10)

    assert counted["filament"] * 1000 == pytest.approx(20.0)


def test_extrusion_by_hand_counts(printing):
    printer = printing("")
    counted = Counted(printer)
    printer.gcode("M83\nG1 E30 F300\nG1 E-5 F300\nG1 E5 F300", 30)

    assert counted["filament"] * 1000 == pytest.approx(30.0)
    assert counted["extruded"] * 1000 == pytest.approx(40.0)


def test_moves_that_a_shutdown_prevents_do_not_count(printing):
    printer = printing("")
    counted = Counted(printer)
    printer.gcode("G1 X230 F600", 10.25)
    printer.emergency_stop()
    at_stop = counted["travel_x"]
    printer.advance(60)

    assert 0.08 < at_stop < 0.11
    assert counted["travel_x"] == at_stop


def test_a_flush_counts_everything_that_was_moved(printing):
    printer = printing("")
    counted = Counted(printer, period=1000.0)
    printer.gcode("G1 X100 F6000\nM400", 20)
    before = counted["travel_x"]

    assert before == 0
    assert counted.flush()["travel_x"] * 1000 == pytest.approx(100, abs=0.1)
