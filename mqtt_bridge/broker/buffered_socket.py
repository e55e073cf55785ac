"""A socket for paho that receives and sends in bursts.

paho asks the system four times for each packet and answers each packet by itself. Here
one call to the system receives or sends many packets. The bridge takes publications
out by `BufferedSocket.packets`; paho reads all other packets from the same object.

paho has no door for this: `BufferedContext` uses the one place where paho lets somebody
else wrap its socket. `docs/decisions/` says why, and `check_paho` refuses a paho with
which this was not tried.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from typing import Any

import paho.mqtt

from mqtt_bridge.broker.packets import PacketReader

READ = 64 * 1024  # bytes: more than a TLS record, so TLS holds none back
CLOGGED = 256 * 1024  # bytes that the other side does not take
TRIED = ("2.1", "2.2")  # versions of paho that the tests run with


class UntriedPahoError(RuntimeError):
    """The installed paho is one with which the bridge was not tried."""


def check_paho(version: str = paho.mqtt.__version__) -> None:
    """Raise UntriedPahoError unless the tests run with this *version* of paho."""
    match = re.match(r"\d+\.\d+", version)
    if match is None or match[0] not in TRIED:
        raise UntriedPahoError(
            f"paho-mqtt {version} is installed, and the bridge was tried only with "
            f"{' and '.join(TRIED)}: pip install 'paho-mqtt>=2.1,<2.3'"
        )


class BufferedSocket:
    """Stands in for *connection*: what paho and a selector ask of a socket.

    *five*: the connection speaks MQTT 5.
    """

    def __init__(self, connection: socket.socket, *, five: bool) -> None:
        self._connection = connection
        self.packets = PacketReader(five=five)
        self.ended = False  # nothing arrives any more
        self.fileno = connection.fileno
        self.settimeout = connection.settimeout
        self.setblocking = connection.setblocking

    # For the link

    @property
    def has_unsent(self) -> bool:
        return bool(self.packets.unsent)

    @property
    def clogged(self) -> bool:
        """Whether too much waits to be sent to read what needs more answers."""
        return len(self.packets.unsent) > CLOGGED

    def fill(self) -> None:
        """Receive what has arrived. OSError."""
        try:
            data = self._connection.recv(READ)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        self.packets.feed(data)
        self.ended = not data

    def flush(self) -> None:
        """Send what waits, or as much of it as the system takes. OSError."""
        unsent = self.packets.unsent
        while unsent:
            try:
                sent = self._connection.send(unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del unsent[:sent]

    # For paho

    def recv(self, size: int) -> bytes:
        """Return at most *size* bytes of a packet that has arrived as a whole.

        As a socket does: b"" at the end, BlockingIOError where there is nothing yet.
        """
        data = self.packets.read(size)
        if data is not None:
            return data
        if self.ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes | bytearray) -> int:
        """Take all of *data*; `flush` sends it."""
        self.packets.unsent += data
        return len(data)

    def close(self) -> None:
        """Send what waits, as a DISCONNECT does, and close."""
        with contextlib.suppress(OSError):
            self.flush()
        self._connection.close()

    def do_handshake(self) -> None:
        """Do nothing: `BufferedContext.wrap_socket` has done the handshake."""


class BufferedContext(ssl.SSLContext):
    """Given to paho as its TLS context: wraps the socket by *tls*, or in no TLS."""

    _tls: ssl.SSLContext | None
    _five: bool

    def __new__(cls, tls: ssl.SSLContext | None, *, five: bool) -> BufferedContext:
        check_paho()
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._tls, made._five = tls, five
        return made

    def wrap_socket(  # type: ignore[override]  # what paho asks of it is all there
        self, sock: socket.socket, *, server_hostname: str, **_given: Any
    ) -> BufferedSocket:
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_hostname=server_hostname)
        return BufferedSocket(sock, five=self._five)
