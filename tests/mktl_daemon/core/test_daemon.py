"""A daemon: its life, its items, what it answers, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import zmq

import mktl_daemon as mktl
from mktl_daemon import config, discovery, paths, poll, publish, request
from mktl_daemon import daemon as daemon_module
from tests.mktl_daemon.core.conftest import forget

ITEMS = {
    "number": {"type": "numeric"},
    "text": {"type": "string", "initial": "apple"},
    "fixed": {"type": "numeric", "settable": False, "initial": 7},
    "kept": {"type": "numeric", "persist": True, "initial": 1},
    "image": {"type": "bulk", "persist": True},
    "list": {"type": "numeric array"},
}


def test_the_stages_of_a_life_come_in_order(start):
    """Options, descriptions, setup, the final word; each with what it needs."""
    stages = []

    class Daemon(mktl.Daemon):
        def parse_options(self, options):
            stages.append(("options", options))

        def describe_items(self):
            stages.append("items")
            return ITEMS

        def setup(self):
            stages.append(("setup", "number" in self.store, self._on_air))

        def setup_final(self):
            stages.append(("final", self.store["text"].value, self._on_air))

        def cleanup(self):
            stages.append("cleanup")

    daemon = start(Daemon, options="mine")
    daemon.cleanup()
    daemon.cleanup()
    assert stages == [
        ("options", "mine"),
        "items",
        ("setup", True, False),
        ("final", "apple", False),
        "cleanup",
    ]


def test_cleanup_comes_even_if_setup_fails_and_the_ports_are_free_again(start):
    ended = []

    class Broken(mktl.Daemon):
        def setup(self):
            self.places = self.rep.port, self.pub.port
            ended.append(self)
            raise OSError("no controller")

        def cleanup(self):
            ended.append("cleanup")

    with pytest.raises(OSError, match="no controller"):
        start(Broken, ITEMS)
    assert ended[1:] == ["cleanup"]
    again = start(mktl.Daemon, ITEMS)
    assert (again.rep.port, again.pub.port) == ended[0].places


def test_stop_asks_for_the_end(start):
    daemon = start(items=ITEMS)
    assert not daemon.shutdown.is_set()
    daemon.stop()
    assert daemon.shutdown.is_set()


def test_identity_and_ports_come_back(start):
    first = start(items=ITEMS)
    known = first.uuid, first.rep.port, first.pub.port
    first.cleanup()
    second = start(items=ITEMS)
    assert (second.uuid, second.rep.port, second.pub.port) == known


def test_a_daemon_that_runs_is_not_started_twice(start):
    daemon = start(items=ITEMS)
    forget()
    with pytest.raises(mktl.RefusedError, match=f"127.0.0.1:{daemon.rep.port}"):
        start(items=ITEMS)


def test_a_daemon_that_answers_under_a_copied_home_is_not_started_twice(
    start, community, tmp_path, monkeypatch
):
    """The copy has no lock; who answers at the port that it names is asked."""
    daemon = start(items=ITEMS)
    shutil.copytree(community, tmp_path / "copy")
    forget()
    monkeypatch.setenv("MKTL_HOME", str(tmp_path / "copy"))
    with pytest.raises(mktl.RefusedError, match=f"127.0.0.1:{daemon.rep.port}"):
        start(items=ITEMS)


def test_who_may_not_be_a_daemon_can_be_its_client(start):
    """And the daemon can be started once the other has ended."""
    daemon = start(items=ITEMS)
    block = dict(daemon.catalog["fruit"])
    forget()
    config.known("pie").update(block)
    with pytest.raises(mktl.RefusedError):
        start(items=ITEMS)
    assert not mktl.get("pie.fixed").authoritative
    assert mktl.get("pie.fixed").value == 7


def test_a_daemon_whose_ports_cannot_be_opened_can_be_started_again(start):
    class Options:
        interface = "192.0.2.1"

    for _ in range(2):
        with pytest.raises(ConnectionError):
            start(items=ITEMS, options=Options())
    assert start(items=ITEMS).rep.port


def test_who_asks_before_the_daemon_is_ready_is_told_so(start, ask, box):
    """What they asked for is not done later. Whether it is there they may ask."""

    class Daemon(mktl.Daemon):
        def setup(self):
            peer = ask(self)
            box.put(peer.get("pie.text")["error"])
            box.put(peer.set("pie.text", "plum")["error"])
            box.put(peer.get("pie._fruituuid")["value"])

    daemon = start(Daemon, ITEMS)
    get, set_, uuid = box.things
    for error in (get, set_):
        assert error["type"] == "RuntimeError"
        assert "not ready" in error["text"]
    assert uuid == daemon.uuid
    assert ask(daemon).get("pie.text")["value"] == "apple"


def test_items_can_be_set_by_the_daemon_itself_before_it_is_ready(start, box):
    """Each once, and by whatever way."""

    class Noted(mktl.Item):
        def perform_set(self, value):
            box.put(value)

    class Daemon(mktl.Daemon):
        def setup(self):
            item = self.add_item(Noted, "number")
            item.set(5)
            item += 1
            item.set(item.value + 1, wait=False).wait(20)
            self.store["list"].set([1])

    daemon = start(Daemon, ITEMS)
    assert box.things == [5, 6, 7]
    assert daemon.store["list"].value == [1]


def test_two_daemons_share_a_process_each_with_its_store(start, ask):
    pie, cake = start(items=ITEMS), start(items=ITEMS, store="cake")
    assert ask(pie).get("pie.fixed")["value"] == 7
    assert ask(cake).get("cake.fixed")["value"] == 7
    assert ask(pie).get("cake.fixed")["error"]["type"] == "KeyError"


def test_every_daemon_has_the_items_that_are_built_in(start, ask):
    daemon = start(items=ITEMS)
    peer = ask(daemon)

    def value(suffix):
        return peer.get(f"pie._fruit{suffix}", refresh=True)["value"]

    assert value("uuid") == daemon.uuid
    assert value("clk") >= 0
    assert value("cpu") >= 0
    assert value("mem") > 1000
    assert isinstance(value("host"), str)
    assert isinstance(value("pid"), int)
    assert value("cat")["items"].keys() == daemon.catalog.authoritative_items.keys()
    assert peer.set("pie._fruitdev", "bakes")["value"] is True
    assert value("dev") == "bakes"
    assert peer.set("pie._fruitpid", 3)["error"]["type"] == "TypeError"


def test_both_editions_names_are_there(start):
    """A configuration, a catalog: one thing."""
    daemon = start(items=ITEMS)
    assert daemon.config is daemon.catalog is daemon.store.config
    assert daemon.store.catalog is mktl.config.get("pie") is mktl.meta.catalog("pie")
    item = daemon.store["fixed"]
    assert item.config == item.description
    assert item.description["uuid"] == daemon.uuid


# Items that come and go


def test_an_item_can_be_added_and_removed_on_the_air(start, ask):
    """The hash and the time follow; what is gone is refused with a KeyError."""
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


def test_many_changes_are_one_announcement(start, monkeypatch, box):
    daemon = start(items=ITEMS)
    monkeypatch.setattr(daemon, "_announce", lambda: box.put(len(daemon.store)) or [])
    with daemon.changing():
        daemon.add_items({f"many.{n}": {"type": "numeric"} for n in range(100)})
        daemon.add_item(mktl.Item, "single", description={})
        with daemon.changing():
            daemon.remove_items(["many.0", "many.1"])
    assert box.wait(1) == [len(ITEMS) + 8 + 99]


def test_an_item_that_comes_while_the_daemon_announces_itself_is_announced(start, box):
    """And has its value."""

    class Daemon(mktl.Daemon):
        def _announce(self):
            if not box.things:
                described = {"type": "numeric", "initial": 3}
                self.add_item(mktl.Item, "late", description=described)
            box.put(self.store["late"].value)
            return super()._announce()

    start(Daemon, ITEMS)
    assert box.wait(2) == [3, 3]


def test_no_item_is_added_twice_or_without_a_description(start):
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


def test_items_that_were_added_can_be_removed_after_a_restart(start):
    for _ in range(2):
        daemon = start()
        daemon.add_items({"one": {}, "two": {}})
        daemon.remove_item("one")
        daemon.catalog.save()
        daemon.cleanup()


class Broken(mktl.Item):
    def __init__(self, store, key):
        super().__init__(store, key)
        self.poll(0.01)
        raise OSError("no controller")


def test_an_item_that_could_not_be_made_is_not_there(start, ask):
    """It can be made another time; of many either all are there or none."""
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


def test_a_described_item_that_could_not_be_made_can_be_made_otherwise(start, ask):
    class Daemon(mktl.Daemon):
        def setup(self):
            with pytest.raises(OSError, match="controller"):
                self.add_item(Broken, "text")

    assert ask(start(Daemon, ITEMS)).get("pie.text")["value"] == "apple"


def test_an_item_that_is_removed_while_it_is_asked_for_is_gone(start, ask):
    """Not remembered as what answers the next request."""

    class Leaving(mktl.Item):
        def _description(self):
            described = super()._description()
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


def test_a_handler_goes_with_its_item(start, ask):
    daemon = start(items=ITEMS)
    daemon.add_item(mktl.Item, "late", description={})
    daemon.add_get_handler("late", lambda request: 5)
    assert ask(daemon).get("pie.late")["value"] == 5
    daemon.remove_item("late")
    assert ask(daemon).get("pie.late")["error"]["type"] == "KeyError"
    daemon.add_item(mktl.Item, "late", description={"initial": 6})
    assert ask(daemon).get("pie.late")["value"] == 6


def test_a_daemon_announces_itself_at_its_own_port_elsewhere(start, monkeypatch, box):
    """There it is a registry's."""
    daemon = start(items=ITEMS)
    port = daemon.rep.port
    found = [("127.0.0.1", port), ("192.0.2.1", port)]
    monkeypatch.setattr(discovery, "registries", lambda **_: found)
    monkeypatch.setattr(daemon_module, "_announce_to", lambda host, *_: box.put(host))
    daemon._announce()
    assert box.things == ["192.0.2.1"]


