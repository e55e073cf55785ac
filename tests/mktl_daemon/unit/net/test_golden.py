"""The protocol's frames in a file: encoding makes and decoding accepts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zmq

from mktl_daemon.core import wire
from mktl_daemon.net import dealer, loop, pub, router

DEADLINE = 20.0

GOLDEN = json.loads(
    Path(__file__).parents[2].joinpath("golden").joinpath("frames.json").read_text()
)


def octets(text):
    """Return the bytes for a text of the file."""
    if text.startswith("hex:"):
        return bytes.fromhex(text.removeprefix("hex:"))
    return text.encode()


def cases(kind):
    """Return the parameters of a test over all messages of a kind."""
    return pytest.mark.parametrize(
        ("message", "frames", "target"),
        [
            pytest.param(
                fields(each[kind]),
                [octets(frame) for frame in each["frames"]],
                each.get("target", ""),
                id=each["what"],
            )
            for each in GOLDEN
            if kind in each
        ],
    )


def fields(message):
    """Return a message's fields: bytes, except target, flags and true fields."""
    return {
        name: octets(value) if isinstance(value, str) and name != "target" else value
        for name, value in message.items()
    }


@cases("request")
def test_a_request_has_these_frames(message, frames, target):
    request = wire.Request(**message)
    assert request.encode() == frames
    assert wire.Request.decode(frames) == request


@cases("answer")
def test_a_reply_has_these_frames(message, frames, target):
    reply = wire.Answer(**message)
    assert wire.Answer.decode(frames) == reply
    request = wire.Request(reply.ident, wire.GET, target, early=reply.early)
    ticket = router.Ticket(None, b"routing", request)
    sent = ticket.frames(reply.kind, reply.payload, reply.bulk)
    assert sent == [b"routing", *frames]
    # A client has a faster way for most of them.
    assert dealer.read_answer([zmq.Frame(frame) for frame in frames]) == reply


@cases("publication")
def test_a_publication_has_these_frames(message, frames, target):
    publication = wire.Publication(**message)
    assert wire.Publication.decode(frames) == publication
    server = pub.Server(loop.shared(), "127.0.0.1")
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.linger = 0
        listener.subscribe(b"")
        listener.connect(f"tcp://127.0.0.1:{server.port}")
        while not listener.poll(20):
            with server.lock:
                server.send(*publication)
        assert listener.recv_multipart() == frames
    server.close()
    name = publication.topic.decode().removesuffix(".")
    assert wire.topic(name) == publication.topic


class AtOnce:
    """A handler that always gives one reply at once."""

    def __init__(self, reply):
        self._reply = reply

    def at_once(self, kind, target, payload):
        return self._reply.payload, self._reply.bulk, False

    def answered(self):
        pass


@cases("answer")
def test_a_reply_at_once_has_these_frames(message, frames, target):
    """Its ACK has no target, which replies may omit."""
    reply = wire.Answer(**message)
    if reply.early or reply.kind != wire.REP:
        return
    server = router.Server(loop.shared(), AtOnce(reply), "127.0.0.1")
    server.start()
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger, peer.rcvtimeo = 0, int(DEADLINE * 1000)
        peer.connect(f"tcp://127.0.0.1:{server.port}")
        peer.send_multipart(wire.Request(reply.ident, wire.GET, target).encode())
        ack = [b"a", reply.ident, b"ACK", b"", b"", b""]
        assert [peer.recv_multipart(), peer.recv_multipart()] == [ack, frames]
    server.close()
