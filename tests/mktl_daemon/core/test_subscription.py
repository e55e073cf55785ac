"""What a client knows of a value whose publication did not reach it."""

from __future__ import annotations

import threading

import pytest

import mktl_daemon as mktl
from mktl_daemon import publish
from tests.mktl_daemon.core.conftest import DEADLINE


def test_a_value_that_was_set_is_read_back_though_nobody_publishes_it(puppet):
    item = mktl.get("puppet.number")
    assert item.value == 1
    puppet.current = {"value": 5, "time": 1.0}
    item.set(5)
    assert item.value == 5


@pytest.mark.parametrize("connected", [False, True])
def test_what_changed_before_the_subscription_arrived_is_heard(puppet, connected):
    if connected:
        publish.client("127.0.0.1", puppet.pub_port).register(b"any.", print)
        assert puppet.pub.recv() == b"\1any."
    item = mktl.get("puppet.number")
    heard = threading.Event()
    item.register(lambda item, value, when: heard.set())
    puppet.current = {"value": 2, "time": 1.0}
    assert heard.wait(DEADLINE)
    assert item.value == 2