def test_a_registry_that_does_not_answer_is_asked_again(start, monkeypatch, box):
    """The daemon is on the air all the same."""

    def announce_to(*_):
        box.put("asked")
        if len(box.things) == 1:
            raise TimeoutError("silence")

    monkeypatch.setattr(discovery, "registries", lambda **_: [("192.0.2.1", 1)])
    monkeypatch.setattr(daemon_module, "_announce_to", announce_to)
    start(items=ITEMS)
    box.wait(2)


def test_a_polled_item_that_is_removed_is_polled_no_more(start, box):
    class Polled(mktl.Item):
        def perform_get(self):
            box.put(self.key)

    daemon = start(items=ITEMS)
    item = daemon.add_item(Polled, "polled", description={})
    item.poll(0.01)
    box.wait(2)
    daemon.remove_item("polled")
    assert poll.period(item.perform_poll) is None


def test_items_cost_little(start):
    """No thread, and one description for all that are alike."""
    daemon = start(items=ITEMS)
    threads = threading.active_count()
    daemon.add_items({f"p{n}.used": {"type": "numeric"} for n in range(5000)})
    assert threading.active_count() <= threads + 2
    kinds = {id(daemon.catalog.description(f"p{n}.used")) for n in range(5000)}
    assert len(kinds) == 1


