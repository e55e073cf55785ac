"""Catalogs in few bytes."""

from __future__ import annotations

import base64
import zlib

import pytest

from mktl_daemon.core import packing, wire
from mktl_daemon.core.errors import MalformedError


def test_what_is_packed_is_the_same_when_it_is_unpacked():
    value = {str(number): {"units": "°C", "type": "numeric"} for number in range(100)}
    encoded = wire.dumps(value)
    packed = packing.pack(encoded)
    assert len(packed) < len(encoded) / 4
    assert packing.value_of(wire.fields(packed)) == value


def test_an_answer_that_is_not_packed_is_read_as_it_is():
    assert packing.value_of({"value": 1}) == 1
    assert packing.value_of({}) is None


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"packed":"other"}'])
def test_nothing_is_packed_for_who_does_not_want_it(payload):
    assert not packing.is_wanted(payload)
    assert packing.is_wanted(packing.WANTED)


WHOLE = zlib.compress(b'{"value":1}')
BROKEN = {
    "no text": 3,
    "no base64": "\N{CROISSANT}",
    "not packed": base64.b64encode(b"{}").decode(),
    "cut off": base64.b64encode(WHOLE[:-5]).decode(),
    "no JSON": base64.b64encode(zlib.compress(b"{")).decode(),
}


@pytest.mark.parametrize("packed", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_unpacked_is_malformed(packed):
    with pytest.raises(MalformedError):
        packing.value_of({"packed": packed})


def test_nothing_of_any_size_is_unpacked(monkeypatch):
    """A registry may be broken, or evil."""
    monkeypatch.setattr(packing, "_MOST", 1000)
    with pytest.raises(MalformedError, match="over 1000 bytes"):
        packing.value_of(wire.fields(packing.pack(b" " * 1001)))
