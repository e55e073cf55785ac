"""Callbacks and polls in the process of a daemon."""

from __future__ import annotations

import json
import sys
import threading

import pytest

import mktl_daemon as mktl
from mktl_daemon.files.persistent_values import PersistentValues
from tests.mktl_daemon.unit.conftest import ITEMS


@pytest.mark.logs_errors
def test_callbacks_get_every_value_in_order(start, box):
    """This is so also if one raises, or publishes."""
    daemon = start(items=ITEMS)
    number, text = daemon.store["number"], daemon.store["text"]

    def fail(item, value, when):
        raise RuntimeError("not mine")

    def pass_on(item, value, when):
        text.value = str(value)

    number.register(fail)
    number.register(pass_on)
    text.register(lambda item, value, when: box.put((item.key, value)), prime=True)
    for value in range(50):
        number.value = value
    assert box.wait(51) == [("text", "apple"), *(("text", str(n)) for n in range(50))]


def test_callbacks_get_values_in_the_order_of_their_publication(start, box):
    """Any thread may publish. The last call never has an older value."""
    daemon = start(items=ITEMS)
    number = daemon.store["number"]
    number.register(lambda item, value, when: box.put(value))
    published, put = [], daemon.pub.put

    def note(topic, payload, bulk):
        if topic == b"pie.number.":
            published.append(json.loads(payload)["value"])
        put(topic, payload, bulk)

    daemon.pub.put = note

    def work(first):
        for value in range(first, first + 500):
            number.value = value

    threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    sys.setswitchinterval(interval)
    assert box.wait(2000) == published


def test_a_bound_callback_ends_with_its_object(start, box):
    class Listener:
        def on_value(self, item, value, when):
            box.put(value)

    item = start(items=ITEMS).store["number"]
    listener = Listener()
    item.register(listener.on_value)
    item.value = 1
    box.wait(1)
    del listener
    assert item.callbacks == []
    with pytest.raises(TypeError):
        item.register(3)


def test_an_item_can_watch_another(start, box):
    class Sum(mktl.Item):
        def perform_get(self):
            return self.store["number"].value + 1

    class Daemon(mktl.Daemon):
        def setup(self):
            item = self.add_item(Sum, "kept")
            item.watch(self.store["number"])
            item.register(lambda item, value, when: box.put(value))

    daemon = start(Daemon, {**ITEMS, "kept": {"type": "numeric"}})
    daemon.store["number"].value = 4
    assert box.wait(1) == [5]


def test_a_method_that_blocks_delays_no_other_item(start, ask):
    gate = threading.Event()

    class Stuck(mktl.Item):
        def perform_set(self, value):
            gate.wait(20)

    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Stuck, "number")

    peer = ask(start(Daemon, ITEMS))
    first = peer.send(b"SET", "pie.number", b'{"value":1}')
    for _ in range(5000):
        peer.send(b"SET", "pie.number", b'{"value":2}')
    assert peer.get("pie.text")["value"] == "apple"
    assert peer.set("pie.text", "pear")["value"] is True
    gate.set()
    assert peer.reply(first) == {"value": True}


def test_methods_that_block_do_not_stop_the_daemons_own_work(start, ask, until):
    """It sends its catalog and saves values, however many methods block."""
    gate = threading.Event()

    class Stuck(mktl.Item):
        def perform_set(self, value):
            gate.wait(20)

    daemon = start(items=ITEMS)
    stuck = {f"stuck{number}": {} for number in range(40)}
    daemon.add_items(stuck, Stuck)
    peer = ask(daemon)
    for key in stuck:
        peer.send(b"SET", f"pie.{key}", b'{"value":1}')
    assert daemon.uuid in peer.reply(peer.send(b"GET", "pie._catalog"))["value"]
    peer.set("pie.kept", 23)
    kept = PersistentValues(daemon.uuid)
    until(lambda: kept.read("kept"), "the value is on disk")
    gate.set()


def test_uptime_is_published_again_and_again(start, box):
    daemon = start(items=ITEMS)
    daemon.store["_fruitclk"].register(lambda item, value, when: box.put(value))
    values = box.wait(3)
    assert values == sorted(set(values))
