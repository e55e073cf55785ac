"""The calls below pyzmq's send and receive do the same as these."""

from __future__ import annotations

import pytest
import zmq

from mktl_daemon.net import frames

MESSAGES = ([b"one"], [b"", b"two", b""], [b"a" * frames.ZERO_COPY, memoryview(b"bc")])


@pytest.fixture
def pair():
    with zmq.Context() as context:
        one, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        with one, other:
            other.connect(
                f"tcp://127.0.0.1:{one.bind_to_random_port('tcp://127.0.0.1')}"
            )
            one.rcvtimeo = other.rcvtimeo = 20_000
            other.send(b"ready")
            one.recv()
            yield one, other


@pytest.mark.parametrize("message", MESSAGES, ids=["one", "three", "large"])
def test_frames_are_sent_as_by_pyzmq(pair, message):
    one, other = pair
    frames.send(one, message)
    assert other.recv_multipart() == [bytes(frame) for frame in message]
    one.send_multipart(message)
    received = frames.receive(other, 0)
    assert [frame.bytes for frame in received] == [bytes(frame) for frame in message]


def test_nothing_is_received_if_no_message_waits(pair):
    assert frames.receive(pair[0]) is None
