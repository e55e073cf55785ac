"""An item in expressions, as users of numpy write them."""

from __future__ import annotations

import numpy as np
import pytest

from mktl_daemon import testing

ITEMS = {
    "image": {"type": "bulk"},
    "number": {"type": "numeric", "units": "meter"},
    "text": {"type": "string", "units": "meter"},
}


@pytest.fixture
def store():
    with testing.running(items=ITEMS) as daemon:
        daemon.store["image"].publish(np.array([1.0, 2.0, 3.0]))
        daemon.store["number"].publish(2.5)
        daemon.store["text"].publish("12")
        yield daemon.store


def test_an_array_is_compared_element_by_element(store):
    image = store["image"]
    assert (image == np.array([1.0, 5.0, 3.0])).tolist() == [True, False, True]
    assert (np.array([1.0, 5.0, 3.0]) == image).tolist() == [True, False, True]
    assert (image != 2.0).tolist() == [True, False, True]


def test_numpy_accepts_an_item_as_its_value(store):
    image, number = store["image"], store["number"]
    assert np.mean(image) == 2.0
    assert np.asarray(image, dtype="int16").dtype == "int16"
    assert (image * 2 + number).tolist() == [4.5, 6.5, 8.5]
    assert np.add(number, 1) == 3.5
    assert len(image) == 3
    assert list(image) == [1.0, 2.0, 3.0]
    assert 2.0 in image


def test_a_number_can_be_converted_and_formatted(store):
    number = store["number"]
    assert (float(number), int(number), complex(number)) == (2.5, 2, 2.5 + 0j)
    assert format(number, ".2f") == "2.50"
    assert f"{number}" == "2.5"
    assert round(number) == 2
    assert float(store["text"]) == 12.0


def test_bytes_are_no_number(store):
    store["image"].publish(b"12")
    with pytest.raises(TypeError, match="bytes"):
        float(store["image"])


def test_a_text_has_no_quantity(store):
    with pytest.raises(TypeError, match="quantity"):
        _ = store["text"].quantity
    assert store["number"].quantity.to("cm").magnitude == 250
