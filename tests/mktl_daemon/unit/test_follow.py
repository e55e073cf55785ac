"""A running client finds its items again when they move."""

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


class DaemonGroup:
    """A registry and daemons that pass items to each other."""

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

    def has_registered(self, key):
        """Tell whether the registry knows a daemon with *key*."""
        with contextlib.closing(dealer.Client("127.0.0.1", self.registry.rep)) as desk:
            blocks = desk.get("pie._catalog").values()
        return any(key in each["items"] for each in blocks)


class Trader:
    """A daemon that the test controls without the tested client."""

    def __init__(self, alias, started):
        self.alias, self.started = alias, started
        self._client = dealer.Client("127.0.0.1", started.rep)

    def change(self, order):
        self._client.call(
            b"SET", f"pie.{self.alias}.order", json.dumps({"value": order}).encode()
        )

    def set(self, key, value):
        self._client.call(b"SET", f"pie.{key}", b'{"value":%d}' % value)

    def get(self, key):
        return self._client.get(f"pie.{key}")

    def close(self):
        self._client.close()


@pytest.fixture
def group(own_kitchen, monkeypatch):
    """A registry and daemons. This process is a client with its own home."""
    own_kitchen.enter("client", monkeypatch)
    forget()
    made = DaemonGroup(own_kitchen)
    yield made
    for trader in made.traders:
        trader.close()
    forget()


@pytest.fixture
def taken():
    """Occupy a port, so that a daemon has to use another one."""
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
                pytest.fail("the port did not become free")

    yield take
    for each in sockets:
        each.close()
    context.term()


def test_a_daemon_at_another_port_is_found_again(group, taken, box):
    """Values arrive, missed values too, and SETs work.

    The program does nothing for it.
    """
    first = group.daemon("pie", "fruit", NUMBER)
    number = mktl.get("pie.number")
    number.register(lambda item, value, when: box.put(value))
    number.set(5)
    assert box.wait(1) == [5]

    group.stop(first, signal.SIGKILL)
    taken(first.rep, first.pub)
    again = group.daemon("pie", "fruit", NUMBER)
    assert again.rep != first.rep
    assert again.pub != first.pub
    with contextlib.closing(dealer.Client("127.0.0.1", again.rep)) as other:
        other.call(b"SET", "pie.number", b'{"value":6}')

    assert box.wait(2)[1:] == [6]
    number.set(7)
    assert box.wait(3)[2:] == [7]
    assert number.get(refresh=True) == 7


@pytest.mark.parametrize("ask", ["get", "set"])
def test_a_request_finds_a_daemon_at_another_port(group, taken, ask):
    """This is so at once: the request does not wait for the next search."""
    first = group.daemon("pie", "fruit", NUMBER)
    number = mktl.get("pie.number")
    group.stop(first)
    taken(first.rep, first.pub)
    group.daemon("pie", "fruit", NUMBER)
    if ask == "set":
        number.set(8)
    assert number.get(refresh=True) == (8 if ask == "set" else 1)


def test_a_key_that_moves_between_running_daemons_is_followed(group, box):
    """It is followed back as well, and no callback is lost."""
    one, two = group.trader("one"), group.trader("two")
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


def test_a_key_is_followed_to_the_daemon_that_takes_it_from_one_that_is_gone(
    group, box
):
    """The old block stays in the cache until then.

    A newer block does not wait for it.
    """
    one, two = group.trader("one"), group.trader("two", "--override")
    one.change("+shared")
    shared = mktl.get("pie.shared")
    shared.register(lambda item, value, when: box.put(value))
    shared.set(1)
    box.wait_for(1)
    group.stop(one.started, signal.SIGKILL)
    two.change("+shared")
    two.set("shared", 2)
    box.wait_for(2)
    shared.set(3)
    box.wait_for(3)


def test_a_request_finds_a_key_that_has_moved(group):
    """A refused SET is carried out once, by the daemon that has the key now."""
    one, two = group.trader("one"), group.trader("two")
    one.change("+shared")
    shared = mktl.get("pie.shared")
    one.change("-shared")
    two.change("+shared")
    shared.set(4)
    assert shared.get(refresh=True) == 4
    assert two.get("two.sets") == 1


def test_a_key_that_no_daemon_has_any_more_is_refused(group):
    """It is refused each time, with the text of the daemon that had it."""
    one = group.trader("one")
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


@pytest.mark.soak
def test_thousands_of_subscriptions_move_without_one_thread_each(group, until):
    """They move in one change.

    For each a value that is set at the new daemon arrives.
    """
    keys = [f"many{number}" for number in range(MANY)]
    one, two = group.trader("one"), group.trader("two")
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


def test_a_client_searches_until_its_daemon_is_back(
    group, taken, box, monkeypatch, until
):
    """It searches a few times a minute for any number of items, and then finds it."""
    searches = []
    refresh = search.refresh
    monkeypatch.setattr(find, "refresh", lambda *a: searches.append(a) or refresh(*a))
    first = group.daemon("pie", "fruit", NUMBER | OTHER)
    for item in mktl.get("pie"):
        item.register(lambda item, value, when: box.put(value))
    del searches[:]
    group.stop(first)
    group.stop(group.registry)
    taken(first.rep, first.pub)
    box.things.clear()
    until(lambda: len(searches) >= 3, "it searches again")
    group.kitchen.registry()
    again = group.daemon("pie", "fruit", NUMBER | OTHER)
    with contextlib.closing(dealer.Client("127.0.0.1", again.rep)) as other:
        other.call(b"SET", "pie.number", b'{"value":6}')
    while 6 not in box.wait(1):
        box.wait(len(box.things) + 1)
    assert len(searches) < 10


def test_a_refused_daemon_asks_until_it_is_accepted(group, until):
    """It reports the refusal once, and the acceptance once."""
    one, two = group.trader("one"), group.trader("two")
    one.change("+shared")
    until(lambda: group.has_registered("shared"), "the item of the first")
    two.change("+shared")
    until(lambda: two.get("two.answers") == "-", "the refusal")
    two.change("+more")
    one.change("-shared")
    until(lambda: two.get("two.answers") == "-+", "the acceptance")
    log = (group.kitchen.folder / "pie.two.log").read_text()
    assert log.count("asked again until it accepts") == 1
