"""A WebSocket client for JSON on the loopback, with the needed parts of RFC 6455."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class WebSocket:
    """Sends and receives JSON. Every wait ends after *timeout* seconds."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 80)
        self._socket = socket.create_connection(address, timeout)
        self._stream = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        status = self._stream.readline()
        if b" 101 " not in status:
            raise ConnectionError(status.decode())
        while self._stream.readline().strip():
            pass

    def send(self, message: Any) -> None:
        self._frame(_TEXT, json.dumps(message).encode())

    def receive(self, timeout: float | None = None) -> Any:
        """Return the next message. Raises TimeoutError if none comes."""
        if timeout is not None:
            self._socket.settimeout(timeout)
        text = b""
        while True:
            first, data = self._message()
            code = first & 0x0F
            if code == _CLOSE:
                raise ConnectionError("the other side closed")
            if code == _PING:
                self._frame(_PONG, data)
            elif code != _PONG:
                text += data
                if first & 0x80:
                    return json.loads(text)

    def _message(self) -> tuple[int, bytes]:
        first, second = self._read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
        return first, self._read(length)

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _read(self, length: int) -> bytes:
        data = self._stream.read(length)
        if len(data) < length:
            raise ConnectionError("the other side is gone")
        return data

    def _frame(self, code: int, data: bytes) -> None:
        mask = os.urandom(4)
        head = bytes([0x80 | code])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack("!H", len(data))
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", len(data))
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self._socket.sendall(head + mask + masked)
