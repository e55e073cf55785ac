"""Habits of programs that were written for the reference."""

from __future__ import annotations

import logging
import math
import threading
import types

import pytest

import mktl_daemon as mktl
from mktl_daemon import config, find
from tests.mktl_daemon.unit.conftest import DEADLINE, ITEMS


class Doubling(mktl.Item):
    def perform_get(self):
        return 2


@pytest.mark.parametrize("way", ["store", "get", "watch"])
def test_add_item_replaces_an_item_that_was_only_read(start, box, way):
    """Its callbacks are moved to the new item."""

    class Daemon(mktl.Daemon):
        def setup(self):
            if way == "watch":
                self.add_item(Doubling, "fixed").watch(self.store["number"])
            elif way == "get":
                mktl.get("pie", "number")
            self.store["number"].register(lambda item, value, when: box.put(value))
            self.add_item(Doubling, "number")

    daemon = start(Daemon, ITEMS)
    assert type(daemon.store["number"]) is Doubling
    daemon.store["number"].publish(9)
    assert box.wait(1)[-1] == 9
    with pytest.raises(RuntimeError, match="is there already"):
        daemon.add_item(Doubling, "number")


def test_an_error_in_cleanup_does_not_hide_the_one_in_setup(start, caplog):
    class Daemon(mktl.Daemon):
        def setup(self):
            raise OSError("no controller")

        def cleanup(self):
            raise AttributeError("no controller to close")

    with pytest.raises(OSError, match="no controller"):
        start(Daemon, ITEMS)
    assert "no controller to close" in caplog.text


def test_a_poll_that_fails_is_reported_once_and_again_when_it_works(start, box, caplog):
    caplog.set_level(logging.WARNING)
    daemon = start(items=ITEMS)
    results = iter([OSError("cable"), OSError("cable"), 1, 2])

    def read():
        result = next(results, 3)
        box.put(result)
        if isinstance(result, OSError):
            raise result
        return result

    daemon.add_performer("number", "get", read)
    daemon.store["number"].poll(0.01)
    box.wait(5)
    lines = [line for line in caplog.messages if "pie.number" in line]
    assert lines == [
        "the poll of pie.number fails",
        "the poll of pie.number works again",
    ]


def test_options_with_another_meaning_are_ignored(start):
    """A serial interface is a path, and a switch is no list of addresses."""
    options = types.SimpleNamespace(interface="/dev/ttyUSB0", allow=True)
    daemon = start(items=ITEMS, options=options)
    assert daemon.hostname == "127.0.0.1"


def test_a_payload_that_is_no_json_is_an_error_in_a_get_too(start, ask):
    peer = ask(start(items=ITEMS))
    for _ in range(2):  # before the item is remembered, and afterwards
        reply = peer.reply(peer.send(b"GET", "pie.text", b"{refresh"))
        assert reply["error"]["type"] == "MalformedError"
        assert peer.get("pie.text")["value"] == "apple"


def test_nan_is_the_same_at_both_ends(start, ask):
    daemon = start(items=ITEMS)
    item = daemon.store["number"]
    item.set(math.nan)
    assert math.isnan(item.value)
    peer = ask(daemon)
    assert peer.get("pie.number")["nonfinite"] == "nan"
    reply = peer.reply(peer.send(b"SET", "pie.number", b'{"value": Infinity}'))
    assert reply["value"] is True
    assert item.value == math.inf


def test_a_block_without_an_alias_is_accepted(community):
    """The document of edition 1 has such a block."""
    block = {"store": "tart", "uuid": "u-1", "items": {"a": {"type": "numeric"}}}
    config.known("tart").update(block, save=False)
    assert config.get("tart").keys() == ["a"]


def test_a_known_store_does_not_wait_for_a_search(start, monkeypatch):
    start(items=ITEMS)
    searching, go_on = threading.Event(), threading.Event()

    def search(catalog, *_):
        searching.set()
        go_on.wait(DEADLINE)
        return set()

    monkeypatch.setattr(find, "refresh", search)

    def get():
        with pytest.raises(RuntimeError):
            mktl.get("nowhere")

    thread = threading.Thread(target=get)
    thread.start()
    assert searching.wait(DEADLINE)
    assert mktl.get("pie.text").value == "apple"
    go_on.set()
    thread.join()
