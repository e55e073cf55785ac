"""Daemons in this process. Each test has its own home and discovery ports."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections import Counter

import pytest
import zmq

import mktl_daemon as mktl
from mktl_daemon import config
from mktl_daemon.testing import close, forget
from tests.mktl_daemon.conftest import free_udp

DEADLINE = 20.0

ITEMS = {
    "number": {"type": "numeric"},
    "text": {"type": "string", "initial": "apple"},
    "fixed": {"type": "numeric", "settable": False, "initial": 7},
    "kept": {"type": "numeric", "persist": True, "initial": 1},
    "image": {"type": "bulk", "persist": True},
    "list": {"type": "numeric array"},
}


@pytest.fixture
def community(tmp_path, monkeypatch):
    """An empty home, and discovery ports on which nobody else listens."""
    monkeypatch.setenv("MKTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MKTL_INTERFACE", "127.0.0.1")
    monkeypatch.setenv("MKTL_DISCOVERY", f"{free_udp()},{free_udp()}")
    forget()
    yield tmp_path / "home"
    forget()


@pytest.fixture
def start(community):
    """Return a function that starts daemons. They always end with the test."""
    started = []

    def begin(kind=mktl.Daemon, items=None, store="pie", alias="fruit", **options):
        if items is not None:
            config.authoritative(store, alias, items)
        daemon = kind(store, alias, **options)
        started.append(daemon)
        return daemon

    yield begin
    for daemon in started:
        daemon.cleanup()


class Peer:
    """A client that only knows frames."""

    def __init__(self, context, port):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self._count = 0

    def send(self, kind, target, payload=b""):
        self._count += 1
        ident = b"%08x" % self._count
        self.socket.send_multipart([b"a", ident, kind, target.encode(), b"", payload])
        return ident

    def receive(self):
        assert self.socket.poll(DEADLINE * 1000), "no reply came"
        return self.socket.recv_multipart()

    def reply(self, ident=None):
        """Return the fields of the next reply, or of the reply to *ident*."""
        while True:
            frames = self.receive()
            if frames[2] == b"REP" and ident in (None, frames[1]):
                return json.loads(frames[5])

    def get(self, target, **fields):
        payload = json.dumps(fields).encode() if fields else b""
        return self.reply(self.send(b"GET", target, payload))

    def set(self, target, value):
        payload = json.dumps({"value": value}).encode()
        return self.reply(self.send(b"SET", target, payload))


@pytest.fixture
def ask():
    """Return a function that connects a raw client to a daemon of this process."""
    context, peers = zmq.Context(), []

    def connect(daemon):
        peers.append(Peer(context, daemon.rep.port))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.socket.close()
    context.term()


class Box:
    """Collects the values of callbacks, and waits for them."""

    def __init__(self):
        self.things = []
        self._changed = threading.Condition()

    def put(self, *things):
        with self._changed:
            self.things.append(things[0] if len(things) == 1 else things)
            self._changed.notify_all()

    def wait(self, count):
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.things) >= count, DEADLINE)
        assert done, f"{len(self.things)} of {count} came: {self.things!r:.200}"
        return self.things

    def wait_for(self, thing):
        """Wait until *thing* has come, whatever came before it."""
        with self._changed:
            done = self._changed.wait_for(lambda: thing in self.things, DEADLINE)
        assert done, f"{thing!r} is not among {self.things!r:.200}"


@pytest.fixture
def box():
    return Box()


def is_asking():
    """Return whether a thread waits for a reply on its own socket."""
    return any(
        frame.f_code.co_filename.endswith("net/line.py")
        for top in sys._current_frames().values()  # noqa: SLF001 - it is documented
        for frame, _ in traceback.walk_stack(top)
    )


@pytest.fixture(scope="session", autouse=True)
def _end_of_the_loop():
    yield
    # A socket that a thread reads cannot be closed. A client that follows items ends
    # its read in time.
    until = time.monotonic() + DEADLINE
    while is_asking() and time.monotonic() < until:
        time.sleep(0.1)  # the pause between two looks at the threads
    if is_asking():
        return
    close()


PUPPET = "00000000-0000-4000-8000-000000000001"


class Puppet:
    """A daemon with one item, which publishes only what a test tells it to."""

    def __init__(self, context):
        self.router, self.pub = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
        self.rep_port, self.pub_port = (
            socket.bind_to_random_port("tcp://127.0.0.1")
            for socket in (self.router, self.pub)
        )
        self.reply = {"value": True}  # the reply to the next SET
        self.current = {"value": 1, "time": 1.0}  # the reply to any other GET
        self.hashes = {"value": {"puppet": {PUPPET: 1}}}
        # How many of the next requests for the item get no answer, by kind: while a
        # test waits, the client may also read the item by itself.
        self.lost = Counter()
        self._is_over = False
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def stop(self):
        self._is_over = True
        self._thread.join()

    def _answer(self):
        while not self._is_over:
            if not self.router.poll(20):
                continue
            routing, _, ident, kind, target, *_ = self.router.recv_multipart()
            reply = self.reply if kind == b"SET" else self.current
            if target.endswith(b"_hash"):
                reply = self.hashes
            elif self.lost[kind]:
                self.lost[kind] -= 1
                continue
            for word, payload in ((b"ACK", b""), (b"REP", json.dumps(reply).encode())):
                self.router.send_multipart(
                    [routing, b"a", ident, word, target, b"", payload]
                )

    def publish(self, value, when):
        payload = json.dumps({"value": value, "time": when}).encode()
        self.pub.send_multipart([b"puppet.number.", b"a", payload])


@pytest.fixture
def puppet(community):
    with zmq.Context() as context:
        puppet = Puppet(context)
        block = {
            "store": "puppet",
            "alias": "hand",
            "uuid": PUPPET,
            "hash": 1,
            "time": 1.0,
            "provenance": [
                {
                    "stratum": 0,
                    "hostname": "127.0.0.1",
                    "rep": puppet.rep_port,
                    "pub": puppet.pub_port,
                }
            ],
            "items": {"number": {"type": "numeric"}},
        }
        config.known("puppet").update(block, save=False)
        yield puppet
        puppet.stop()
        context.destroy(linger=0)