# Values


def test_rows_are_published_with_their_times(start, ask):
    daemon = start(items=ITEMS)
    daemon.publish([("number", 4, 1000.5), ("text", "pear", None)])
    peer = ask(daemon)
    assert peer.get("pie.number") == {"value": 4, "time": 1000.5}
    assert peer.get("pie.text")["time"] > 1000.5
    with pytest.raises(KeyError):
        daemon.publish([("unknown", 1, None)])


def test_rows_take_the_place_of_whatever_value_was_there(start, ask):
    """An item stands for its value, and some values are neither true nor false."""
    numpy = pytest.importorskip("numpy")
    daemon = start(items=ITEMS)
    daemon.publish([("number", numpy.arange(3), 1.0)])
    daemon.publish([("number", 4, 2.0)])
    assert ask(daemon).get("pie.number") == {"value": 4, "time": 2.0}


def test_a_value_that_does_not_change_keeps_its_time(start, ask):
    daemon = start(items=ITEMS)
    item = daemon.store["number"]
    item.publish(4, 1000.0)
    item.publish(4, 2000.0)
    assert ask(daemon).get("pie.number")["time"] == 1000.0
    item.publish(4, 3000.0, repeat=True)
    assert ask(daemon).get("pie.number")["time"] == 3000.0


def test_a_list_that_was_changed_in_place_is_a_new_value(start, ask):
    item = start(items=ITEMS).store["list"]
    values = [1, 2]
    item.value = values
    values.append(3)
    assert item.value == [1, 2]
    item.value = values
    assert item.value == [1, 2, 3]


