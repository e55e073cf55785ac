"""Units with pint."""

import subprocess
import sys
import threading

import pint
import pytest

from mktl_daemon.core import units

ANGLE = {"type": "numeric", "units": {"": "radian", "formatted": "degree"}}


def test_a_value_can_be_converted_to_other_units():
    """Two metres are two thousand millimetres. Units with an offset work too."""
    assert units.convert(2, "m", "mm") == pytest.approx(2000)
    assert units.convert(20, "degC", "kelvin") == pytest.approx(293.15)


def test_without_new_units_a_value_becomes_a_quantity():
    """It keeps its units."""
    assert units.convert(3, "m", None) == pint.Quantity(3, "m")


def test_an_unknown_unit_is_named():
    """The description is wrong, whatever pint raises."""
    with pytest.raises(ValueError, match="'frobs per pie'"):
        units.convert(1, "frobs per pie", "m")


def test_units_that_do_not_fit_are_a_type_error():
    """A length cannot become a time."""
    with pytest.raises(TypeError):
        units.convert(1, "m", "s")


def test_an_item_without_units_has_no_quantity():
    """It can neither be read nor set as one."""
    with pytest.raises(TypeError, match="does not have units"):
        units.to_quantity({"type": "numeric"}, 1)
    with pytest.raises(TypeError, match="does not have units"):
        units.from_quantity({"type": "numeric", "units": ""}, pint.Quantity(1, "m"))


def test_a_quantity_has_the_units_that_were_asked_for():
    """They are the item's own, its formatted ones, or others.

    Given units come first.
    """
    assert str(units.to_quantity(ANGLE, 1).units) == "radian"
    assert str(units.to_quantity(ANGLE, 1, formatted=True).units) == "degree"
    quantity = units.to_quantity(ANGLE, 0.5, units="microradian", formatted=True)
    assert quantity.magnitude == pytest.approx(500_000)
    assert units.to_quantity(ANGLE, 1, units=quantity.units).units == quantity.units


def test_a_quantity_of_any_registry_can_become_a_value():
    """Programs make registries of their own."""
    for registry in (pint, pint.UnitRegistry()):
        quantity = registry.Quantity(180, "degree")
        assert units.from_quantity(ANGLE, quantity) == pytest.approx(3.14159265)


def test_a_number_is_refused_as_a_quantity():
    """A clear error tells it."""
    with pytest.raises(TypeError, match=r"5 is not a pint\.Quantity"):
        units.from_quantity(ANGLE, 5)


def test_threads_share_one_registry():
    """Quantities of two registries could not be added."""
    converted = []
    threads = [
        threading.Thread(target=lambda: converted.append(units.convert(1, "m", None)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(converted[1:], converted[0]).magnitude == 4


def test_pint_is_imported_when_first_used():
    """A command that converts nothing does not wait for the import."""
    script = "import sys, mktl_daemon.core.catalog; sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
