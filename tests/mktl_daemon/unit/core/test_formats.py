"""Values and their texts, by type."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mktl_daemon.core import formats, printf

ANGLE = {
    "type": "numeric",
    "format": "%2d:%2.2d:%04.1f",
    "units": {"": "radians", "formatted": "degrees"},
}
DEGREES = {**ANGLE, "units": "degrees"}
HOUR_ANGLE = {**ANGLE, "units": {"": "radians", "formatted": "h"}}
LENGTH = {
    "type": "numeric",
    "format": "%.1f",
    "units": {"": "m", "formatted": "mm"},
}
FAN = {"type": "enumerated", "enumerators": {"0": "Still", "3": "Slow", "7": "Fast"}}
LEDS = {"type": "mask", "enumerators": {"None": "dark", "0": "Red", "2": "Blue"}}


@pytest.mark.parametrize(
    ("description", "value", "text"),
    [
        ({"type": "boolean"}, True, "True"),
        ({"type": "boolean"}, 0, "False"),
        ({"type": "boolean", "enumerators": {"0": "Off", "1": "On"}}, 1, "On"),
        (FAN, 7, "Fast"),
        (FAN, 3.0, "Slow"),
        (FAN, "7", "Fast"),
        (LEDS, 0, "dark"),
        (LEDS, 5, "Red, Blue"),
        ({"type": "mask", "enumerators": {"0": "A"}}, 0, ""),
        ({"type": "numeric"}, 3, "3"),
        ({"type": "numeric"}, 0.5, "0.5"),
        ({"type": "numeric", "format": "%d"}, 34.999999, "35"),
        ({"type": "numeric", "format": "%d"}, -2.7, "-3"),
        ({"type": "numeric", "format": "%5.1f%%"}, 12.34, " 12.3%"),
        ({"type": "numeric", "format": "0x%04x"}, 255, "0x00ff"),
        ({"type": "numeric", "format": "%d", "units": "mm"}, math.inf, "inf"),
        (LENGTH, 1.25, "1250.0"),
        (LENGTH, "2", "2000.0"),
        ({"type": "numeric array"}, [1, 2.5], "[1, 2.5]"),
        ({**LENGTH, "type": "numeric array"}, [1, 0.5], "[1000.0, 500.0]"),
        ({"type": "string"}, "pie", "pie"),
        ({"type": "bulk"}, [1, 2], "[1, 2]"),
        ({}, {"a": 1}, "{'a': 1}"),
        ({"type": "of the future"}, 1, "1"),
    ],
)
def test_values_have_a_text(description, value, text):
    """It is the text that people read."""
    assert formats.to_format(description, value) == text


@pytest.mark.parametrize(
    ("description", "text", "value"),
    [
        ({"type": "boolean"}, "tRuE", 1),
        ({"type": "boolean", "enumerators": {"0": "No", "1": "Yes"}}, "no", 0),
        ({"type": "boolean"}, "1", 1),
        (FAN, "FAST", 7),
        (FAN, " slow ", 3),
        (FAN, "3", 3),
        (LEDS, "", 0),
        (LEDS, "none", 0),
        (LEDS, "Dark", 0),
        (LEDS, "blue", 4),
        (LEDS, "Blue,red", 5),
        (LEDS, "red, red", 1),
        (LEDS, 5, 5),
        ({"type": "numeric"}, "3", 3),
        ({"type": "numeric"}, "3.5", 3.5),
        ({"type": "numeric"}, "1e3", 1000.0),
        ({"type": "numeric", "format": "%.1f C"}, "20.5 C", 20.5),
        ({"type": "numeric", "format": "%x"}, "ff", 255),
        (LENGTH, "1250.0", 1.25),
        ({"type": "numeric", "units": {"": "K", "formatted": "degC"}}, "20", 293.15),
        ({"type": "numeric array"}, "[1, 2.5]", [1, 2.5]),
        ({"type": "numeric array"}, "(1, 2)", [1, 2]),
        ({"type": "numeric array"}, "1,2", [1, 2]),
        ({"type": "numeric array"}, "[]", []),
        ({"type": "numeric array", "format": "%.1f"}, "[1.0, 2.0]", [1.0, 2.0]),
        ({"type": "string"}, "3", "3"),
        ({}, "3", "3"),
    ],
)
def test_texts_have_a_value(description, text, value):
    """A text becomes a value. Names may be in any case."""
    read = formats.from_format(description, text)
    assert read == value
    assert isinstance(read, type(value))


@pytest.mark.parametrize("kind", ["boolean", "enumerated", "mask", "numeric"])
def test_an_item_without_a_value_has_an_empty_text(kind):
    """So it can be shown."""
    assert formats.to_format({"type": kind, "enumerators": {"1": "On"}}, None) == ""


@pytest.mark.parametrize("kind", ["boolean", "enumerated", "mask"])
@pytest.mark.parametrize("text", ["Loud", "99", "-1", "Still, Loud"])
def test_an_unknown_name_is_refused_with_the_known_ones(kind, text):
    """The error is a ValueError and a KeyError, and lists the allowed names."""
    description = {"type": kind, "enumerators": {"0": "Still", "1": "Slow"}}
    with pytest.raises(ValueError, match=r"Still \(0\), Slow \(1\)") as caught:
        formats.from_format(description, text)
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize(
    ("description", "value"),
    [(FAN, 1), (FAN, "x"), (LEDS, 2), (LEDS, -1), ({"type": "boolean"}, 2)],
)
def test_a_value_without_a_name_has_no_text(description, value):
    """This is so for enumerators and for sets of bits."""
    with pytest.raises(ValueError, match="is not one of"):
        formats.to_format(description, value)


@pytest.mark.parametrize("form", ["", "%", "%%", "x", "%d %d", "%(a)s", "%9999d", "%c"])
def test_a_format_prints_exactly_one_number(form):
    """All other formats are refused, and so is a width that would fill the memory."""
    with pytest.raises(ValueError, match="not a printf format"):
        printf.check_format(form)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("1:2:3", 1 + 2 / 60 + 3 / 3600),
        ("-1:2:3", -(1 + 2 / 60 + 3 / 3600)),
        ("-0:30:00", -0.5),
        ("+1:30", 1.5),
        ("1:-30:0", 0.5),
        ("1:0:-36", 0.99),
        ("1:59:60.0", 2),
        (" 12 ", 12),
        ("2:30:0.36", 2.5001),
    ],
)
def test_sexagesimal_text_is_read_with_its_sign(text, degrees):
    """The text has the sign: minus zero degrees thirty is half a degree below zero."""
    assert formats.from_format(DEGREES, text) == pytest.approx(degrees, abs=1e-12)


@pytest.mark.parametrize(
    ("degrees", "text"),
    [
        (0, " 0:00:00.0"),
        (-0.0, " 0:00:00.0"),
        (2.5, " 2:30:00.0"),
        (-2.5, "-2:30:00.0"),
        (-0.5, "-0:30:00.0"),
        (1 / 60, " 0:01:00.0"),
        (413 + 40 / 60, "413:40:00.0"),
        (59.99999, "60:00:00.0"),
        (-12.9999999, "-13:00:00.0"),
        (359.99999999, "360:00:00.0"),
        (-1e-9, " 0:00:00.0"),
        (math.nan, "nan"),
    ],
)
def test_sexagesimal_fields_carry_over(degrees, text):
    """No field shows sixty, and a number too small to be shown has no sign."""
    assert formats.to_format(DEGREES, degrees) == text


def test_sexagesimal_units_are_degrees_or_hours():
    """A right angle is ninety degrees or six hours. Hours of time are hours."""
    right = math.pi / 2
    time = {
        "type": "numeric",
        "format": "%d:%02d",
        "units": {"": "s", "formatted": "h"},
    }

    assert formats.to_format(ANGLE, right) == "90:00:00.0"
    assert formats.to_format(HOUR_ANGLE, right) == " 6:00:00.0"
    assert formats.from_format(HOUR_ANGLE, "6:0:0") == pytest.approx(right)
    assert formats.to_format(time, 5400) == "1:30"
    assert formats.from_format(time, "1:30") == 5400


@pytest.mark.parametrize("text", ["1:75:0", "1:-75:0", "1:0:60.1", "--1:0", "1:", ""])
def test_a_sexagesimal_field_above_sixty_is_refused(text):
    """Programs that round each field may write sixty, and more is never meant."""
    with pytest.raises(ValueError, match="not"):
        formats.from_format(DEGREES, text)


@pytest.mark.parametrize(
    ("form", "hours", "text"),
    [
        ("%d:%02d:%.3g", 59.96 / 3600, "0:01:0"),
        ("%d:%02d:%.3g", 5.678 / 3600, "0:00:5.68"),
        ("%d:%02d:%.1e", 59.96 / 3600, "0:01:0.0e+00"),
        ("%d:%02d:%s", 1.1, "1:06:0.0"),
        ("%d:%02d:%02u", 59.7 / 3600, "0:00:59"),
        ("%d:%02x", 59.7 / 60, "0:3b"),
        ("RA1 %d:%02d:%02d", -0.5, "RA1 -0:30:00"),
        ("%d°:%02d':%04.1f\"", -1.51, "-1°:30':36.0\""),
        ("%d%%:%02d of 11", -0.5, "-0%:30 of 11"),
    ],
)
def test_a_sexagesimal_field_may_have_any_printf_format_of_a_number(form, hours, text):
    """It carries over by its printed digits. It is read back with the text around."""
    description = {"type": "numeric", "format": form}
    assert formats.to_format(description, hours) == text
    read = formats.from_format(description, text)
    assert formats.to_format(description, read) == text


def test_a_mask_may_have_more_bits_than_a_machine_word():
    """There are at most 1024.

    The name of a high bit does not need a number of that size.
    """
    mask = {"type": "mask", "enumerators": {"0": "A", "70": "B", "1023": "C"}}
    assert formats.from_format(mask, "A, B, C") == 1 + 2**70 + 2**1023
    assert formats.to_format(mask, 2**70 + 2**1023) == "B, C"
    beyond = {"type": "mask", "enumerators": {"0": "A", "1024": "B"}}
    with pytest.raises(ValueError, match="A"):
        formats.from_format(beyond, "B")


def test_a_mask_is_read_back_if_its_names_have_commas():
    """Longer names are tried first, and names before the text for no bits."""
    mask = {
        "type": "mask",
        "enumerators": {
            "None": "Idle",
            "0": "Busy",
            "1": "A, B",
            "2": "none",
            "3": "B",
        },
    }
    for value in range(16):
        text = formats.to_format(mask, value)
        assert formats.from_format(mask, text) == value
    assert formats.from_format(mask, "idle") == 0
    with pytest.raises(ValueError, match="'a' is not one of"):
        formats.from_format(mask, "busy, A")


def test_a_clock_does_not_round_up():
    """Whole numbers in the last field are cut as on a clock, less float noise."""
    clock = {"type": "numeric", "format": "%d:%02d:%02d"}
    assert formats.to_format(clock, 1 + 46.9 / 3600) == "1:00:46"
    assert formats.to_format(clock, 1 + 2 / 60 + 3 / 3600) == "1:02:03"


@pytest.mark.parametrize(
    ("form", "text"),
    [("%02d:%02d", "-0:30"), ("%3d:%02d", " -0:30"), ("%d:%02d", "-0:30")],
)
def test_minus_zero_keeps_its_width(form, text):
    """The sign is where printf puts it."""
    assert formats.to_format({"type": "numeric", "format": form}, -0.5) == text


@given(st.floats(-1000, 1000), st.sampled_from([DEGREES, ANGLE, HOUR_ANGLE]))
def test_sexagesimal_text_is_read_back(value, description):
    """It gives the same value, to the digits that are shown."""
    text = formats.to_format(description, value)
    again = formats.to_format(description, formats.from_format(description, text))
    assert again == text
    assert "60" not in text.split(":")[1:]


@pytest.mark.parametrize(
    ("kind", "value", "carried"),
    [
        ("boolean", 1, True),
        ("boolean", False, False),
        ("boolean", "0", False),
        ("enumerated", 3, 3),
        ("enumerated", True, 1),
        ("mask", 3.0, 3),
        ("numeric", 5, 5),
        ("numeric", 5.5, 5.5),
        ("numeric", "5", 5),
        ("numeric", "5.5", 5.5),
        ("numeric", True, 1),
        ("numeric", 10**400, 10**400),
        ("numeric array", [1, "2", 3.5], [1, 2, 3.5]),
        ("numeric array", (1,), [1]),
        ("string", "text", "text"),
        ("string", 5, "5"),
        ("string", None, None),
        ("bulk", {"any": "thing"}, {"any": "thing"}),
        (None, None, None),
    ],
)
def test_a_set_accepts_values_that_suit_the_type(kind, value, carried):
    """Each type converts the values that it accepts."""
    names = {"0": "a", "1": "b", "3": "c"}
    result = formats.coerce({"type": kind, "enumerators": names}, value)
    assert result == carried
    assert isinstance(result, type(carried))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", 2),
        ("boolean", "maybe"),
        ("boolean", []),
        ("enumerated", 2),
        ("enumerated", 1.5),
        ("enumerated", "c"),
        ("mask", 1 << 5),
        ("mask", -1),
        ("numeric", "many"),
        ("numeric", ""),
        ("numeric", [1]),
        ("numeric array", "12"),
        ("numeric array", 12),
        ("numeric array", [[1], [2]]),
        ("numeric array", [None]),
        ("string", ["a"]),
        ("string", {}),
    ],
)
def test_a_set_refuses_values_of_another_type(kind, value):
    """There is one exception type for all of them."""
    names = {"0": "a", "1": "b", "3": "c"}
    with pytest.raises(ValueError, match="is not"):
        formats.coerce({"type": kind, "enumerators": names}, value)


def test_numpy_numbers_and_arrays_count_as_numbers():
    """A daemon may publish values that its driver calculated."""
    numpy = pytest.importorskip("numpy")

    assert formats.coerce({"type": "numeric"}, numpy.int16(3)) == 3
    assert formats.coerce({"type": "numeric array"}, numpy.array([1, 2])) == [1, 2]
    assert formats.to_format({"type": "numeric", "format": "%.1f"}, numpy.float32(1))


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                ["boolean", "enumerated", "mask", "numeric", "numeric array", "string"]
            ),
            "format": st.sampled_from(["%d", "%.2f", "%d:%02d:%02d", "bad"]),
            "enumerators": st.just({"0": "a", "None": "b", "x": "c"}),
        },
    ),
    any_json,
)
def test_only_value_errors_are_raised_for_any_input(description, value):
    """This is so for any value and any description from a peer."""
    for use in (formats.to_format, formats.from_format, formats.coerce):
        try:
            use(description, value)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("%5.2lf", 1.25, " 1.25"),
        ("%ld", 7, "7"),
        ("%hd", -3, "-3"),
        ("%lu", 8, "8"),
        ("%lld", 2**40, "1099511627776"),
        ("%hhx", 255, "ff"),
        ("%Lg", 0.5, "0.5"),
        ("at %6.1lf mm", 3.14159, "at    3.1 mm"),
        ("%02ld:%02ld:%04.1lf", 1.5, "01:30:00.0"),
    ],
)
def test_the_length_modifiers_of_c_are_ignored(form, value, text):
    """In C they tell the size of the number. Here all numbers are of one kind."""
    units = {"units": {"": "h", "formatted": "h"}} if ":" in form else {}
    item = {"type": "numeric", "format": form, **units}
    assert formats.to_format(item, value) == text
    assert formats.from_format(item, text) == pytest.approx(value, abs=0.05)
