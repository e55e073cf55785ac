"""What a daemon stores for clients that do not read their replies."""

from __future__ import annotations

import json

import pytest
import zmq

from mktl_daemon.core import wire
from mktl_daemon.net import loop, router

DEADLINE = 20.0
LIMIT = 8_000_000


class RequestHandler:
    """Replies with a megabyte that is a new one each time, or always the same one."""

    def __init__(self, way):
        self._way = way
        self.requests = 0
        self.same = b'{"value":"%b"}' % (b"x" * 1_000_000)

    def _payload(self):
        self.requests += 1
        return self.same[:-2] + b'%d"}' % self.requests

    def at_once(self, kind, target, payload):
        if target == b"pie.small":
            return b'{"value":1}', None, False
        if target == b"pie.same":
            return self.same, None, False
        if self._way == "at once":
            return self._payload(), None, False
        if self._way == "bulk":
            return b"{}", self._payload(), False
        return None

    def answered(self):
        pass

    def handle(self, ticket):
        ticket.reply(self._payload())


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr(router, "_WAITING", LIMIT)
    made = []

    def start(way):
        handler = RequestHandler(way)
        server = router.Server(loop.shared(), handler, "127.0.0.1")
        server.start()
        made.append(server)
        return server, handler

    yield start
    for server in made:
        server.close()


@pytest.fixture
def connect():
    with zmq.Context() as context:
        made = []

        def connect(server):
            peer = context.socket(zmq.DEALER)
            made.append(peer)
            peer.linger, peer.rcvhwm, peer.sndhwm = 0, 1, 0
            peer.rcvtimeo = int(DEADLINE * 1000)
            peer.connect(f"tcp://127.0.0.1:{server.port}")
            return peer

        yield connect
        context.destroy(linger=0)


def ask(peer, target, ident=b"1"):
    peer.send_multipart(wire.Request(ident, wire.GET, target).encode())


def reply(peer):
    while (frames := peer.recv_multipart())[2] != b"REP":
        pass
    return frames


@pytest.mark.parametrize("way", ["at once", "bulk", "later"])
def test_large_replies_wait_up_to_a_limit_for_a_client_that_does_not_read(
    serve, connect, until, way
):
    """Above the limit an error is sent instead. All other clients get their replies."""
    server, handler = serve(way)
    deaf, other = connect(server), connect(server)
    for _ in range(200):
        ask(deaf, "pie.large")
    until(lambda: handler.requests == 200, "all are looked at")
    ask(other, "pie.large")
    assert len(b"".join(reply(other))) > 1_000_000
    assert all(each.waiting <= LIMIT for each in server.backlogs.values())

    refused = 0
    for _ in range(200):
        frames = reply(deaf)
        if len(b"".join(frames)) < 1_000_000:
            assert "wait" in json.loads(frames[5])["error"]["text"]
            refused += 1
    assert 100 < refused < 200
    ask(deaf, "pie.large")
    assert len(b"".join(reply(deaf))) > 1_000_000


def test_the_same_large_value_in_many_replies_is_stored_once(serve, connect):
    """So a thousand GETs of it at once are all answered."""
    server, handler = serve("at once")
    peer = connect(server)
    for _ in range(300):
        ask(peer, "pie.same")
    assert {reply(peer)[5] for _ in range(300)} == {handler.same}


@pytest.mark.soak
def test_tens_of_thousands_of_small_replies_wait_and_none_is_lost(serve, connect):
    server, _handler = serve("at once")
    peer, other = connect(server), connect(server)
    for number in range(40_000):
        ask(peer, "pie.small", b"%d" % number)
    ask(other, "pie.small")
    reply(other)
    assert [reply(peer)[1] for _ in range(40_000)] == [b"%d" % n for n in range(40_000)]


def test_clients_that_have_left_are_forgotten(serve, connect):
    """This is so however many have asked for large values."""
    server, _handler = serve("at once")
    for _ in range(3 * router.CLIENTS):
        peer = connect(server)
        ask(peer, "pie.large")
        reply(peer)
        peer.close()
    assert len(server.backlogs) <= router.CLIENTS + 1
