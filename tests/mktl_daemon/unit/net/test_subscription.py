"""How a client learns a value whose publication did not reach it."""

from __future__ import annotations

import threading

import pytest

import mktl_daemon as mktl
from mktl_daemon.net import sub
from tests.mktl_daemon.unit.conftest import DEADLINE


def test_a_value_that_was_set_and_not_published_is_read_back(puppet):
    item = mktl.get("puppet.number")
    assert item.value == 1
    puppet.current = {"value": 5, "time": 1.0}
    item.set(5)
    assert item.value == 5


@pytest.mark.parametrize("connected", [False, True])
def test_a_change_before_the_subscription_arrived_is_reported(puppet, connected):
    if connected:
        sub.client("127.0.0.1", puppet.pub_port).register(b"any.", print)
        assert puppet.pub.recv() == b"\1any."
    item = mktl.get("puppet.number")
    arrived = threading.Event()
    item.register(lambda item, value, when: arrived.set())
    puppet.current = {"value": 2, "time": 1.0}
    assert arrived.wait(DEADLINE)
    assert item.value == 2


def test_threads_that_subscribe_to_one_item_make_one_subscription(puppet, box):
    """One publication makes one call, whichever thread was first."""
    store = mktl.get("puppet")
    item = mktl.Item(store, "number")  # The item does not subscribe by itself.
    # Otherwise the value would be new once there is a connection.
    assert item.get() == 1
    item.subscribe = lambda: None
    item.register(lambda item, value, when: box.put(value))
    del item.subscribe
    start = threading.Barrier(8)
    threads = [
        threading.Thread(target=lambda: (start.wait(), item.subscribe(prime=False)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert puppet.pub.recv() == b"\1puppet.number."
    puppet.publish(5, 5.0)
    puppet.publish(6, 6.0)
    box.wait(2)
    # Publications of one item are passed on in order, so a second 5 would be here.
    assert box.things == [5, 6]


def test_a_subscription_that_failed_can_be_made_again(puppet, monkeypatch):
    """Until then each reading asks the daemon."""
    item = mktl.Item(mktl.get("puppet"), "number")
    register = sub.Client.register_many
    monkeypatch.setattr(sub.Client, "register_many", fail)
    with pytest.raises(OSError, match="too many"):
        item.subscribe()
    assert item.get() == 1
    puppet.current = {"value": 2, "time": 2.0}
    assert item.get() == 2
    monkeypatch.setattr(sub.Client, "register_many", register)
    assert item.value == 2
    puppet.publish(3, 3.0)
    assert puppet.pub.recv() == b"\1puppet.number."
    arrived = threading.Event()
    item.register(lambda item, value, when: value == 4 and arrived.set())
    puppet.publish(4, 4.0)
    assert arrived.wait(DEADLINE)


def fail(client, rows):
    raise OSError("too many open files")
