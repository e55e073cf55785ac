"""Moonraker's totals, from a server that makes every possible mistake."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.history.moonraker import (
    Moonraker,
    Totals,
    grown,
)
from klippy_extra.web_address import default_url, parse_url
from tests.fakes.listening import listening

TIMEOUT = 0.3


def totals(hours=10.0, metres=20.0):
    job_totals = {
        "total_jobs": 3,
        "total_time": hours * 3600 * 2,
        "total_print_time": hours * 3600,
        "total_filament_used": metres * 1000,
        "longest_job": 0,
        "longest_print": 0,
    }
    return json.dumps({"result": {"job_totals": job_totals}}).encode()


def answer(body=b"", status="200 OK", length=None):
    length = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode() + body


class Server:
    """A real server. *behave* gets each connection after its request was read."""

    def __init__(self, behave):
        self.behave = behave
        self.requests = []
        self._listening = listening()
        self._open = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            self.requests.append(connection.recv(65536))
            self.behave(connection)
        except OSError:
            pass  # The client has closed the connection.
        finally:
            connection.close()

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def serve():
    servers = []

    def serve(behave):
        if isinstance(behave, bytes):
            reply = behave
            behave = lambda connection: connection.sendall(reply)  # noqa: E731
        servers.append(Server(behave))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def ask():
    """Return a function that starts asking a server.

    The totals arrive in a queue, in the reactor's place.
    """
    asking = []

    def ask(url, **options):
        received = queue.Queue()
        options = {"timeout": TIMEOUT, "interval": 0.02, **options}
        moonraker = Moonraker(url, lambda call: call(), received.put, **options)
        asking.append(moonraker)
        moonraker.start()
        moonraker.received = received
        return moonraker

    yield ask
    for moonraker in asking:
        moonraker.close()


def hang(connection):
    connection.recv(1)


def drip(connection):
    """Send one byte now and then, each within the socket's time-out."""
    for byte in answer(totals()):
        connection.sendall(bytes([byte]))
        if threading.Event().wait(TIMEOUT / 4):
            break


def test_totals_are_hours_and_metres(serve, ask):
    """They are of printing only. The time of whole jobs includes pauses and heating."""
    server = serve(answer(totals(hours=10.0, metres=20.0)))
    received = ask(server.url).received.get(timeout=5)

    assert received == Totals(print_time=10.0, filament=20.0, job_time=20.0)
    assert server.requests[0].startswith(b"GET /server/history/totals HTTP/1.1\r\n")


def test_an_address_may_have_a_path(serve, ask):
    server = serve(answer(totals()))
    ask(server.url + "/second/").received.get(timeout=5)

    assert server.requests[0].startswith(b"GET /second/server/history/totals ")


BAD = {
    "hangs up": b"",
    "401": answer(b"{}", "401 Unauthorized"),
    "403": answer(b"{}", "403 Forbidden"),
    "404": answer(b"{}", "404 Not Found"),
    "500": answer(b"oops", "500 Internal Server Error"),
    "no HTTP": b"\x00\xff garbage\r\n\r\n",
    "no JSON": answer(b"<html>Welcome</html>"),
    "not UTF-8": answer(b"\xff\xfe{}"),
    "empty": answer(b""),
    "null": answer(b"null"),
    "a list": answer(b"[]"),
    "no totals": answer(b'{"result": {}}'),
    "half the totals": answer(b'{"result":{"job_totals":{"total_print_time":1}}}'),
    "an error": answer(b'{"error": {"code": 400, "message": "no"}}'),
    "words": answer(totals().replace(b"36000.0", b'"many"')),
    "NaN": answer(totals().replace(b"36000.0", b"NaN")),
    "negative": answer(totals().replace(b"36000.0", b"-1")),
    "true": answer(totals().replace(b"36000.0", b"true")),
    "cut off": answer(totals()[:-9], length=10_000),
    "nested": answer(b"[" * 100_000),
    "hangs": hang,
    "drips": drip,
}


@pytest.mark.parametrize("how", list(BAD))
def test_wrong_answers_of_moonraker_give_no_totals_and_it_is_asked_again(
    serve, ask, caplog, how
):
    """The log has one line for the trouble and one for its end.

    Then the totals count.
    """
    caplog.set_level(logging.INFO)
    server = serve(BAD[how])
    moonraker = ask(server.url)
    deadline = time.monotonic() + 10
    while len(server.requests) < 3 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert len(server.requests) >= 3
    assert moonraker.received.empty()
    server.behave = lambda connection: connection.sendall(answer(totals()))

    assert moonraker.received.get(timeout=5).print_time == 10.0
    lines = [r.getMessage() for r in caplog.records if r.name == "root"]
    assert len(lines) == 2, lines
    assert lines[0].startswith("maintain: no totals from Moonraker: ")
    assert lines[1] == "maintain: Moonraker's totals can be read"