def test_numpys_numbers_are_numbers(start, ask):
    daemon = start(items=ITEMS)
    daemon.store["number"].value = np.float64(2.5)
    assert ask(daemon).get("pie.number")["value"] == 2.5


def test_an_array_is_kept_as_it_was_published(start):
    item = start(items=ITEMS).store["image"]
    array = np.arange(6.0).reshape(2, 3)
    item.value = array
    array[0, 0] = 99
    assert item.value.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(TypeError, match="object"):
        item.value = np.array([object()])


def test_initial_values_give_way_to_kept_ones(start, ask):
    """A persistent value and an array outlive the daemon; others begin anew."""
    daemon = start(items=ITEMS)
    assert daemon.store["kept"].value == 1
    ask(daemon).set("pie.kept", 23)
    ask(daemon).set("pie.number", 5)
    daemon.store["image"].value = np.eye(2)
    daemon.cleanup()

    again = start(items=ITEMS)
    assert again.store["kept"].value == 23
    assert again.store["image"].value.tolist() == [[1, 0], [0, 1]]
    assert again.store["number"].value is None
    assert again.store["fixed"].value == 7


def test_what_is_published_before_the_daemon_is_on_the_air_is_kept(start):
    """In setup too, if nothing was kept before."""

    class Daemon(mktl.Daemon):
        def setup(self):
            self.store["image"].publish(np.eye(2))
            self.store["kept"].publish(4)

        def setup_final(self):
            self.store["_fruitdev"].publish("bakes")

    start(Daemon, ITEMS).cleanup()
    again = start(items=ITEMS).store
    assert again["image"].value.tolist() == [[1, 0], [0, 1]]
    assert again["_fruitdev"].value == "bakes"
    assert again["kept"].value == 1  # its initial value came after


def test_a_daemon_that_does_not_get_far_leaves_what_was_kept(start):
    class Broken(mktl.Daemon):
        def setup(self):
            self.store["kept"].publish(4)
            raise OSError("no controller")

    daemon = start(items=ITEMS)
    daemon.store["kept"].publish(23)
    daemon.cleanup()
    with pytest.raises(OSError, match="controller"):
        start(Broken, ITEMS)
    assert start(items=ITEMS).store["kept"].value == 23


def test_a_kept_value_keeps_its_time(start):
    daemon = start(items=ITEMS)
    daemon.store["kept"].publish(23, 1000.5)
    daemon.store["image"].publish(np.eye(2), 2000.5)
    daemon.cleanup()
    again = start(items=ITEMS).store
    assert (again["kept"].value, again["kept"].timestamp) == (23, 1000.5)
    assert again["image"].timestamp == 2000.5


def test_what_need_not_persist_any_more_begins_anew(start):
    daemon = start(items=ITEMS)
    daemon.store["kept"].publish(23)
    daemon.cleanup()
    items = {**ITEMS, "kept": {"type": "numeric", "initial": 1}}
    assert start(items=items).store["kept"].value == 1


