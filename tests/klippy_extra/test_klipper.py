"""Klipper's objects under their new and old names give the same counts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from klippy_extra import klipper
from klippy_extra.meters.queue import Queue
from klippy_extra.meters.travel import ManualSteppers

HERTZ = 1_000_000.0
STEP = 0.01  # mm
NAME = "manual_stepper feeder"


class Printer:
    """A printer that has only these objects, by their names in Klipper."""

    def __init__(self, **objects):
        self.objects = {name.replace("__", " "): each for name, each in objects.items()}

    def lookup_object(self, name, default=None):
        return self.objects.get(name, default)

    def lookup_objects(self, module):
        return [(n, o) for n, o in self.objects.items() if n.startswith(module)]


@pytest.mark.parametrize("name", ["dtrapqs", "trapqs"])
def test_the_motion_queues_are_found_under_both_names(name):
    report = SimpleNamespace(**{name: {"toolhead": "queue", "extruder": "other"}})

    assert klipper.motion_queues(Printer(motion_report=report)) == {
        "toolhead": "queue",
        "extruder": "other",
    }


def test_a_printer_without_a_motion_report_has_no_motion_queues():
    assert klipper.motion_queues(Printer()) == {}
    assert klipper.motion_queues(Printer(motion_report=object())) == {}


@pytest.mark.parametrize("newer", [True, False])
def test_two_carriages_on_one_axis_are_found_in_both_versions(newer):
    rails = {
        name: SimpleNamespace(axis=1, is_active=lambda name=name: name == "first")
        for name in ("first", "second")
    }
    module = SimpleNamespace(axis=1, dc=tuple(rails.values()))
    if newer:
        module = SimpleNamespace(dc_rails=rails)
    by_name = klipper.carriages(Printer(dual_carriage=module))

    assert list(by_name) == (["first", "second"] if newer else ["0", "1"])
    assert [each.axis for each in by_name.values()] == [1, 1]
    assert [each.is_active() for each in by_name.values()] == [True, False]


# A manual stepper, measured by the steps that it really made


class Mcu:
    """A micro-controller whose clock was 0 at the print time 0."""

    def print_time_to_clock(self, print_time):
        return int(print_time * HERTZ)

    def clock_to_print_time(self, clock):
        return clock / HERTZ


class Dumped:
    """The history of a motor's steps as `motion_report` has it in every version."""

    def __init__(self, *runs):
        self.runs = list(runs)
        self.mcu_stepper = SimpleNamespace(
            get_mcu=Mcu, get_step_dist=lambda: STEP, get_name=lambda: NAME
        )

    def get_step_queue(self, start, end):
        return [
            run for run in self.runs if start < run.last_clock and end > run.first_clock
        ], None


def run(start, end, steps):
    """Add *steps* steps, with a sign, between two moments in seconds."""
    return SimpleNamespace(
        first_clock=int(start * HERTZ), last_clock=int(end * HERTZ), step_count=steps
    )


def travelled(queue, until):
    travel, length = ManualSteppers([NAME]), 0.0
    while queue.behind(until):
        length += travel.read(NAME, queue.take(until), 0.0)["travel_feeder"]
    return length


def feeder(*runs):
    dumped = Dumped(*runs)
    printer = Printer(
        motion_report=SimpleNamespace(steppers={NAME: dumped, "stepper_x": None}),
        manual_stepper__feeder=object(),
    )
    [(name, (_, steps))] = klipper.manual_steppers(printer).items()
    assert name == NAME
    return Queue(steps, 0.0)


def test_a_manual_stepper_counts_its_steps_in_both_directions():
    queue = feeder(run(0.5, 1.5, 1000), run(1.5, 1.5, 1), run(2.0, 4.0, -500))

    assert travelled(queue, 5.0) == pytest.approx(1501 * STEP)


def test_steps_that_lie_ahead_do_not_count():
    queue = feeder(run(1.0, 3.0, 1000))

    assert travelled(queue, 2.0) == pytest.approx(500 * STEP)
    assert travelled(queue, 9.0) == pytest.approx(500 * STEP)


def test_a_homing_counts_the_steps_it_made_and_not_those_it_planned():
    """The history goes on after the trigger. Counted from it, 20 mm would be 292 mm."""
    queue = feeder(run(0.0, 1.0, 100), run(2.0, 10.0, 29200), run(11.0, 12.0, 50))
    queue.begin_skip(2.0)
    queue.end_skip(10.5)
    homing = SimpleNamespace(
        stepper_positions=[
            SimpleNamespace(
                stepper_name=NAME,
                stepper=SimpleNamespace(get_step_dist=lambda: STEP),
                start_pos=5,
                halt_pos=2005,
            )
        ]
    )

    ran = ManualSteppers([NAME]).homed(NAME, homing)["travel_feeder"]
    assert ran == pytest.approx(20.0)
    assert travelled(queue, 20.0) + ran == pytest.approx(20.0 + 150 * STEP)


def test_a_manual_stepper_whose_steps_cannot_be_read_has_no_meter():
    printer = Printer(motion_report=object(), manual_stepper__feeder=object())

    assert klipper.manual_steppers(printer) == {}
