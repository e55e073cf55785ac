"""The values with which items start, which they accept and which they save."""

from __future__ import annotations

import numpy as np
import pytest

import mktl_daemon as mktl
from tests.mktl_daemon.unit.conftest import ITEMS


def test_rows_are_published_with_their_times(start, ask):
    daemon = start(items=ITEMS)
    daemon.publish([("number", 4, 1000.5), ("text", "pear", None)])
    peer = ask(daemon)
    assert peer.get("pie.number") == {"value": 4, "time": 1000.5}
    assert peer.get("pie.text")["time"] > 1000.5
    with pytest.raises(KeyError):
        daemon.publish([("unknown", 1, None)])


def test_rows_replace_any_value(start, ask):
    """An item stands for its value, and some values are neither true nor false."""
    numpy = pytest.importorskip("numpy")
    daemon = start(items=ITEMS)
    daemon.publish([("number", numpy.arange(3), 1.0)])
    daemon.publish([("number", 4, 2.0)])
    assert ask(daemon).get("pie.number") == {"value": 4, "time": 2.0}


def test_a_value_that_does_not_change_keeps_its_time(start, ask):
    daemon = start(items=ITEMS)
    item = daemon.store["number"]
    item.publish(4, 1000.0)
    item.publish(4, 2000.0)
    assert ask(daemon).get("pie.number")["time"] == 1000.0
    item.publish(4, 3000.0, repeat=True)
    assert ask(daemon).get("pie.number")["time"] == 3000.0


def test_a_list_that_was_changed_in_place_is_a_new_value(start, ask):
    item = start(items=ITEMS).store["list"]
    values = [1, 2]
    item.value = values
    values.append(3)
    assert item.value == [1, 2]
    item.value = values
    assert item.value == [1, 2, 3]


def test_numbers_of_numpy_are_numbers(start, ask):
    daemon = start(items=ITEMS)
    daemon.store["number"].value = np.float64(2.5)
    assert ask(daemon).get("pie.number")["value"] == 2.5


def test_an_array_is_saved_as_it_was_published(start):
    item = start(items=ITEMS).store["image"]
    array = np.arange(6.0).reshape(2, 3)
    item.value = array
    array[0, 0] = 99
    assert item.value.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(TypeError, match="object"):
        item.value = np.array([object()])


def test_saved_values_come_before_initial_values(start, ask):
    """A persistent value and an array survive the daemon. Other items start again."""
    daemon = start(items=ITEMS)
    assert daemon.store["kept"].value == 1
    ask(daemon).set("pie.kept", 23)
    ask(daemon).set("pie.number", 5)
    daemon.store["image"].value = np.eye(2)
    daemon.cleanup()

    again = start(items=ITEMS)
    assert again.store["kept"].value == 23
    assert again.store["image"].value.tolist() == [[1, 0], [0, 1]]
    assert again.store["number"].value is None
    assert again.store["fixed"].value == 7


def test_a_value_published_before_the_daemon_is_ready_is_saved(start):
    """This is so also in setup, if no value was saved earlier."""

    class Daemon(mktl.Daemon):
        def setup(self):
            self.store["image"].publish(np.eye(2))
            self.store["kept"].publish(4)

        def setup_final(self):
            self.store["_fruitdev"].publish("bakes")

    start(Daemon, ITEMS).cleanup()
    again = start(items=ITEMS).store
    assert again["image"].value.tolist() == [[1, 0], [0, 1]]
    assert again["_fruitdev"].value == "bakes"
    assert again["kept"].value == 1  # its initial value was given later


def test_a_daemon_that_does_not_start_leaves_the_saved_values(start):
    class Broken(mktl.Daemon):
        def setup(self):
            self.store["kept"].publish(4)
            raise OSError("no controller")

    daemon = start(items=ITEMS)
    daemon.store["kept"].publish(23)
    daemon.cleanup()
    with pytest.raises(OSError, match="controller"):
        start(Broken, ITEMS)
    assert start(items=ITEMS).store["kept"].value == 23


def test_a_saved_value_keeps_its_time(start):
    daemon = start(items=ITEMS)
    daemon.store["kept"].publish(23, 1000.5)
    daemon.store["image"].publish(np.eye(2), 2000.5)
    daemon.cleanup()
    again = start(items=ITEMS).store
    assert (again["kept"].value, again["kept"].timestamp) == (23, 1000.5)
    assert again["image"].timestamp == 2000.5


def test_a_value_that_is_no_longer_persistent_starts_again(start):
    daemon = start(items=ITEMS)
    daemon.store["kept"].publish(23)
    daemon.cleanup()
    items = {**ITEMS, "kept": {"type": "numeric", "initial": 1}}
    assert start(items=items).store["kept"].value == 1


@pytest.mark.parametrize("restart", [False, True])
def test_an_item_that_is_added_while_the_daemon_runs_gets_its_saved_value(
    start, restart
):
    """This is so also right after it was removed."""
    described = {"type": "numeric", "persist": True, "initial": 1}
    daemon = start(items=ITEMS)
    daemon.add_item(mktl.Item, "late", description=described).publish(5, 1000.5)
    daemon.remove_item("late")
    if restart:
        daemon.cleanup()
        daemon = start(items=ITEMS)
    daemon.add_items({"late": described})
    assert (daemon.store["late"].value, daemon.store["late"].timestamp) == (5, 1000.5)


def test_a_value_that_cannot_be_saved_does_not_prevent_others(start, community):
    daemon = start(items=ITEMS)
    # A folder cannot be replaced by a file.
    (community / "daemon" / "persist" / daemon.uuid / "image").mkdir(parents=True)
    daemon.store["image"].publish(np.eye(2))
    daemon.store["kept"].publish(23)
    daemon.cleanup()
    (community / "daemon" / "persist" / daemon.uuid / "image").rmdir()
    assert start(items=ITEMS).store["kept"].value == 23


def test_an_initial_value_of_the_wrong_type_is_refused_with_its_key(start):
    with pytest.raises(ValueError, match=r"pie\.n"):
        start(items={"n": {"type": "numeric", "initial": "many"}})


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64", "complex64", "bool"])
def test_an_array_that_is_given_away_is_sent_without_a_copy(start, ask, dtype):
    """It is read and compared like an array that was copied."""
    image = start(items=ITEMS).store["image"]
    given = np.arange(24).reshape(2, 3, 4).astype(dtype)
    image.publish(given, copy=False)
    assert np.shares_memory(image.value, given)
    assert not image.value.flags.writeable
    assert (image.value == given).all()
    when = image.timestamp
    image.publish(given.copy(), copy=False)
    image.publish(given.copy())
    assert image.timestamp == when, "the same array was sent again"
    other = given.copy()
    other[-1, -1, -1] = 0
    image.publish(other)
    assert image.timestamp > when


def test_an_array_that_is_not_contiguous_is_copied(start):
    image = start(items=ITEMS).store["image"]
    turned = np.arange(6, dtype="int16").reshape(2, 3).T
    image.publish(turned, copy=False)
    assert (image.value == turned).all()
    image.publish(bytearray(b"abc"), copy=False)
    assert bytes(image.value) == b"abc"