@pytest.mark.parametrize(
    ("how", "fix"),
    [("401", "trusted_clients"), ("404", "[history]"), ("hangs", "no answer within")],
)
def test_the_log_tells_the_fix(serve, ask, caplog, how, fix):
    server = serve(BAD[how])
    ask(server.url)
    deadline = time.monotonic() + 10
    while not caplog.records and time.monotonic() < deadline:
        threading.Event().wait(0.01)

    assert fix in caplog.records[0].getMessage()


def test_a_moonraker_that_does_not_run_is_asked_again(serve, ask, caplog):
    with listening() as taken:
        port = taken.getsockname()[1]
    ask(f"http://127.0.0.1:{port}")
    deadline = time.monotonic() + 10
    while not caplog.records and time.monotonic() < deadline:
        threading.Event().wait(0.01)

    assert "refused" in caplog.records[0].getMessage()


@pytest.mark.parametrize("behave", [hang, drip])
def test_closing_does_not_wait_for_a_server_that_hangs(serve, ask, behave):
    server = serve(behave)
    moonraker = ask(server.url, timeout=600.0)
    deadline = time.monotonic() + 10
    while not server.requests and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    began = time.monotonic()
    moonraker.close()

    assert time.monotonic() - began < 2
    assert moonraker.received.empty()
    assert not [t for t in threading.enumerate() if t.name.startswith("maintain")]


def test_asking_at_once_does_not_wait_for_the_interval(serve, ask):
    server = serve(answer(totals()))
    moonraker = ask(server.url, interval=3600.0)
    moonraker.received.get(timeout=5)
    moonraker.ask()

    assert moonraker.received.get(timeout=5) == Totals(10.0, 20.0, 20.0)


def test_closing_before_the_start_raises_nothing():
    Moonraker("http://127.0.0.1:1", lambda call: call(), print).close()


# From totals to meters


def test_totals_from_before_the_first_answer_do_not_count():
    assert grown(None, Totals(1000.0, 5000.0)) == {}


def test_the_meters_move_by_the_growth_of_the_totals():
    assert grown(Totals(10.0, 20.0), Totals(11.5, 20.0)) == {
        "moonraker_print_time": 1.5
    }
    assert grown(Totals(10.0, 20.0), Totals(10.0, 21.0)) == {"moonraker_filament": 1.0}


def test_totals_that_were_reset_start_again_from_zero():
    """What was used until the reset stays used."""
    assert grown(Totals(1000.0, 5000.0), Totals(0.0, 0.0)) == {}
    assert grown(Totals(1000.0, 5000.0), Totals(2.0, 3.0)) == {
        "moonraker_print_time": 2.0,
        "moonraker_filament": 3.0,
    }


readings = st.builds(Totals, st.floats(0, 1e6), st.floats(0, 1e6))


@given(st.lists(readings, max_size=20))
def test_a_meter_never_falls_whatever_the_totals_do(history):
    last = None
    for now in history:
        assert all(added > 0.0 for added in grown(last, now).values())
        last = now


@given(st.binary(max_size=200))
def test_any_bytes_are_totals_or_refused_with_one_exception_type(payload):
    with contextlib.suppress(ValueError):
        Totals.decode(payload)


@pytest.mark.parametrize("url", ["", "localhost", "ftp://x", "http://", "http://[::1"])
def test_a_text_that_is_no_address_is_refused_with_an_example(url):
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:7125"):
        parse_url(url)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("[server]\nhost: 0.0.0.0\nport: 7126\n", 7126),
        ("\ufeff[server]\r\nport: 7127 \r\n", 7127),
        ("[server]\nhost: 0.0.0.0\n", 7125),
        ("[server]\nport: many\n", 7125),
        ("port: 7126", 7125),
        ("[server]\nport: 7128\n[server]\n[a]\nx: %(y)s\n", 7128),
        (None, 7125),
    ],
)
def test_the_address_is_that_of_the_moonraker_beside_the_configuration(
    tmp_path, text, port
):
    if text is not None:
        (tmp_path / "moonraker.conf").write_bytes(text.encode())
    assert default_url(tmp_path / "printer.cfg") == f"http://127.0.0.1:{port}"


def test_an_address_may_be_ipv6_and_https():
    assert parse_url("https://[::1]:7130/a/")[:] == (True, "::1", 7130, "/a")
