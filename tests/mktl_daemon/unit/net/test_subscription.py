"""What a client knows of a value whose publication did not reach it."""

from __future__ import annotations

import threading

import pytest

import mktl_daemon as mktl
from mktl_daemon.net import sub
from tests.mktl_daemon.unit.conftest import DEADLINE


def test_a_value_that_was_set_is_read_back_though_nobody_publishes_it(puppet):
    item = mktl.get("puppet.number")
    assert item.value == 1
    puppet.current = {"value": 5, "time": 1.0}
    item.set(5)
    assert item.value == 5


@pytest.mark.parametrize("connected", [False, True])
def test_what_changed_before_the_subscription_arrived_is_heard(puppet, connected):
    if connected:
        sub.client("127.0.0.1", puppet.pub_port).register(b"any.", print)
        assert puppet.pub.recv() == b"\1any."
    item = mktl.get("puppet.number")
    heard = threading.Event()
    item.register(lambda item, value, when: heard.set())
    puppet.current = {"value": 2, "time": 1.0}
    assert heard.wait(DEADLINE)
    assert item.value == 2


def test_many_threads_that_subscribe_an_item_subscribe_it_once(puppet, box):
    """One publication is one call, whoever asked first."""
    store = mktl.get("puppet")
    item = mktl.Item(store, "number")  # it does not subscribe itself
    assert item.get() == 1  # else that would be news, once there is a connection
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
    # Publications of one item are handed out in order: a second 5 would be here.
    assert box.things == [5, 6]


def test_a_subscription_that_fails_can_be_made_again(puppet, monkeypatch):
    """Until then the value is what the daemon says each time."""
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
    heard = threading.Event()
    item.register(lambda item, value, when: value == 4 and heard.set())
    puppet.publish(4, 4.0)
    assert heard.wait(DEADLINE)


def fail(client, rows):
    raise OSError("too many open files")
