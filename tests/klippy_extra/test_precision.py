"""The decimals of published amounts depend on their size."""

from __future__ import annotations

import pytest

from klippy_extra.contract import Meter
from klippy_extra.ledger import precision


@pytest.mark.parametrize(
    ("size", "unit", "meter", "decimals"),
    [
        (0.0, "h", "print_time", 2),
        (9.99, "h", "print_time", 2),
        (10.0, "h", "print_time", 1),
        (5000.0, "h", "print_time", 1),
        (99.9, "h", "time", 1),
        (100.0, "h", "time", 0),
        (9.0, "h", "time", 2),
        (0.5, "m", "filament", 2),
        (1.0, "m", "filament", 2),
        (12.0, "m", "filament", 1),
        (100.0, "m", "filament", 0),
        (9999.0, "m", "filament", 0),
        (10_000.0, "m", "filament", -1),
        (158_126.0, "m", "travel_x", -2),
        (-158_126.0, "m", "travel_x", -2),
        (3.0, "", "jobs_completed", 0),
        (30_000.0, "", "jobs_completed", 0),
        (12.0, "furlong", "of_a_newer_version", 1),
    ],
)
def test_the_larger_an_amount_the_fewer_its_decimals(size, unit, meter, decimals):
    assert precision.places(size, unit, meter) == decimals


def test_an_amount_is_rounded_and_is_never_minus_zero():
    assert precision.rounded(158_126.0, -2) == 158_100.0
    assert precision.rounded(1.2345, 2) == 1.23
    assert str(precision.rounded(-0.001, 1)) == "0.0"


def test_hours_have_two_decimals_and_all_other_units_five():
    assert precision.shown(1.23456789, "h") == 1.23
    assert precision.shown(1.23456789, "m") == 1.23457


def test_every_reading_has_the_precision_of_its_own_size():
    meters = {"time": Meter("h", "Time"), "filament": Meter("m", "Filament")}
    meters["print_time"] = Meter("h", "Print time")
    exact = {"time": 123.456, "filament": 158_126.7, "print_time": 123.456}
    assert precision.readings(exact, meters) == {
        "time": 123.0,
        "filament": 158_100.0,
        "print_time": 123.5,
    }
