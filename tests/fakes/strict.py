"""An MQTT 5 broker that insists on its Receive Maximum."""

from __future__ import annotations

import contextlib
import socket
import threading

CONNECT, PUBLISH, SUBSCRIBE = 0x10, 0x30, 0x80
LATE = 0.1  # seconds of silence after which it acknowledges


class Strict(threading.Thread):
    """Accepts *most* publications at once, tells this to clients, and counts them."""

    def __init__(self, most):
        super().__init__(daemon=True)
        self.most = most
        self.taken, self.at_once = [], 0
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen()
        self.port = self.server.getsockname()[1]
        self.start()

    def run(self):
        connection, _ = self.server.accept()
        with connection, self.server, contextlib.suppress(OSError):
            waiting = []
            while True:
                # It acknowledges late: everything that comes too early has arrived by
                # then.
                connection.settimeout(LATE if waiting else None)
                try:
                    kind, body = self.packet(connection)
                except socket.timeout:  # noqa: UP041 - no TimeoutError on 3.7
                    for ident in waiting:
                        connection.sendall(b"\x40\2" + ident)
                    waiting.clear()
                    continue
                if kind == CONNECT:
                    receive_maximum = b"\x21" + self.most.to_bytes(2, "big")
                    connection.sendall(b"\x20\6\0\0\3" + receive_maximum)
                elif kind == SUBSCRIBE:
                    granted = b"\1" * filters(body)
                    size = bytes([3 + len(granted)])
                    connection.sendall(b"\x90" + size + body[:2] + b"\0" + granted)
                elif kind == PUBLISH:
                    end = 2 + int.from_bytes(body[:2], "big")
                    self.taken.append(body[2:end].decode())
                    waiting.append(body[end : end + 2])
                    self.at_once = max(self.at_once, len(waiting))

    def packet(self, connection):
        kind = connection.recv(1)
        if not kind:
            raise ConnectionError
        connection.settimeout(5)
        size = shift = 0
        while True:
            [digit] = connection.recv(1)
            size |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return kind[0] & 0xF0, connection.recv(size, socket.MSG_WAITALL)


def filters(body):
    """Return the number of filters in a SUBSCRIBE without properties."""
    at, count = 3, 0
    while at < len(body):
        at += 2 + int.from_bytes(body[at : at + 2], "big") + 1
        count += 1
    return count
