"""The client's half of a WebSocket (RFC 6455) that carries MQTT. Pure.

paho has a WebSocket too, but that reads its socket byte by byte, and cannot use another
socket.
"""

from __future__ import annotations

import base64
import hashlib
import os

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_MOST_HEAD = 16 << 10  # bytes of the server's answer to the handshake
_MOST_FRAME = 1 << 31  # bytes of a frame, whose payload is passed on while it arrives


class WebSocketError(OSError):
    """The broker does not follow the WebSocket protocol, or MQTT's rules for it."""


class WebSocket:
    """Converts bytes of a socket to bytes of MQTT, and the other way round."""

    def __init__(self, host: str, path: str) -> None:
        self._key = base64.b64encode(os.urandom(16))
        self._host = host
        self._path = path
        self._head = bytearray()
        self._read = bytearray()
        self._left = 0  # the bytes of the present frame that have not arrived yet
        self._control = 0  # the opcode of the frame, if it is a control frame
        self._body = bytearray()  # the payload of that control frame
        self.open = False
        self.ended = False
        self.answers = bytearray()  # frames that must be sent: pongs, and a close

    def request(self) -> bytes:
        """Return the HTTP request that opens the WebSocket."""
        lines = (
            f"GET {self._path} HTTP/1.1", f"Host: {self._host}", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt", "", "",
        )  # fmt: skip
        return "\r\n".join(lines).encode()

    def handshake(self, data: bytes) -> bool:
        """Read a part of the answer; True once it is open. WebSocketError otherwise."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > _MOST_HEAD:
                raise WebSocketError("the WebSocket handshake has a long answer")
            return False
        status, *fields = bytes(self._head[:end]).split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (field.partition(b":") for field in fields)
        }
        accept = base64.b64encode(hashlib.sha1(self._key + _GUID).digest())  # noqa: S324
        words = status.split(b" ", 2)
        if words[1:2] != [b"101"]:
            text = status[:80].decode("latin-1")
            raise WebSocketError(f"no WebSocket at {self._path}: it answers {text!r}")
        if headers.get(b"sec-websocket-accept") != accept:
            raise WebSocketError(f"no WebSocket at {self._path}: a wrong answer")
        self._read += self._head[end + 4 :]
        self.open = True
        return True

    def feed(self, data: bytes) -> bytes:
        """Return the MQTT bytes in *data*. WebSocketError: the frames are bad."""
        self._read += data
        out = bytearray()
        while self._read and not self.ended:
            if not self._left and not self._begin():
                break
            part = bytes(self._read[: self._left])
            del self._read[: self._left]
            self._left -= len(part)
            if not self._control:
                out += part
                continue
            self._body += part
            if not self._left:
                self._answer()
        return bytes(out)

    def wrap(self, data: bytes | bytearray) -> bytes:
        """Return *data* as a frame."""
        return _frame(_BINARY, data)

    def _begin(self) -> bool:
        """Read a frame's head; False: it has not arrived completely."""
        data = self._read
        if len(data) < 2:
            return False
        opcode, size, at = data[0] & 15, data[1] & 127, 2
        if data[1] & 128:
            raise WebSocketError("the broker masks its frames, which RFC 6455 forbids")
        more = {126: 2, 127: 8}.get(size, 0)
        if len(data) < at + more:
            return False
        if more:
            size = int.from_bytes(data[at : at + more], "big")
        if size > _MOST_FRAME or (opcode >= _CLOSE and size > 125):
            raise WebSocketError(f"the broker sends a WebSocket frame of {size} bytes")
        if opcode not in (_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG):
            raise WebSocketError("the broker sends text where MQTT has binary frames")
        del data[: at + more]
        self._left, self._body = size, bytearray()
        self._control = opcode if opcode >= _CLOSE else 0
        if self._control and not size:
            self._answer()
        return bool(size) or bool(data)

    def _answer(self) -> None:
        if self._control == _PING:
            self.answers += _frame(_PONG, self._body)
        elif self._control == _CLOSE:
            self.answers += _frame(_CLOSE, self._body)
            self.ended = True
        self._control = 0


def _frame(opcode: int, data: bytes | bytearray) -> bytes:
    size = len(data)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    pattern = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    masked = (int.from_bytes(data, "big") ^ pattern).to_bytes(size, "big")
    return head + mask + masked
