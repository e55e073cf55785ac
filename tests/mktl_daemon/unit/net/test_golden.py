"""The frames of the protocol, written down: what is encoded and what is understood."""

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
    """Return what a text of the file stands for."""
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


def fields(told):
    """Return a message's fields: bytes, but for a target, flags and what is true."""
    return {
        name: octets(value) if isinstance(value, str) and name != "target" else value
        for name, value in told.items()
    }


@cases("request")
def test_a_request_is_these_frames(message, frames, target):
    asked = wire.Request(**message)
    assert asked.encode() == frames
    assert wire.Request.decode(frames) == asked


@cases("answer")
def test_an_answer_is_these_frames(message, frames, target):
    told = wire.Answer(**message)
    assert wire.Answer.decode(frames) == told
    asked = wire.Request(told.ident, wire.GET, target, early=told.early)
    ticket = router.Ticket(None, b"routing", asked)
    sent = ticket.frames(told.kind, told.payload, told.bulk)
    assert sent == [b"routing", *frames]
    # A client has a shorter way for most of them.
    assert dealer.read_answer([zmq.Frame(frame) for frame in frames]) == told


@cases("publication")
def test_a_value_is_these_frames(message, frames, target):
    told = wire.Publication(**message)
    assert wire.Publication.decode(frames) == told
    server = pub.Server(loop.shared(), "127.0.0.1")
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.linger = 0
        listener.subscribe(b"")
        listener.connect(f"tcp://127.0.0.1:{server.port}")
        while not listener.poll(20):
            with server.lock:
                server.send(*told)
        assert listener.recv_multipart() == frames
    server.close()
    name = told.topic.decode().removesuffix(".")
    assert wire.topic(name) == told.topic


class AtOnce:
    """A handler that has one answer, which needs no thinking about."""

    def __init__(self, told):
        self._told = told

    def at_once(self, kind, target, payload):
        return self._told.payload, self._told.bulk, False

    def answered(self):
        pass


@cases("answer")
def test_an_answer_at_once_is_these_frames(message, frames, target):
    """Its ACK names no target, which is fine in answers."""
    told = wire.Answer(**message)
    if told.early or told.kind != wire.REP:
        return
    server = router.Server(loop.shared(), AtOnce(told), "127.0.0.1")
    server.start()
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger, peer.rcvtimeo = 0, int(DEADLINE * 1000)
        peer.connect(f"tcp://127.0.0.1:{server.port}")
        peer.send_multipart(wire.Request(told.ident, wire.GET, target).encode())
        ack = [b"a", told.ident, b"ACK", b"", b"", b""]
        assert [peer.recv_multipart(), peer.recv_multipart()] == [ack, frames]
    server.close()
