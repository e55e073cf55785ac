"""What users' methods can do, and what their exceptions become."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future

import pytest

import mktl_daemon as mktl
from tests.mktl_daemon.unit.conftest import ITEMS


class Careful(mktl.Item):
    def validate(self, value):
        if value < 0:
            raise ValueError("less than nothing")
        return value * 2

    def perform_set(self, value):
        if value == 26:
            raise TimeoutError("unlucky")
        return "said" if value == 14 else None


def test_an_exception_in_perform_set_reaches_the_client(start, ask):
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
    """It can be assigned at any time, and may call the method that it replaces."""
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


def test_every_set_writes_one_line_into_the_log(start, ask, caplog):
    """This is so for all items. `log_on_set` switches it off for one item."""

    class Daemon(mktl.Daemon):
        def setup(self):
            self.add_item(Careful, "number")
            self.store["list"].log_on_set = False

    peer = ask(start(Daemon, ITEMS))
    caplog.set_level("DEBUG", "mktl_daemon.daemon_end")
    for key, value in (("number", 2), ("text", "a"), ("text", "b"), ("list", [1])):
        assert peer.set(f"pie.{key}", value)["value"] is True
    lines = [line for line in caplog.messages if line.startswith("SET of")]
    assert [line.split(":")[0] for line in lines] == [
        "SET of pie.number",
        "SET of pie.text",
        "SET of pie.text",
    ]


def test_an_unknown_field_does_no_harm(start, ask):
    """It may have any name. This is so also in a SET that runs user code."""

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


@pytest.mark.logs_errors
def test_a_method_that_raises_system_exit_ends_only_itself(start, ask, box):
    """The client gets the error, and the next SET and the next value are handled."""

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
    for number in range(40):  # more than the threads that could be lost
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


def test_hundreds_of_sets_wait_without_threads(deferred, ask, box):
    """Each is answered when its Future has a result, in any order."""
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


def test_a_refresh_calls_perform_get_and_a_plain_get_does_not(start, ask):
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


def test_performers_can_replace_methods(start, ask, box):
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


def test_handlers_answer_in_the_place_of_the_item(start, ask):
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
