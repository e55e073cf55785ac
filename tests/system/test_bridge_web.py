"""The bridge's small web servers hold out against whoever connects."""

from __future__ import annotations

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
    """Serve "here" until the test ends, or what *get* answers."""
    started = []

    def serve(idle, get=lambda path: (200, PLAIN, b"here")):
        monkeypatch.setattr(module, "IDLE", idle)
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


def test_a_connection_without_a_request_is_closed_and_said_nothing_of(serve, capfd):
    port = serve(idle=0.1)
    with connection(port) as silent:
        assert silent.recv(1) == b"", "closed"

    assert get(port) == b"here"
    assert capfd.readouterr().err == ""


def test_a_client_that_goes_before_its_answer_is_said_nothing_of(serve, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    asked, gone = threading.Event(), threading.Event()

    def answer(path):
        asked.set()
        assert gone.wait(20)
        return 200, PLAIN, b"x" * (1 << 24)

    port = serve(idle=0.2, get=answer)
    with connection(port) as hasty:
        hasty.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert asked.wait(20)
    gone.set()
    assert get(port)
    assert "Traceback" not in capfd.readouterr().err


def test_no_more_connections_are_served_than_it_has_threads_for(serve):
    port = serve(idle=20.0)
    waiting = [connection(port) for _ in range(module.MOST)]
    for each in waiting:
        each.sendall(b"GET / HTTP/1.0\r\n")
    with connection(port) as one_more:
        assert one_more.recv(1) == b"", "closed at once"
    threads = [each for each in threading.enumerate() if "process_request" in each.name]
    assert len(threads) == module.MOST

    waiting[0].sendall(b"\r\n")
    assert b"here" in waiting[0].makefile("rb").read()
    for each in waiting:
        each.close()
