"""Hours pass also while the printer is off, and a wrong clock never adds any."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.meters.base import Options
from klippy_extra.meters.clock import YEAR, Calendar, Clock
from klippy_extra.meters.synchronized import synchronized

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 1_795_000_000.0  # November 2026
STALE = NOW - 540 * DAY


class Life:
    """A printer over several boots.

    It has the true time and a clock, which may be wrong.
    """

    def __init__(self) -> None:
        self.true = NOW
        self.error = 0.0  # seconds by which the wall clock is wrong
        self.synchronized = True
        self.counted = 0.0
        self.boot()

    def boot(self, off=0.0, error=0.0, synchronized=True):
        memory = getattr(self, "calendar", Calendar({})).memory
        self.calendar = Calendar(json.loads(json.dumps(memory)))
        self.true += off
        self.error, self.synchronized = error, synchronized
        self.run(0.0)

    def run(self, seconds):
        for passed in [1.0] * int(min(seconds, 10)) + [max(0.0, seconds - 10)]:
            self.true += passed
            self.counted += self.calendar.advance(
                passed, self.true + self.error, synchronized=self.synchronized
            )

    def set_clock(self, error=0.0, synchronized=True):
        self.error, self.synchronized = error, synchronized
        self.run(1)


def test_time_passes_while_the_printer_is_off():
    life = Life()
    life.run(HOUR)
    life.boot(off=30 * DAY)
    life.run(HOUR)

    assert life.counted == pytest.approx(30 * DAY + 2 * HOUR, abs=60)


def test_a_clock_that_starts_in_the_past_and_jumps_by_months_adds_no_hours():
    """At the very first start no time has passed yet, whatever the clock shows."""
    life = Life()
    life.calendar = Calendar({})
    life.counted = 0.0
    life.boot(error=STALE - NOW, synchronized=False)
    life.run(600)
    life.set_clock()
    life.run(600)
    life.boot(off=10)
    life.run(600)

    assert life.counted == pytest.approx(1811, abs=60)


def test_months_off_count_when_the_clock_is_right_again():
    """A Raspberry Pi starts with the time of its last shutdown."""
    life = Life()
    life.run(HOUR)
    life.boot(off=90 * DAY, error=-90 * DAY, synchronized=False)
    life.run(600)
    assert life.counted == pytest.approx(HOUR + 600, abs=60)
    life.set_clock()
    life.run(600)

    assert life.counted == pytest.approx(90 * DAY + HOUR + 1200, abs=60)


def test_months_off_are_not_counted_twice():
    life = Life()
    life.boot(off=90 * DAY, error=-30 * DAY, synchronized=False)
    life.set_clock()
    life.set_clock()
    life.boot(off=DAY)

    assert life.counted == pytest.approx(91 * DAY, abs=120)


def test_a_clock_that_is_set_during_a_print_adds_no_hours():
    """The clock is set forwards and backwards.

    The machine's monotonic clock stays right.
    """
    life = Life()
    for error in (400 * DAY, -400 * DAY, 0.0):
        life.set_clock(error=error, synchronized=False)
        life.run(100)

    assert life.counted == pytest.approx(303, abs=1)


def test_without_a_time_server_the_battery_clock_tells_the_time_off():
    life = Life()
    life.calendar = Calendar({})
    life.boot(synchronized=False)
    counted = life.counted
    life.run(HOUR)
    life.boot(off=7 * DAY, synchronized=False)

    assert life.counted - counted == pytest.approx(7 * DAY + HOUR)


def test_an_empty_clock_battery_that_shows_2099_adds_no_hours():
    life = Life()
    life.calendar = Calendar({})
    life.boot(synchronized=False)
    life.run(HOUR)
    before = life.counted
    life.boot(off=DAY, error=2 * YEAR, synchronized=False)
    life.run(HOUR)

    assert life.counted - before == pytest.approx(HOUR)


def test_after_a_wrong_time_server_the_hours_are_right_again():
    """It was 300 days ahead. Until it is right, the monotonic clock counts."""
    life = Life()
    life.set_clock(error=300 * DAY)
    life.set_clock()
    before = life.counted
    life.run(HOUR)
    life.boot(off=5 * DAY)

    assert life.counted - before == pytest.approx(5 * DAY + HOUR, abs=60)


def test_seconds_lost_at_every_restart_do_not_add_up():
    life = Life()
    for _ in range(500):
        life.run(100)
        life.boot(off=20)

    assert life.counted == pytest.approx(500 * 120, abs=60)


moments = st.tuples(
    st.floats(0, 1e7),
    st.floats(0, 4e9),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(moments, max_size=30))
def test_time_never_goes_backwards_whatever_the_clock_shows(history):
    calendar = Calendar({})
    for passed, wall, trusted, reboot in history:
        if reboot:
            calendar = Calendar(json.loads(json.dumps(calendar.memory)))
        assert calendar.advance(passed, wall, synchronized=trusted) >= passed


@pytest.mark.parametrize(
    "memory", [{}, {"anchor": None}, {"anchor": "x", "since": [], "last": {}}]
)
def test_an_invalid_memory_is_ignored(memory):
    assert Calendar(memory).advance(1.0, NOW, synchronized=True) == 1.0


class Printer:
    def __init__(self):
        self.now = 100.0

    def get_reactor(self):
        return self

    def monotonic(self):
        return self.now


def test_the_meters_are_hours_from_the_clock_of_the_test():
    printer = Printer()
    wall = [NOW]
    clock = Clock(printer, Options(wall=lambda: wall[0], synchronized=lambda: True))
    clock.poll(100.0)
    wall[0] += 2 * HOUR
    assert clock.poll(100.0 + 2 * HOUR) == {"power_on": 2.0, "time": 2.0}

    later = Options(
        wall=lambda: wall[0] + DAY, synchronized=lambda: True, memory=clock.memory
    )
    assert Clock(printer, later).poll(100.0) == {
        "power_on": 0.0,
        "time": pytest.approx(24.0),
    }


def test_two_polls_at_the_same_time_add_nothing():
    clock = Clock(Printer(), Options(wall=lambda: NOW, synchronized=lambda: True))
    clock.poll(200.0)

    assert clock.poll(200.0) == {"power_on": 0.0, "time": 0.0}
    assert clock.poll(150.0)["power_on"] == 0.0


def test_the_kernel_tells_whether_its_clock_is_set():
    assert synchronized()() in (True, False)
