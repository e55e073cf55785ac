"""A client that runs goes where its items go."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time

import pytest
import zmq

import mktl_daemon as mktl
from mktl_daemon import find, search
from mktl_daemon.net import dealer
from tests.mktl_daemon.unit.conftest import forget

NUMBER = {"number": {"type": "numeric", "initial": 1, "persist": True}}
OTHER = {"other": {"type": "numeric", "initial": 1}}
MANY = 5000


class Town:
    """A registry and daemons that trade items."""

    def __init__(self, kitchen):
        self.kitchen = kitchen
        self.registry = kitchen.registry()
        self.daemon, self.stop = kitchen.daemon, kitchen.stop
        self.traders = []

    def trader(self, alias, *more):
        started = self.kitchen.start(
            "mkd", "pie", alias, "--module", "trader", *more, home=f"pie.{alias}"
        )
        self.traders.append(Trader(alias, started))
        return self.traders[-1]


class Trader:
    """A daemon that is asked past the client that is tested."""

    def __init__(self, alias, started):
        self.alias, self.started = alias, started
        self._asked = dealer.Client("127.0.0.1", started.rep)

    def change(self, order):
        self._asked.call(
            b"SET", f"pie.{self.alias}.order", json.dumps({"value": order}).encode()
        )

    def set(self, key, value):
        self._asked.call(b"SET", f"pie.{key}", b'{"value":%d}' % value)

    def get(self, key):
        return self._asked.get(f"pie.{key}")

    def close(self):
        self._asked.close()


@pytest.fixture
def town(own_kitchen, monkeypatch):
    """This process is a client, with a home of its own."""
    for name, value in own_kitchen.environment("client").items():
        if name.startswith("MKTL_"):
            monkeypatch.setenv(name, value)
    forget()
    made = Town(own_kitchen)
    yield made
    for trader in made.traders:
        trader.close()
    forget()


@pytest.fixture
def taken():
    """Take a port, so that a daemon has to go elsewhere."""
    context, sockets = zmq.Context(), []

    def take(*ports):
        for port in ports:
            sockets.append(context.socket(zmq.ROUTER))
            sockets[-1].linger = 0
            for _ in range(500):
                with contextlib.suppress(zmq.ZMQError):
                    sockets[-1].bind(f"tcp://127.0.0.1:{port}")
                    break
                time.sleep(0.01)
            else:
                pytest.fail("the port does not become free")

    yield take
    for each in sockets:
        each.close()
    context.term()


def test_a_daemon_at_another_port_is_found_again(town, taken, box):
    """Values that come, values that were missed, and SETs; nobody does a thing."""
    first = town.daemon("pie", "fruit", NUMBER)
    number = mktl.get("pie.number")
    number.register(lambda item, value, when: box.put(value))
    number.set(5)
    assert box.wait(1) == [5]

    town.stop(first, signal.SIGKILL)
    taken(first.rep, first.pub)
    again = town.daemon("pie", "fruit", NUMBER)
    assert again.rep != first.rep
    assert again.pub != first.pub
    with contextlib.closing(dealer.Client("127.0.0.1", again.rep)) as other:
        other.call(b"SET", "pie.number", b'{"value":6}')

    assert box.wait(2)[1:] == [6]
    number.set(7)
    assert box.wait(3)[2:] == [7]
    assert number.get(refresh=True) == 7


@pytest.mark.parametrize("ask", ["get", "set"])
def test_a_request_finds_a_daemon_at_another_port(town, taken, ask):
    """At once: it does not wait until somebody has looked."""
    first = town.daemon("pie", "fruit", NUMBER)
    number = mktl.get("pie.number")
    town.stop(first)
    taken(first.rep, first.pub)
    town.daemon("pie", "fruit", NUMBER)
    if ask == "set":
        number.set(8)
    assert number.get(refresh=True) == (8 if ask == "set" else 1)


def test_a_key_that_is_handed_over_while_both_stay_is_followed(town, box):
    """So is the way back, and no callback is lost on it."""
    one, two = town.trader("one"), town.trader("two")
    one.change("+shared")
    shared = mktl.get("pie.shared")
    shared.register(lambda item, value, when: box.put(value))
    shared.set(1)
    box.wait_for(1)
    wanted = 1
    for giver, taker in ((one, two), (two, one)):
        giver.change("-shared")
        taker.change("+shared")
        taker.set("shared", wanted + 1)
        wanted += 1
        box.wait_for(wanted)
        wanted += 1
        shared.set(wanted)
        box.wait_for(wanted)


def test_a_key_is_followed_to_who_takes_it_from_a_daemon_that_is_gone(town, box):
    """Its old block stays in the cache until then; a newer one does not wait for it."""
    one, two = town.trader("one"), town.trader("two", "--override")
    one.change("+shared")
    shared = mktl.get("pie.shared")
    shared.register(lambda item, value, when: box.put(value))
    shared.set(1)
    box.wait_for(1)
    town.stop(one.started, signal.SIGKILL)
    two.change("+shared")
    two.set("shared", 2)
    box.wait_for(2)
    shared.set(3)
    box.wait_for(3)


def test_a_request_finds_a_key_that_was_handed_over(town):
    """A SET that was refused for it is carried out once, by who has it now."""
    one, two = town.trader("one"), town.trader("two")
    one.change("+shared")
    shared = mktl.get("pie.shared")
    one.change("-shared")
    two.change("+shared")
    shared.set(4)
    assert shared.get(refresh=True) == 4
    assert two.get("two.sets") == 1


def test_a_key_that_nobody_has_any_more_is_refused(town):
    """Time and again, in the words of the daemon that had it."""
    one = town.trader("one")
    one.change("+shared")
    shared = mktl.get("pie.shared")
    one.change("-shared")
    for _ in range(3):
        with pytest.raises(mktl.RemoteError) as caught:
            shared.get(refresh=True)
        assert caught.value.type == "KeyError"
        with pytest.raises(mktl.RemoteError) as caught:
            shared.set(1)
        assert caught.value.type == "KeyError"


def test_thousands_of_subscriptions_move_without_a_thread_for_each(town, until):
    """Handed over in one change: a value that was set there is here, of each."""
    keys = [f"many{number}" for number in range(MANY)]
    one, two = town.trader("one"), town.trader("two")
    one.change(" ".join(f"+{key}" for key in keys))
    store = mktl.get("pie")
    items = [store[key] for key in keys]
    before = threading.active_count()

    one.change(" ".join(f"-{key}" for key in keys))
    two.change(" ".join(f"+{key}" for key in keys))
    two.set(keys[-1], 7)
    until(lambda: items[-1] == 7, "what was missed")
    for key in (keys[0], keys[-2]):
        two.set(key, 8)
        until(lambda key=key: store[key] == 8, "what is published there")
    assert threading.active_count() <= before + 6


def test_a_client_looks_on_until_its_daemon_is_back(
    town, taken, box, monkeypatch, until
):
    """A few times a minute, whatever the number of items; then it is found."""
    looks = []
    look = search.refresh
    monkeypatch.setattr(find, "refresh", lambda *a: looks.append(a) or look(*a))
    first = town.daemon("pie", "fruit", NUMBER | OTHER)
    for item in mktl.get("pie"):
        item.register(lambda item, value, when: box.put(value))
    del looks[:]
    town.stop(first)
    town.stop(town.registry)
    taken(first.rep, first.pub)
    box.things.clear()
    until(lambda: len(looks) >= 3, "it looks on")
    town.kitchen.registry()
    again = town.daemon("pie", "fruit", NUMBER | OTHER)
    with contextlib.closing(dealer.Client("127.0.0.1", again.rep)) as other:
        other.call(b"SET", "pie.number", b'{"value":6}')
    while 6 not in box.wait(1):
        box.wait(len(box.things) + 1)
    assert len(looks) < 10


def test_a_daemon_that_is_refused_on_the_air_asks_until_it_is_accepted(town, until):
    """It says so once, and once that it is accepted."""
    one, two = town.trader("one"), town.trader("two")
    one.change("+shared")
    until(lambda: "shared" in mktl.get("pie"), "the item of the first")
    two.change("+shared")
    until(lambda: two.get("two.heard") == "-", "the refusal")
    two.change("+more")
    one.change("-shared")
    until(lambda: two.get("two.heard") == "-+", "the acceptance")
    log = (town.kitchen.folder / "pie.two.log").read_text()
    assert log.count("asked again until it accepts") == 1
