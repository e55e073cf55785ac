"""The bridge's small web servers serve on, whoever connects."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import urllib.request
from concurrent.futures import Future

import pytest

from mqtt_bridge import http_server as module
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Changes
from mqtt_bridge.http_server import PLAIN, HttpServer, Routes
from mqtt_bridge.settings.model import Web
from mqtt_bridge.web import connections, server, streams, views
from mqtt_bridge.web.server import WebServer
from tests.mqtt_bridge import messages as m

pytestmark = pytest.mark.system


@pytest.fixture
def serve(monkeypatch):
    """Return a function that starts a server. It ends with the test.

    The server answers "here", or the result of *get*.
    """
    started = []

    def serve(whole, get=lambda path: (200, PLAIN, b"here")):
        monkeypatch.setattr(module, "WHOLE", whole)
        started.append(HttpServer(("127.0.0.1", 0), Routes(get, get), "test-web"))
        return started[-1].port

    yield serve
    for each in started:
        each.close()


def connection(port):
    made = socket.create_connection(("127.0.0.1", port))
    made.settimeout(20)
    return made


def get(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        return answer.read()


def test_a_connection_without_a_request_is_closed_and_not_reported(serve, capfd):
    port = serve(whole=0.1)
    with connection(port) as silent:
        assert silent.recv(1) == b"", "the connection is closed"

    assert get(port) == b"here"
    assert capfd.readouterr().err == ""


def test_a_client_that_leaves_before_its_answer_is_not_reported(serve, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    is_requested, gone = threading.Event(), threading.Event()

    def answer(path):
        is_requested.set()
        assert gone.wait(20)
        return 200, PLAIN, b"x" * (1 << 24)

    port = serve(whole=20, get=answer)
    with connection(port) as hasty:
        hasty.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert is_requested.wait(20)
    gone.set()
    assert get(port)
    assert "Traceback" not in capfd.readouterr().err


def drip(port, over):
    """Send a request one byte at a time until *over* is set."""
    with connection(port) as made, contextlib.suppress(OSError):
        made.sendall(b"GET / HTTP/1.0\r\nX: ")
        while not over.wait(0.02):
            made.sendall(b"x")


def test_twenty_slow_connections_do_not_lock_out_others(serve):
    """The oldest connection is closed, and the number of threads has a limit."""
    port = serve(whole=60.0)
    over = threading.Event()
    dripping = [
        threading.Thread(target=drip, args=(port, over)) for _ in range(2 * module.MOST)
    ]
    for each in dripping:
        each.start()
    try:
        for _ in range(3):
            assert get(port) == b"here"
        names = [each.name for each in threading.enumerate()]
        assert sum("process_request" in name for name in names) <= module.MOST + 3
    finally:
        over.set()
        for each in dripping:
            each.join(20)


def test_a_request_that_is_sent_slowly_has_one_deadline(serve):
    port, over = serve(whole=0.3), threading.Event()
    with connection(port) as slow:
        slow.sendall(b"GET / HTTP/1.0\r\nX: ")
        with contextlib.suppress(OSError):
            while not over.wait(0.02):
                slow.sendall(b"x")
        with contextlib.suppress(ConnectionError):
            assert slow.recv(1) == b""


def test_an_ipv6_address_is_served():
    try:
        web = HttpServer(
            ("::1", 0), Routes(lambda _: (200, PLAIN, b"six"), None), "web"
        )
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback")
    with urllib.request.urlopen(f"http://[::1]:{web.port}/", timeout=20) as answer:
        assert answer.read() == b"six"
    web.close()


class Source:
    """A bridge without printers."""

    def __init__(self):
        self.fleet, self.observers = Fleet(), []

    def call(self, function):
        future = Future()
        future.set_result(function())
        return future


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def page(source):
    """The port of a page that needs no token."""
    made = WebServer(source, Web(listen=("127.0.0.1", 0)))
    yield made.start()
    made.close()


FOLLOW = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def read_until(follower, text):
    read = b""
    while text not in read:
        data = follower.recv(1 << 16)
        assert data, "the connection is open"
        read += data


def printers(port):
    address = f"http://127.0.0.1:{port}/api/printers"
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read()


def test_connections_without_a_request_do_not_block_the_page(source, page, monkeypatch):
    """The oldest connection is closed, and a browser that follows is still served."""
    monkeypatch.setattr(connections, "MOST", 5)
    with contextlib.ExitStack() as stack:
        follower = stack.enter_context(connection(page))
        follower.sendall(FOLLOW)
        assert follower.recv(1)
        slow = [stack.enter_context(connection(page)) for _ in range(10)]
        for each in slow:
            with contextlib.suppress(OSError):
                each.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(3):
            assert b"printers" in printers(page)
        for each in slow[:5]:
            with contextlib.suppress(ConnectionError):
                assert each.recv(1) == b"", "closed"
        [observe] = source.observers
        observe(frozenset({"voron"}))
        read_until(follower, b'"gone": ["voron"]')


def test_the_oldest_of_many_connections_with_a_request_is_closed(page, monkeypatch):
    monkeypatch.setattr(connections, "MOST", 2)
    with contextlib.ExitStack() as stack:
        followers = []
        for _ in range(3):
            followers.append(stack.enter_context(connection(page)))
            followers[-1].sendall(FOLLOW)
            assert followers[-1].recv(1)
        with contextlib.suppress(ConnectionError):
            while followers[0].recv(1 << 16):
                pass
        assert b"printers" in printers(page)


def test_a_command_to_the_page_has_a_maximum_size_and_a_deadline(page, monkeypatch):
    monkeypatch.setattr(server, "WHOLE", 0.2)
    head = (
        b"POST /api/command HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    for size, status in ((100, b" 408 "), (server.MOST_BODY + 1, b" 413 ")):
        with connection(page) as made:
            made.sendall(head % size + b" " * (size if status == b" 413 " else 1))
            assert status in made.recv(1 << 16)


def test_the_number_of_browsers_that_follow_is_limited(page, monkeypatch):
    monkeypatch.setattr(streams, "MOST", 1)
    with connection(page) as first, connection(page) as second:
        first.sendall(FOLLOW)
        assert b" 200 " in first.recv(1 << 16)
        second.sendall(FOLLOW)
        assert b" 503 " in second.recv(1 << 16)


def test_a_slow_browser_is_disconnected_and_others_get_their_changes(monkeypatch):
    """It reads everything again after it reconnects."""
    monkeypatch.setattr(streams, "BEHIND", 2)
    made = streams.Streams()
    slow, quick = made.open(), made.open()
    for number in range(4):
        made.send(b"%d" % number)
        assert quick.get_nowait() == b"%d" % number
    assert [slow.get_nowait() for _ in range(slow.qsize())] == [b"0", b"1", None]
    assert len(made) == 1


@pytest.mark.logs_errors
def test_a_printer_that_cannot_be_shown_does_not_hide_the_others(monkeypatch, caplog):
    """This is so when the page is opened, and while a browser follows it."""
    source, shows = Source(), views.printer

    def show(printer):
        if printer.slug == "bad":
            raise ValueError("it cannot be shown")
        return shows(printer)

    monkeypatch.setattr(views, "printer", show)
    for slug in ("bad", "good"):
        for topic, payload in m.printer(slug).items():
            source.fleet.receive(topic, payload, 0.0, Changes())
    made = WebServer(source, Web(listen=("127.0.0.1", 0)))
    port = made.start()
    try:
        with connection(port) as follower:
            follower.sendall(FOLLOW)
            read_until(follower, b"retry")
            [shown] = json.loads(printers(port))["printers"]
            assert shown["slug"] == "good"
            for _ in range(2):
                [observe] = source.observers
                observe(frozenset({"bad", "good"}))
                read_until(follower, b'"slug": "good"')
    finally:
        made.close()
    assert caplog.text.count("printer bad is left out") == 1
