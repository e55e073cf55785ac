"""Subscribers that do not read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import zmq

from mktl_daemon.net import pub
from mktl_daemon.net.slow_subscribers import Traffic, slowest
from tests.mktl_daemon.unit.conftest import ITEMS


def test_a_subscriber_that_never_reads_uses_limited_memory_and_costs_no_value(
    start, monkeypatch
):
    """Other subscribers get everything. It loses the values that exceed its queue."""
    monkeypatch.setattr(pub, "_QUEUE", 1000)
    daemon = start(items=ITEMS)
    item, filling = daemon.store["text"], "x" * 4096
    with zmq.Context() as context:
        idle, reader = context.socket(zmq.SUB), context.socket(zmq.SUB)
        for socket in (idle, reader):
            socket.linger = 0
            socket.connect(f"tcp://127.0.0.1:{daemon.pub.port}")
            socket.subscribe(b"pie.text.")
            while not socket.poll(20):
                item.publish("first", repeat=True)
        while reader.poll(200):
            reader.recv_multipart()
        before = megabytes()
        for burst in range(60):
            for number in range(300):
                item.publish(f"{burst} {number} {filling}")
            for number in range(300):
                assert reader.poll(20_000), (burst, number)
                value = json.loads(reader.recv_multipart()[2])["value"]
                assert value.startswith(f"{burst} {number} ")
        # 70 MB were published.
        assert megabytes() - before < 40
        idle.close()
        reader.close()


@pytest.mark.parametrize("key", ["image", "text"])
def test_a_subscriber_that_never_reads_costs_others_no_array(
    start, monkeypatch, caplog, key
):
    """It also costs them no long text.

    It is disconnected when too many bytes wait for it.
    """
    limit = 8_000_000
    monkeypatch.setattr(pub, "_WAITING", limit)
    monkeypatch.setattr(pub, "_MOST", 4 * limit)
    daemon = start(items=ITEMS)
    item = daemon.store[key]
    with zmq.Context() as context:
        idle, reader = context.socket(zmq.SUB), context.socket(zmq.SUB)
        for socket in (idle, reader):
            socket.linger, socket.rcvhwm = 0, 1
            socket.connect(f"tcp://127.0.0.1:{daemon.pub.port}")
            socket.subscribe(b"pie.%b." % key.encode())
            while not socket.poll(20):
                item.publish(b"first" if key == "image" else "first", repeat=True)
        while reader.poll(200):
            reader.recv_multipart()
        for number in range(120):
            value = b"%04d" % number * 250_000
            item.publish(value if key == "image" else value.decode())
            assert reader.poll(20_000), number
            assert value in reader.recv_multipart()[-1]
            # Large values of one topic are counted together.
            assert daemon.pub.backlog.waiting <= 4 * limit + pub._STRIDE  # noqa: SLF001
        idle.close()
        reader.close()
    assert "reads too slowly" in caplog.text


def test_waiting_bytes_of_one_topic_are_counted_while_another_is_read(
    start, monkeypatch, caplog
):
    """A topic's values are counted in blocks, never with those of another topic."""
    monkeypatch.setattr(pub, "_WAITING", 8_000_000)
    monkeypatch.setattr(pub, "_MOST", 32_000_000)
    daemon = start(items=ITEMS)
    image, text = daemon.store["image"], daemon.store["text"]
    with zmq.Context() as context:
        idle, reader = context.socket(zmq.SUB), context.socket(zmq.SUB)
        for socket, item in ((idle, image), (reader, text)):
            socket.linger, socket.rcvhwm = 0, 1
            socket.connect(f"tcp://127.0.0.1:{daemon.pub.port}")
            socket.subscribe(item.full_key.encode())
            while not socket.poll(20):
                item.publish(b"first" if item is image else "first", repeat=True)
        while reader.poll(200):
            reader.recv_multipart()
        for number in range(60):
            value = b"%04d" % number * 250_000
            image.publish(value)
            text.publish(value.decode())
            assert reader.poll(20_000), number
            assert value in reader.recv_multipart()[-1]
        idle.close()
        reader.close()
    assert "reads too slowly" in caplog.text


IDLE, READER, THIRD = (("192.0.2.1", port) for port in (1, 2, 3))


def test_a_subscriber_that_reads_is_not_disconnected_though_most_waits_for_it():
    """It has read what waited at the first measurement. The other has read nothing."""
    before = {IDLE: Traffic(2_000_000, 500), READER: Traffic(3_000_000, 9_000_000)}
    after = {IDLE: Traffic(2_000_000, 500), READER: Traffic(4_000_000, 12_000_000)}
    assert slowest(before, after) == IDLE


def test_the_only_subscriber_is_not_disconnected_while_it_reads():
    """So a reader is not disconnected right after one that did not read."""
    before = {READER: Traffic(3_000_000, 9_000_000)}
    after = {READER: Traffic(4_000_000, 12_000_000)}
    assert slowest(before, after) is None
    assert slowest({}, after) is None  # it has just connected


def test_of_several_readers_the_one_that_needs_the_longest_is_disconnected():
    """This is what waits for it, divided by its speed so far."""
    before = {each: Traffic(3_000_000, 0) for each in (IDLE, READER, THIRD)}
    after = {
        IDLE: Traffic(2_000_000, 200_000),  # it needs ten times as long
        READER: Traffic(4_000_000, 2_000_000),  # it needs one and a half times as long
        THIRD: Traffic(0, 3_000_000),
    }
    assert slowest(before, after) == IDLE


def test_bytes_in_transit_make_no_subscriber_slow():
    """A subscriber to small values is not disconnected for one to large values."""
    before = {IDLE: Traffic(2_000_000, 500), READER: Traffic(90, 40)}
    after = {IDLE: Traffic(2_000_000, 900_500), READER: Traffic(90, 130)}
    assert slowest(before, after) == IDLE
    assert slowest({READER: Traffic(0, 40)}, {READER: Traffic(90, 40)}) is None


def megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6
