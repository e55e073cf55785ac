"""An object with a value can be used in the place of its value."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mktl_daemon.core.arithmetic import ByValue

numbers = st.integers(1, 50) | st.floats(0.5, 50)


class Thing(ByValue):
    def __init__(self, value):
        self.value = value

    def set(self, new_value):
        self.value = new_value


@given(numbers, numbers)
@pytest.mark.parametrize(
    "act",
    [
        *("add", "sub", "mul", "truediv", "floordiv", "mod"),
        *("lt", "le", "gt", "ge", "eq", "ne"),
    ],
)
def test_an_expression_uses_the_values(act, one, other):
    do = getattr(operator, act)
    assert do(Thing(one), other) == do(one, other)
    assert do(one, Thing(other)) == do(one, other)
    assert do(Thing(one), Thing(other)) == do(one, other)


def test_bits_powers_and_signs():
    two = Thing(2)
    assert (two | 1, 1 | two, two & 3, two ^ 1, ~two) == (3, 3, 2, 3, -3)
    assert (two**3, 3**two, -two, +two, abs(Thing(-2))) == (8, 9, -2, 2, 2)
    assert (divmod(Thing(7), 2), divmod(7, two)) == ((3, 1), (3, 1))


def test_a_text_can_be_divided_if_it_is_a_number():
    assert (Thing("5") / 2, 5 / Thing("2")) == (2.5, 2.5)
    with pytest.raises(ValueError, match="many"):
        Thing("many") / 2


def test_in_place_operators_set_the_value():
    thing = same = Thing(4)
    thing += 1
    thing *= 2
    thing /= 4
    assert thing is same
    assert thing.value == 2.5


@pytest.mark.parametrize("value", [None, False, 0, "", "No", "OFF", "false", [], "f"])
def test_objects_with_an_empty_value_are_false(value):
    assert not Thing(value)


@pytest.mark.parametrize("value", [True, 1, -1, "yes", "on", "anything", [0]])
def test_objects_with_a_value_are_true(value):
    assert Thing(value)


def test_two_objects_with_equal_values_are_different_in_a_set():
    assert len({Thing(1), Thing(1)}) == 2
    assert Thing([1, 2])[1] == 2
