"""The values with which items start, which they accept and which they save."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
import zmq

import mktl_daemon as mktl
from tests.mktl_daemon.unit.conftest import DEADLINE, ITEMS


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


FLEET = {key: {} for key in ("voron.a", "voron.b", "ender.a")}
NUMBERS = itertools.count(1)  # each is another value


@pytest.fixture
def listen(start):
    """Return a function that subscribes a raw SUB or XSUB to topics of a daemon."""
    with zmq.Context() as context, contextlib.ExitStack() as stack:

        def subscribed(daemon, *topics, kind=zmq.SUB):
            socket = stack.enter_context(context.socket(kind))
            socket.rcvtimeo = int(DEADLINE * 1000)
            if kind == zmq.SUB:
                for topic in topics:
                    socket.subscribe(topic)
            socket.connect(f"tcp://127.0.0.1:{daemon.pub.port}")
            return socket

        yield subscribed


def heard(daemon, socket, key, until):
    """Publish rising values of *key* in rows until *socket* receives one of them."""

    def arrived():
        daemon.publish([(key, next(NUMBERS), 1.0)])
        return socket.poll(20)

    until(arrived, f"a value of {key}")
    return socket.recv_multipart()[0].decode()


def test_rows_reach_each_subscriber_whatever_it_subscribes_to(start, listen, until):
    """A value without subscribers is not sent, and a later subscriber gets the next."""
    daemon = start(items=FLEET)
    for topics in ([b"pie.voron.a."], [b"pie.voron."], [b"pie.vo"], [b"pie."], [b""]):
        socket = listen(daemon, *topics)
        assert heard(daemon, socket, "voron.a", until) == "pie.voron.a."


def test_a_value_without_subscribers_is_not_sent_and_can_be_read(
    start, ask, listen, until
):
    daemon = start(items=FLEET)
    heard(daemon, listen(daemon, b"pie.voron.a."), "voron.a", until)
    sent, put = [], daemon.pub.put
    daemon.pub.put = lambda topic, *rest: (sent.append(topic), put(topic, *rest))
    values = (1.5, "text", True, None, float("inf"), [1, 2])
    for when, value in enumerate(values):
        daemon.publish([("ender.a", value, when), ("voron.b", value, when)])
        fields = ask(daemon).get("pie.ender.a")
        assert fields == ask(daemon).get("pie.voron.b")
        assert fields["time"] == when
        assert daemon.store["ender.a"].value == value
    assert {topic for topic in sent if b"ender" in topic} == set()
    assert {topic for topic in sent if b"voron" in topic} == {b"pie.voron.b."}


def test_a_callback_of_the_daemon_gets_values_without_subscribers(start, box):
    daemon = start(items=FLEET)
    daemon.store["ender.a"].register(lambda _item, value, when: box.put(value, when))
    daemon.publish([("ender.a", 3, 4.0)])
    assert box.wait(1) == [(3, 4.0)]


def test_nobody_can_end_the_subscription_of_another(start, listen, until):
    """ZeroMQ tells a daemon about it, although the other one is still subscribed."""
    daemon = start(items=FLEET)
    victim = listen(daemon, b"pie.voron.a.")
    heard(daemon, victim, "voron.a", until)
    intruder = listen(daemon, kind=zmq.XSUB)
    intruder.send(b"\1pie.ender.a.")
    intruder.send(b"\0pie.voron.a.")
    # The daemon reads these in their order.
    heard(daemon, intruder, "ender.a", until)
    assert heard(daemon, victim, "voron.a", until) == "pie.voron.a."


def test_a_daemon_reads_subscriptions_also_without_rows(start, listen, until):
    """Otherwise they would stay in its memory for as long as it lives."""
    daemon = start(items=FLEET)
    item = daemon.store["voron.a"]
    socket = listen(daemon, b"pie.voron.a.")
    until(lambda: (item.publish(next(NUMBERS)), socket.poll(20))[1], "a value")
    with daemon.pub.lock:
        assert daemon.pub.socket.poll(0), "the subscription waits to be read"
    for number in range(2000):
        item.publish(-number)
    with daemon.pub.lock:
        assert not daemon.pub.socket.poll(0)


def test_a_thread_that_publishes_rows_after_the_daemons_end_gets_no_error(start):
    daemon = start(items=FLEET)
    daemon.cleanup()
    for number in range(2000):
        daemon.publish([("voron.a", number, 1.0)])
        daemon.store["ender.a"].publish(number)
