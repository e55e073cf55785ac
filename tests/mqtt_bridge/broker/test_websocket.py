"""MQTT in a WebSocket: the handshake, and frames that are cut anywhere."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtt_bridge.broker.websocket import WebSocket, WebSocketError

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def answer(request, status="101 Switching Protocols", key=None):
    fields = dict(
        line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if line
    )
    key = key or fields["Sec-WebSocket-Key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    return (
        f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def opened():
    made = WebSocket("localhost:80", "/mqtt")
    assert made.handshake(answer(made.request()))
    return made


def frame(data, opcode=2, last=True):
    """Return a frame as a server sends it, without a mask."""
    head = bytes([(0x80 if last else 0) | opcode])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    if len(data) < 1 << 16:
        return head + b"\x7e" + len(data).to_bytes(2, "big") + data
    return head + b"\x7f" + len(data).to_bytes(8, "big") + data


def unmasked(data):
    """Return the frames of a client as pairs of opcode and payload."""
    frames = []
    while data:
        opcode, size, at = data[0] & 15, data[1] & 127, 2
        assert data[1] & 128, "a client has to mask its frames"
        more = {126: 2, 127: 8}.get(size, 0)
        if more:
            size = int.from_bytes(data[at : at + more], "big")
        at += more
        mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
        text = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
        frames.append((opcode, text))
        data = data[at + 4 + size :]
    return frames


def test_the_request_asks_for_mqtt():
    request = WebSocket("broker:8083", "/mqtt").request().decode()
    assert request.startswith("GET /mqtt HTTP/1.1\r\nHost: broker:8083\r\n")
    assert "Sec-WebSocket-Protocol: mqtt\r\n" in request


@pytest.mark.parametrize(
    ("status", "key", "text"),
    [("404 Not Found", None, "404 Not Found"), ("101 ok", b"other", "wrong answer")],
)
def test_a_web_server_that_is_no_broker_is_reported(status, key, text):
    made = WebSocket("h:1", "/mqtt")
    with pytest.raises(WebSocketError, match=text):
        made.handshake(answer(made.request(), status, key))


@given(
    st.lists(st.binary(max_size=400) | st.integers(0, 70_000).map(bytes), max_size=5),
    st.data(),
)
def test_frames_give_the_same_bytes_wherever_they_are_cut(parts, data):
    stream = b"".join(map(frame, parts))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    made = opened()
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    assert b"".join(map(made.feed, chunks)) == b"".join(parts)


@given(st.binary(max_size=70_000))
def test_bytes_are_sent_as_one_masked_frame(data):
    assert unmasked(opened().wrap(data)) == [(2, data)]


def test_frames_that_arrive_with_the_handshake_are_not_lost():
    made = WebSocket("h:1", "/")
    made.handshake(answer(made.request()) + frame(b"early"))
    assert made.feed(b"") == b"early"


def test_a_ping_is_answered_and_a_close_ends_the_connection():
    made = opened()
    assert made.feed(frame(b"a") + frame(b"hi", 9) + frame(b"b")) == b"ab"
    assert made.feed(frame(b"", 8)) == b""
    assert unmasked(made.answers) == [(10, b"hi"), (8, b"")]
    assert made.ended


@pytest.mark.parametrize(
    ("data", "text"),
    [(frame(b"x", 1), "text"), (b"\x82\x81", "masks"), (b"\x89\x7e\x00\x7e", "126")],
)
def test_a_frame_that_a_server_must_not_send_is_an_error(data, text):
    with pytest.raises(WebSocketError, match=text):
        opened().feed(data)
