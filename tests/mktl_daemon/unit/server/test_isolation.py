"""Users' methods do not wait for each other, however many of them block."""

from __future__ import annotations

import threading

import mktl_daemon as mktl
from tests.mktl_daemon.unit.conftest import DEADLINE


class Gated(mktl.Item):
    """Its methods wait until the gate opens."""

    gate: threading.Event

    def perform_set(self, value):
        self.gate.wait(DEADLINE)


def numbers(count):
    return {f"n{each}": {"type": "numeric", "initial": 0} for each in range(count)}


class Gate:
    """It always opens at the end of a test."""

    def __enter__(self):
        self.event = threading.Event()
        return self.event

    def __exit__(self, *_):
        self.event.set()


def test_a_callback_runs_while_forty_others_block(start, box):
    daemon = start(items={**numbers(40), "quick": {"type": "numeric"}})
    with Gate() as gate:
        for number in range(40):
            daemon.store[f"n{number}"].register(lambda *_: gate.wait(DEADLINE))
        daemon.store["quick"].register(lambda item, value, when: box.put(value))
        daemon.publish((f"n{number}", 1, None) for number in range(40))
        daemon.store["quick"].publish(7)
        assert box.wait(1) == [7]


def test_polls_and_the_uptime_go_on_while_sixty_polls_block(start, box):
    daemon = start(items={**numbers(60), "quick": {"type": "numeric"}})
    begun = threading.Semaphore(0)
    with Gate() as gate:

        def stuck():
            begun.release()
            gate.wait(DEADLINE)

        for number in range(60):
            item = daemon.store[f"n{number}"]
            item.add_get_performer(stuck)
            item.poll(3600)
        for _ in range(60):
            assert begun.acquire(timeout=DEADLINE)
        daemon.store["_fruitclk"].register(lambda item, value, when: box.put("uptime"))
        box.wait(2)
        quick = threading.Event()
        daemon.store["quick"].add_get_performer(quick.set)
        daemon.store["quick"].poll(3600)
        assert quick.wait(DEADLINE)


def test_a_refresh_is_answered_while_130_sets_block(start, ask):
    class Gates(mktl.Daemon):
        def setup(self):
            for number in range(130):
                self.add_item(Gated, f"n{number}")

    with Gate() as gate:
        Gated.gate = gate
        daemon = start(Gates, {**numbers(130), "read": {"type": "numeric"}})
        daemon.add_performer("read", "get", lambda: 5)
        setting = ask(daemon)
        idents = {
            setting.send(b"SET", f"pie.n{number}", b'{"value":1}')
            for number in range(130)
        }
        reading = ask(daemon)
        assert reading.get("pie.read", refresh=True)["value"] == 5
        # Threads of the daemon itself answer for a built-in item.
        assert reading.get("pie._fruitclk", refresh=True)["value"] > 0
        gate.set()
        for _ in range(len(idents)):
            assert setting.reply()["value"] is True


def test_a_concurrent_item_can_be_stopped_by_a_second_set(start, ask):
    """By default the second SET waits for the first. See `Item.concurrent`."""

    class Motor(mktl.Item):
        concurrent = True
        stopping = threading.Event()
        moving = threading.Event()

        def perform_set(self, value):
            if value == 0:
                self.stopping.set()
                return
            self.moving.set()
            assert self.stopping.wait(DEADLINE)

    class Stage(mktl.Daemon):
        def setup(self):
            self.add_item(Motor, "n0")

    daemon = start(Stage, numbers(1))
    peer = ask(daemon)
    first = peer.send(b"SET", "pie.n0", b'{"value":1}')
    assert Motor.moving.wait(DEADLINE)
    second = peer.send(b"SET", "pie.n0", b'{"value":0}')
    replies = {}
    while len(replies) < 2:
        frames = peer.receive()
        if frames[2] == b"REP":
            replies[frames[1]] = frames[5]
    assert replies.keys() == {first, second}
    assert all(b"error" not in each for each in replies.values())
