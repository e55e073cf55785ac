"""A socket that listens on this machine."""

from __future__ import annotations

import socket


def listening() -> socket.socket:
    """Return a socket that accepts connections on a free port."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server
