"""NaN and infinities are read from any program, and are the same at both ends."""

from __future__ import annotations

import json
import math

import pytest

from mktl_daemon import Payload
from mktl_daemon.core import formats, value, wire

ODD = [math.nan, math.inf, -math.inf]


def same(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


@pytest.mark.parametrize("odd", ODD)
def test_pythons_own_json_is_read(odd):
    """A reference daemon without msgspec writes it."""
    fields = wire.fields(json.dumps({"value": odd, "list": [1, odd]}).encode())
    assert same(fields["value"], odd)
    assert same(fields["list"][1], odd)


@pytest.mark.parametrize("odd", ODD)
def test_numbers_that_are_not_finite_are_sent_as_json_and_read_back(odd):
    """A program that does not know the field reads null, as msgspec writes it."""
    payload = value.state_of(odd, 5.0).payload
    strict = json.loads(payload, parse_constant=pytest.fail)
    assert strict["value"] is None
    assert same(value.decode(wire.fields(payload), None), odd)
    assert json.loads(Payload(value=odd).encapsulate()).keys() >= {"nonfinite"}


def test_lists_have_them_at_the_same_places():
    state = value.state_of([1.5, math.nan, 3, -math.inf], 5.0)
    assert json.loads(state.payload)["value"] == [1.5, None, 3, None]
    back = value.decode(wire.fields(state.payload), None)
    assert str(back) == str(state.value) == "[1.5, nan, 3, -inf]"


def test_nan_after_nan_is_no_change():
    assert value.is_same(value.state_of(math.nan, 1.0), value.state_of(math.nan, 2.0))
    assert value.is_same(
        value.state_of([math.nan], 1.0), value.state_of([math.nan], 2.0)
    )
    assert not value.is_same(value.state_of(math.nan, 1.0), value.state_of(1.0, 2.0))


def test_no_field_of_a_peer_raises():
    for marks in ("1e999", 3, {"0": "x"}, {"7": "nan"}, None, [], "nan"):
        value.decode({"value": [None], "nonfinite": marks}, None)
        value.decode({"value": None, "nonfinite": marks}, None)


def test_only_a_number_item_accepts_them():
    assert math.isnan(formats.coerce({"type": "numeric"}, math.nan))
    assert formats.coerce({"type": "numeric"}, "-inf") == -math.inf
    for kind in ("boolean", "enumerated", "mask"):
        for odd in ODD:
            with pytest.raises(ValueError, match="is not"):
                formats.coerce({"type": kind, "enumerators": {"0": "a"}}, odd)
    assert (
        formats.to_format({"type": "numeric", "format": "%5.1f"}, math.nan) == "  nan"
    )


def test_an_array_with_the_same_bytes_is_no_change():
    one, other = value.state_of(b"abc", 1.0), value.state_of(bytearray(b"abc"), 2.0)
    assert value.is_same(one, value.state_of(b"abc", 2.0))
    assert not value.is_same(one, value.state_of(b"abd", 2.0))
    assert not value.is_same(one, other)  # The arrays have another type.