@pytest.mark.parametrize("restart", [False, True])
def test_an_item_that_is_added_on_the_air_gets_its_kept_value(start, restart):
    """Also if it was removed a moment ago."""
    described = {"type": "numeric", "persist": True, "initial": 1}
    daemon = start(items=ITEMS)
    daemon.add_item(mktl.Item, "late", description=described).publish(5, 1000.5)
    daemon.remove_item("late")
    if restart:
        daemon.cleanup()
        daemon = start(items=ITEMS)
    daemon.add_items({"late": described})
    assert (daemon.store["late"].value, daemon.store["late"].timestamp) == (5, 1000.5)


def test_a_value_that_cannot_be_kept_does_not_keep_others_from_disk(start, community):
    daemon = start(items=ITEMS)
    # Nothing can be put in place of a folder.
    (community / "daemon" / "persist" / daemon.uuid / "image").mkdir(parents=True)
    daemon.store["image"].publish(np.eye(2))
    daemon.store["kept"].publish(23)
    daemon.cleanup()
    (community / "daemon" / "persist" / daemon.uuid / "image").rmdir()
    assert start(items=ITEMS).store["kept"].value == 23


def test_an_initial_value_that_does_not_fit_is_refused_by_its_key(start):
    with pytest.raises(ValueError, match=r"pie\.n"):
        start(items={"n": {"type": "numeric", "initial": "many"}})


# User code


class Careful(mktl.Item):
    def validate(self, value):
        if value < 0:
            raise ValueError("less than nothing")
        return value * 2

    def perform_set(self, value):
        if value == 26:
            raise TimeoutError("unlucky")
        return "said" if value == 14 else None


def test_what_perform_set_raises_the_client_is_told(start, ask):
    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Careful, "number")

    peer = ask(start(Daemon, ITEMS))
    for value, kind, text in (
        (-1, "ValueError", "less than nothing"),
        (13, "TimeoutError", "unlucky"),
        ("x", "ValueError", "'x'"),
    ):
        error = peer.set("pie.number", value)["error"]
        assert error["type"] == kind
        assert text in error["text"]
    assert peer.set("pie.number", 7)["value"] == "said"
    assert peer.get("pie.number")["value"] == 14
    assert peer.set("pie.number", 2) == {"value": True}


def test_a_method_can_be_given_to_one_item(start, ask):
    """By assignment, whenever; it may call what it takes the place of."""
    daemon = start(items=ITEMS)
    number, peer = daemon.store["number"], ask(daemon)
    assert peer.set("pie.number", 1)["value"] is True
    performed = []
    number.perform_set = performed.append
    number.validate = lambda value: value + 1
    assert peer.set("pie.number", 2)["value"] is True
    assert performed == [3]
    assert peer.get("pie.number", refresh=True)["value"] == 3

    get = number.perform_get
    number.perform_get = lambda: get().value * 2
    assert peer.get("pie.number", refresh=True)["value"] == 6
    text = daemon.store["text"]
    assert text.validate(1) == 1
    assert text.perform_set(1) is None


def test_every_set_leaves_a_line_for_who_looks(start, ask, caplog):
    """Of plain items and of others; `log_on_set` ends it for one item."""

    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Careful, "number")
            self.store["list"].log_on_set = False

    peer = ask(start(Daemon, ITEMS))
    caplog.set_level("DEBUG", "mktl_daemon.item")
    for key, value in (("number", 2), ("text", "a"), ("text", "b"), ("list", [1])):
        assert peer.set(f"pie.{key}", value)["value"] is True
    lines = [line for line in caplog.messages if line.startswith("SET of")]
    assert [line.split(":")[0] for line in lines] == [
        "SET of pie.number",
        "SET of pie.text",
        "SET of pie.text",
    ]


def test_a_field_that_nobody_knows_is_no_trouble(start, ask):
    """Whatever its name; in a SET that user code takes part in, too."""

    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Careful, "number")

    peer = ask(start(Daemon, ITEMS))
    ident = peer.send(b"SET", "pie.number", b'{"value":1,"self":2,"omit":3,"cls":4}')
    assert peer.reply(ident) == {"value": True}


class Leaving(mktl.Item):
    def perform_set(self, value):
        if value == 1:
            sys.exit("enough")


