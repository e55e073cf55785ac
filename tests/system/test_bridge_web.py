"""The bridge's small web servers serve on, whoever connects."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import urllib.request

import pytest

from mqtt_bridge import http_server as module
from mqtt_bridge.http_server import PLAIN, HttpServer, Routes

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
