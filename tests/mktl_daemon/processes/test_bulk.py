"""Arrays: the seventh frame."""

import json
import struct

import pytest

INTEGERS = struct.pack("<6i", *range(6))
IMAGE = {"shape": [2, 3], "dtype": "int32"}


def put(peer, bulk, **fields):
    return peer.ask(b"SET", "pie.image", fields, bulk)


def test_an_array_is_the_same_after_a_set_and_a_get(peer):
    """Its bytes, its shape and its type of number are the same."""
    assert put(peer, INTEGERS, **IMAGE).error is None
    answer = peer.get("pie.image")

    assert answer.bulk == INTEGERS
    assert answer.payload["shape"] == [2, 3]
    assert answer.payload["dtype"] == "int32"
    assert len(answer.frames[-1]) == 7
    assert len(answer.frames[0]) == 6


def test_a_value_without_an_array_has_no_seventh_frame(peer):
    """A plain value has six frames."""
    assert len(peer.ask(b"GET", "pie.number").frames[-1]) == 6


def test_an_empty_array_is_an_empty_frame(peer):
    """An empty array differs from no array."""
    assert put(peer, b"", shape=[0], dtype="float64").error is None
    answer = peer.get("pie.image")

    assert len(answer.frames[-1]) == 7
    assert answer.bulk == b""
    assert answer.payload["shape"] == [0]


@pytest.mark.parametrize(
    ("bulk", "fields"),
    [
        (struct.pack("<6i", 9, *range(5)), {"shape": [2, 3], "dtype": "int32"}),
        (INTEGERS, {"shape": [3, 2], "dtype": "int32"}),
        (INTEGERS, {"shape": [6], "dtype": "int32"}),
        (struct.pack("<2d", 1.5, 2.5), {"shape": [2], "dtype": "float64"}),
        (b"\1\0", {"shape": [2], "dtype": "bool"}),
        (b"\0" * 12, {"shape": [1, 1, 3], "dtype": "float32"}),
    ],
)
def test_an_array_can_be_replaced_by_another(wire, oven, peer, bulk, fields):
    """The new one has other values, another shape or type.

    Subscribers and readers get it.
    """
    listener = wire.listener(oven, b"pie.image.")
    listener.settle(lambda: (peer.set("pie.image", 0), peer.set("pie.image", 1)))
    put(peer, INTEGERS, **IMAGE)
    assert listener.receive()[3] == INTEGERS

    assert put(peer, bulk, **fields).error is None

    topic, version, payload, published = listener.receive()
    assert (topic, version, published) == (b"pie.image.", b"a", bulk)
    assert json.loads(payload)["shape"] == fields["shape"]
    answer = peer.get("pie.image")
    assert (answer.bulk, answer.payload["dtype"]) == (bulk, fields["dtype"])


def test_an_array_can_be_replaced_by_a_plain_value_and_back(wire, oven, peer):
    """The frame and its description vanish and come back."""
    listener = wire.listener(oven, b"pie.image.")
    listener.settle(lambda: (peer.set("pie.image", 0), peer.set("pie.image", 1)))
    for _ in range(2):
        put(peer, INTEGERS, **IMAGE)
        assert len(listener.receive()) == 4
        assert peer.set("pie.image", "gone").error is None
        published = listener.receive()
        assert len(published) == 3
        assert json.loads(published[2])["value"] == "gone"
        answer = peer.get("pie.image")
        assert (answer.bulk, answer.value) == (None, "gone")
        assert "shape" not in answer.payload


def test_an_array_without_dimensions_is_a_number(peer):
    """Clients send numpy's own numbers in this way."""
    bulk, fields = struct.pack("<d", 1.5), {"shape": [], "dtype": "float64"}
    assert peer.ask(b"SET", "pie.number", fields, bulk).error is None
    assert peer.get("pie.number").value == 1.5


@pytest.mark.parametrize(
    ("bulk", "fields"),
    [
        (INTEGERS, {"shape": [7], "dtype": "int32"}),
        (INTEGERS, {"shape": [2, 3], "dtype": "float128x"}),
        (INTEGERS, {"shape": [2, 3], "dtype": "object"}),
        (INTEGERS, {"shape": [2, 3], "dtype": "__import__"}),
        (INTEGERS, {"shape": [-2, -3], "dtype": "int32"}),
        (INTEGERS, {"shape": "2x3", "dtype": "int32"}),
        (INTEGERS, {"shape": [2, 3], "dtype": None}),
        (INTEGERS, {"shape": [2**40, 2**40], "dtype": "int32"}),
        (b"abc", {"shape": [1], "dtype": "int32"}),
    ],
)
def test_an_array_that_does_not_fit_its_description_is_refused(peer, bulk, fields):
    """Shape, type and bytes must agree. The old value stays."""
    put(peer, INTEGERS, **IMAGE)
    assert put(peer, bulk, **fields).error["type"]
    assert peer.get("pie.image").bulk == INTEGERS


def test_an_array_of_a_hundred_megabytes_is_set_and_read(peer):
    """It arrives complete in both directions."""
    bulk = bytes(range(250)) * 400_000
    assert put(peer, bulk, shape=[len(bulk)], dtype="uint8").error is None
    assert peer.get("pie.image").bulk == bulk
    assert peer.set("pie.image", 0).error is None


def test_a_text_of_a_hundred_megabytes_is_set_and_read(peer):
    """A payload may be large, too."""
    text = "pie " * 25_000_000
    assert peer.set("pie.anything", text).error is None
    assert peer.get("pie.anything").value == text
    assert peer.set("pie.anything", 0).error is None