def test_a_method_that_means_to_end_the_program_ends_only_itself(start, ask, box):
    """The client is told, and the next SET and the next value find who takes them."""

    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Leaving, "number")

    def leave(item, value, when):
        box.put(value)
        sys.exit("me, too")

    daemon = start(Daemon, ITEMS)
    daemon.store["text"].register(leave)
    peer = ask(daemon)
    error = peer.set("pie.number", 1)["error"]
    assert (error["type"], error["text"]) == ("SystemExit", "enough")
    for number in range(40):  # more than there are threads to lose
        assert peer.set("pie.number", 1)["error"]
        assert peer.set("pie.text", str(number))["value"]
    assert peer.set("pie.number", 2)["value"]
    assert box.wait(40) == [str(number) for number in range(40)]


class Deferred(mktl.Item):
    publish_on_set = False
    futures = None

    def perform_set(self, value):
        future = Future()
        self.futures.put((value, future))
        return future


@pytest.fixture
def deferred(start, box):
    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Deferred, "number").futures = box

    return start(Daemon, ITEMS)


def test_hundreds_of_sets_wait_without_a_thread_each(deferred, ask, box):
    """They are answered when their Futures are, in any order."""
    peer = ask(deferred)
    idents = [peer.send(b"SET", "pie.number", b'{"value":%d}' % n) for n in range(300)]
    waiting = box.wait(300)
    assert [value for value, _ in waiting] == list(range(300))
    workers = [t for t in threading.enumerate() if t.name.startswith("mktl-worker")]
    assert len(workers) < 40
    for value, future in reversed(waiting):
        if value % 2:
            future.set_exception(TimeoutError("no answer"))
        else:
            future.set_result(None)
    replies = {}
    while len(replies) < 300:
        frames = peer.receive()
        if frames[2] == b"REP":
            replies[frames[1]] = frames[5]
    assert b"no answer" in replies[idents[1]]
    assert replies[idents[2]] == b'{"value":true}'


def test_a_set_that_waits_when_the_daemon_ends_is_answered(deferred, ask, box):
    peer = ask(deferred)
    peer.send(b"SET", "pie.number", b'{"value":1}')
    box.wait(1)
    deferred.cleanup()
    assert "stopped" in peer.reply()["error"]["text"]


def test_a_refresh_asks_perform_get_and_a_plain_get_does_not(start, ask):
    class Counting(mktl.Item):
        count = 0

        def perform_get(self):
            self.count += 1
            return self.count

    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Counting, "number")

    peer = ask(start(Daemon, ITEMS))
    assert [peer.get("pie.number", refresh=True)["value"] for _ in range(2)] == [1, 2]
    assert [peer.get("pie.number")["value"] for _ in range(2)] == [2, 2]


def test_performers_stand_in_for_methods(start, ask, box):
    daemon = start(items=ITEMS)
    daemon.add_performers([("NUMBER", "get", lambda: 12), ("text", "SET", box.put)])
    peer = ask(daemon)
    assert peer.get("pie.number", refresh=True)["value"] == 12
    peer.set("pie.text", "plum")
    assert box.wait(1) == ["plum"]
    with pytest.raises(KeyError):
        daemon.add_performer("unknown", "get", print)
    with pytest.raises(ValueError, match="ask"):
        daemon.add_performer("number", "ask", print)
    with pytest.raises(TypeError):
        daemon.add_get_performer("number", 3)


def test_handlers_answer_past_the_item(start, ask):
    daemon = start(items=ITEMS)
    peer = ask(daemon)
    assert peer.get("pie.text")["value"] == "apple"
    daemon.add_handlers(
        [
            ("text", "get", lambda request: mktl.Payload(value=request.target)),
            ("text", "set", lambda request: request.payload.value * 2),
        ]
    )
    assert peer.get("pie.text")["value"] == "pie.text"
    assert peer.set("pie.text", "ha")["value"] == "haha"
    assert daemon.store["text"].value == "apple"


def test_callbacks_hear_every_value_in_order(start, box):
    """Also when one raises, and when one publishes."""
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


