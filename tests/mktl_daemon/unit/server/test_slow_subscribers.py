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


def test_a_subscriber_that_never_reads_costs_bounded_memory_and_no_value(
    start, monkeypatch
):
    """Others get everything, while it loses what is more than its queue."""
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
        # Seventy megabytes went out.
        assert megabytes() - before < 40
        idle.close()
        reader.close()


@pytest.mark.parametrize("key", ["image", "text"])
def test_a_subscriber_that_never_reads_costs_nobody_an_array(
    start, monkeypatch, caplog, key
):
    """Nor a long text: it is cut off when too much waits for it."""
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
            assert daemon.pub.backlog.waiting <= 4 * limit
        idle.close()
        reader.close()
    assert "reads too slowly" in caplog.text


def test_what_waits_on_one_topic_is_counted_while_another_is_read(
    start, monkeypatch, caplog
):
    """A topic's values are counted some at a time: never with those of another."""
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


def test_who_reads_is_not_cut_off_though_most_waits_for_it_at_this_moment():
    """It has read what waited at the first measurement; the other has read nothing."""
    before = {IDLE: Traffic(2_000_000, 500), READER: Traffic(3_000_000, 9_000_000)}
    after = {IDLE: Traffic(2_000_000, 500), READER: Traffic(4_000_000, 12_000_000)}
    assert slowest(before, after) == IDLE


def test_the_only_subscriber_is_kept_while_it_reads():
    """So one that reads is not cut off after one that did not."""
    before = {READER: Traffic(3_000_000, 9_000_000)}
    after = {READER: Traffic(4_000_000, 12_000_000)}
    assert slowest(before, after) is None
    assert slowest({}, after) is None  # it has just come


def test_of_several_that_read_the_one_that_would_take_longest_is_cut_off():
    """What waits for it, at the pace at which it has read."""
    before = {each: Traffic(3_000_000, 0) for each in (IDLE, READER, THIRD)}
    after = {
        IDLE: Traffic(2_000_000, 200_000),  # ten times as long
        READER: Traffic(4_000_000, 2_000_000),  # once and a half
        THIRD: Traffic(0, 3_000_000),
    }
    assert slowest(before, after) == IDLE


def test_bytes_that_are_on_their_way_make_nobody_slow():
    """A subscriber to small values is not the victim of one to large ones."""
    before = {IDLE: Traffic(2_000_000, 500), READER: Traffic(90, 40)}
    after = {IDLE: Traffic(2_000_000, 900_500), READER: Traffic(90, 130)}
    assert slowest(before, after) == IDLE
    assert slowest({READER: Traffic(0, 40)}, {READER: Traffic(90, 40)}) is None


def megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6
