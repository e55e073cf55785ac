"""Items that are added and removed while the daemon runs."""

from __future__ import annotations

import threading

import pytest

import mktl_daemon as mktl
from mktl_daemon import poll
from mktl_daemon.net import discovery
from mktl_daemon.server import announcer
from tests.mktl_daemon.unit.conftest import ITEMS


def test_an_item_can_be_added_and_removed_while_the_daemon_runs(start, ask):
    """The hash and the time change with it.

    A removed item is refused with a KeyError.
    """
    daemon = start(items=ITEMS)
    peer = ask(daemon)
    before = dict(daemon.catalog["fruit"])
    hashes = peer.get("pie._hash")["value"]

    described = {"type": "numeric", "initial": 3}
    daemon.add_item(mktl.Item, "New.One", description=described)
    assert peer.get("pie.new.one")["value"] == 3
    assert peer.get("pie._hash")["value"] != hashes
    assert daemon.catalog["fruit"]["time"] > before["time"]
    assert "new.one" in peer.get("pie._catalog")["value"][daemon.uuid]["items"]

    daemon.remove_item("NEW.one")
    assert peer.get("pie.new.one")["error"]["type"] == "KeyError"
    assert peer.set("pie.new.one", 1)["error"]["type"] == "KeyError"
    assert peer.get("pie._hash")["value"] == hashes
    assert "new.one" not in daemon.store


def test_many_changes_make_one_announcement(start, monkeypatch, box):
    daemon = start(items=ITEMS)
    announce_to = lambda **_: box.put(len(daemon.store)) or []  # noqa: E731
    monkeypatch.setattr(discovery, "registries", announce_to)
    with daemon.changing():
        daemon.add_items({f"many.{n}": {"type": "numeric"} for n in range(100)})
        daemon.add_item(mktl.Item, "single", description={})
        with daemon.changing():
            daemon.remove_items(["many.0", "many.1"])
    assert box.wait(1) == [len(ITEMS) + 8 + 99]


def test_an_item_that_is_added_during_the_announcement_is_announced(
    start, monkeypatch, box
):
    """Its value can be read."""
    starting = []

    class Daemon(mktl.Daemon):
        def setup_final(self):
            starting.append(self)

    def registries(**_):
        [daemon] = starting
        if not box.things:
            described = {"type": "numeric", "initial": 3}
            daemon.add_item(mktl.Item, "late", description=described)
        box.put(daemon.store["late"].value)
        return []

    monkeypatch.setattr(discovery, "registries", registries)
    start(Daemon, ITEMS)
    assert box.wait(2) == [3, 3]


def test_an_item_is_not_added_twice_or_without_a_description(start):
    daemon = start(items=ITEMS)
    with pytest.raises(RuntimeError, match="number"):
        daemon.add_item(mktl.Item, "number")
    with pytest.raises(KeyError, match="unknown"):
        daemon.add_item(mktl.Item, "unknown")
    with pytest.raises(ValueError, match="number"):
        daemon.add_items({"fresh": {}, "number": {}})
    assert "fresh" not in daemon.store
    with pytest.raises(KeyError):
        daemon.remove_item("unknown")


def test_added_items_can_be_removed_after_a_restart(start):
    for _ in range(2):
        daemon = start()
        daemon.add_items({"one": {}, "two": {}})
        daemon.remove_item("one")
        daemon.catalog.save()
        assert set(daemon.catalog.authoritative_items) & {"one", "two"} == {"two"}
        daemon.cleanup()


class Broken(mktl.Item):
    def __init__(self, store, key):
        super().__init__(store, key)
        self.poll(0.01)
        raise OSError("no controller")