def test_callbacks_hear_values_in_the_order_in_which_they_are_published(start, box):
    """Whichever threads publish: a callback does not end with an older value."""
    daemon = start(items=ITEMS)
    number = daemon.store["number"]
    number.register(lambda item, value, when: box.put(value))
    published, put = [], daemon.pub._put

    def note(topic, payload, bulk):
        if topic == b"pie.number.":
            published.append(json.loads(payload)["value"])
        put(topic, payload, bulk)

    daemon.pub._put = note

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


def test_a_bound_callback_goes_with_its_object(start, box):
    class Listener:
        def hear(self, item, value, when):
            box.put(value)

    item = start(items=ITEMS).store["number"]
    listener = Listener()
    item.register(listener.hear)
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


def test_a_blocked_method_delays_nobody_else(start, ask):
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
    """It answers for its catalog and keeps values, however many of them there are."""
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
    kept = paths.Kept(daemon.uuid)
    until(lambda: kept.read("kept"), "the value is on disk")
    gate.set()


def test_an_address_that_is_not_on_the_list_gets_no_answer(start, ask, caplog):
    class Options:
        allow = ("192.0.2.0/24",)

    peer = ask(start(items=ITEMS, options=Options()))
    peer.send(b"GET", "pie.text")
    assert not peer.socket.poll(500)
    assert "127.0.0.1" in caplog.text


def test_an_address_that_is_on_the_list_gets_one(start, ask):
    class Options:
        allow = ("192.0.2.0/24", "127.0.0.1")

    assert (
        ask(start(items=ITEMS, options=Options())).get("pie.text")["value"] == "apple"
    )


def test_loopback_is_the_default(start, monkeypatch):
    monkeypatch.delenv("MKTL_INTERFACE")
    daemon = start(items=ITEMS)
    assert (daemon.rep.host, daemon.pub.host) == ("127.0.0.1", "127.0.0.1")
    assert daemon.is_local


@pytest.mark.parametrize("interface", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "*", "lo"])
def test_the_provenance_names_an_address_that_answers_there(start, interface):
    class Options:
        pass

    Options.interface = interface
    daemon = start(items=ITEMS, options=Options())
    [place] = daemon.catalog["fruit"]["provenance"]
    asked = request.Client(place["hostname"], place["rep"])
    assert asked.get("pie.text") == "apple"
    asked.close()
    assert interface[0] not in "127" or place["hostname"] == interface


def test_a_list_that_is_none_is_refused(start, monkeypatch):
    monkeypatch.setenv("MKTL_ALLOW", "127.0.0.1, everybody")
    with pytest.raises(ValueError, match="everybody"):
        start(items=ITEMS)


def test_the_daemon_must_come_before_its_clients(start):
    daemon = start(items=ITEMS)
    assert mktl.get("pie.text") is daemon.store["text"]
    assert mktl.get("pie") is daemon.store
    daemon.cleanup()
    config.authoritative("pie", "fruit", ITEMS)
    mktl.get("pie")
    with pytest.raises(RuntimeError, match="before"):
        start(items=ITEMS)


def test_uptime_goes_out_again_and_again(start, box):
    daemon = start(items=ITEMS)
    daemon.store["_fruitclk"].register(lambda item, value, when: box.put(value))
    values = box.wait(3)
    assert values == sorted(set(values))


def test_a_subscriber_that_never_reads_costs_bounded_memory_and_no_value(
    start, monkeypatch
):
    """Others get everything, while it loses what is more than its queue."""
    monkeypatch.setattr(publish, "_QUEUE", 1000)
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
    monkeypatch.setattr(publish, "_WAITING", limit)
    monkeypatch.setattr(publish, "_MOST", 4 * limit)
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
            assert daemon.pub._backlog.waiting <= 4 * limit
        idle.close()
        reader.close()
    assert "does not keep up" in caplog.text


def test_what_waits_on_one_topic_is_counted_while_another_is_read(
    start, monkeypatch, caplog
):
    """A topic's values are counted some at a time: never with those of another."""
    monkeypatch.setattr(publish, "_WAITING", 8_000_000)
    monkeypatch.setattr(publish, "_MOST", 32_000_000)
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
    assert "does not keep up" in caplog.text


def megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6