def test_an_item_whose_constructor_raised_does_not_exist(start, ask):
    """It can be added later. Of several items either all exist or none."""
    daemon = start(items=ITEMS)
    hashes = ask(daemon).get("pie._hash")["value"]
    with pytest.raises(OSError, match="controller"):
        daemon.add_item(Broken, "late", description={})
    with pytest.raises(OSError, match="controller"):
        daemon.add_items({"late": {}, "later": {}}, Broken)
    assert ask(daemon).get("pie._hash")["value"] == hashes
    assert ask(daemon).get("pie.late")["error"]["type"] == "KeyError"
    daemon.add_items({"late": {"initial": 3}, "later": {}})
    assert ask(daemon).get("pie.late")["value"] == 3


def test_a_described_item_whose_constructor_raised_can_be_made_with_another_class(
    start, ask
):
    class Daemon(mktl.Daemon):
        def setup(self):
            with pytest.raises(OSError, match="controller"):
                self.add_item(Broken, "text")

    assert ask(start(Daemon, ITEMS)).get("pie.text")["value"] == "apple"


def test_an_item_that_is_removed_during_a_request_does_not_stay(start, ask):
    """It is not remembered for the next request."""

    class Leaving(mktl.Item):
        def own_description(self):
            described = super().own_description()
            if leave := vars(self).pop("leave", None):
                leave()
            return described

    daemon = start(items=ITEMS)
    peer = ask(daemon)
    for act in (lambda: peer.get("pie.late"), lambda: peer.set("pie.late", 1)):
        item = daemon.add_item(Leaving, "late", description={"initial": 1})

        def leave():
            removing = threading.Thread(target=daemon.remove_item, args=("late",))
            removing.start()
            removing.join(20)

        item.leave = leave
        act()
        assert act()["error"]["type"] == "KeyError"


def test_a_handler_is_removed_with_its_item(start, ask):
    daemon = start(items=ITEMS)
    daemon.add_item(mktl.Item, "late", description={})
    daemon.add_get_handler("late", lambda request: 5)
    assert ask(daemon).get("pie.late")["value"] == 5
    daemon.remove_item("late")
    assert ask(daemon).get("pie.late")["error"]["type"] == "KeyError"
    daemon.add_item(mktl.Item, "late", description={"initial": 6})
    assert ask(daemon).get("pie.late")["value"] == 6


def test_a_daemon_announces_itself_to_a_registry_at_its_own_port_number(
    start, monkeypatch, box
):
    """On another host this port may be a registry's."""
    daemon = start(items=ITEMS)
    port = daemon.rep.port
    addresses = [("127.0.0.1", port), ("192.0.2.1", port)]
    monkeypatch.setattr(discovery, "registries", lambda **_: addresses)
    monkeypatch.setattr(announcer, "announce_to", lambda host, *_: box.put(host))
    daemon.add_item(mktl.Item, "news", description={})
    assert box.wait(1) == ["192.0.2.1"]


def test_a_registry_that_does_not_reply_is_asked_again(start, monkeypatch, box):
    """The daemon serves its clients meanwhile."""

    def announce_to(*_):
        box.put("asked")
        if len(box.things) == 1:
            raise TimeoutError("silence")

    monkeypatch.setattr(discovery, "registries", lambda **_: [("192.0.2.1", 1)])
    monkeypatch.setattr(announcer, "announce_to", announce_to)
    start(items=ITEMS)
    box.wait(2)


def test_a_removed_item_is_no_longer_polled(start, box):
    class Polled(mktl.Item):
        def perform_get(self):
            box.put(self.key)

    daemon = start(items=ITEMS)
    item = daemon.add_item(Polled, "polled", description={})
    item.poll(0.01)
    box.wait(2)
    daemon.remove_item("polled")
    assert poll.period(item.perform_poll) is None


def test_many_items_need_little_memory(start):
    """They need no threads, and equal items share one description."""
    daemon = start(items=ITEMS)
    threads = threading.active_count()
    daemon.add_items({f"p{n}.used": {"type": "numeric"} for n in range(5000)})
    assert threading.active_count() <= threads + 2
    kinds = {id(daemon.catalog.description(f"p{n}.used")) for n in range(5000)}
    assert len(kinds) == 1
