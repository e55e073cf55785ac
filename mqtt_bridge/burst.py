"""A connection that reads and writes in bursts, and reads publications itself.

paho asks the system four times for each packet, answers each by itself, and takes as
long for a publication as the bridge for all that it does with it. So here one call to
the system fetches or sends many packets, and what is published at QoS 1 goes past paho.
Everything else is paho's, for which this stands in for the socket.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any, NamedTuple

READ = 64 * 1024  # bytes: more than a TLS record, so TLS holds none back
CLOGGED = 256 * 1024  # bytes that the other side does not take

# The first byte of a PUBLISH at QoS 1 but for the bits that say "again" and "retained"
# (MQTT 3.1.1 and 5, section 3.3.1), and the first two of its PUBACK (section 3.4).
_PUBLISH, _OPEN_BITS, _RETAINED = 0x32, 0x09, 0x01
_PUBACK = b"\x40\x02"


class Publication(NamedTuple):
    """What somebody said, as far as the bridge cares."""

    topic: str
    payload: bytes
    retained: bool


class Burst:
    """Stands in for the socket that it has: what paho and a selector ask of one.

    *five*: MQTT 5 is spoken, whose publications have properties.
    """

    def __init__(self, connection: socket.socket, *, five: bool) -> None:
        self._connection = connection
        self._five = five
        self._read = bytearray()
        self._at = 0  # what comes before it was handed out
        self._end = 0  # of the packet that paho reads
        self._unsent = bytearray()
        self.ended = False  # nothing comes any more
        self.fileno = connection.fileno
        self.settimeout = connection.settimeout
        self.setblocking = connection.setblocking

    # For the link

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    @property
    def clogged(self) -> bool:
        """Whether too much waits to be sent to read what wants more answers."""
        return len(self._unsent) > CLOGGED

    @property
    def has_packet(self) -> bool:
        """Whether a whole packet was read that nobody has seen."""
        return self._at < self._end or self._next() is not None

    def fill(self) -> None:
        """Read what has come. OSError."""
        del self._read[: self._at]
        self._end -= self._at
        self._at = 0
        try:
            came = self._connection.recv(READ)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        self._read += came
        self.ended = not came

    def publication(self) -> Publication | None:
        """Take the next packet, and acknowledge it, if it is a publication at QoS 1.

        None: it is not whole yet, or paho's to read.
        """
        found = None if self._at < self._end else self._next()
        if found is None:
            return None
        data, (body, end) = self._read, found
        first = data[self._at]
        if first & ~_OPEN_BITS != _PUBLISH:
            return None
        name = body + 2
        ident = name + (data[body] << 8 | data[body + 1]) if name < end else end
        start = ident + 2
        if self._five and start < end:
            if data[start] > 127:
                return None  # many properties, which nobody sends us
            start += 1 + data[start]
        if start > end:
            return None  # paho has the words for what is wrong with it
        try:
            topic = data[name:ident].decode()
        except UnicodeDecodeError:
            return None
        self._unsent += _PUBACK
        self._unsent += data[ident : ident + 2]
        self._at = self._end = end
        return Publication(topic, bytes(data[start:end]), bool(first & _RETAINED))

    def flush(self) -> None:
        """Send what waits, or as much of it as the system takes. OSError."""
        while self._unsent:
            try:
                sent = self._connection.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del self._unsent[:sent]

    # For paho

    def recv(self, size: int) -> bytes:
        """Return at most *size* bytes of a packet that is there as a whole.

        As a socket: b"" at the end, BlockingIOError where there is none yet.
        """
        if self._at == self._end:
            found = self._next()
            if found is None:
                if self.ended:
                    return b""
                raise BlockingIOError
            _, self._end = found
        at = self._at
        self._at = min(at + size, self._end)
        return bytes(self._read[at : self._at])

    def send(self, data: bytes | bytearray) -> int:
        """Take it all, for `flush`."""
        self._unsent += data
        return len(data)

    def close(self) -> None:
        """Send what waits, as a farewell does, and close."""
        with contextlib.suppress(OSError):
            self.flush()
        self._connection.close()

    def do_handshake(self) -> None:
        """It is over: see `Context`."""

    def _next(self) -> tuple[int, int] | None:
        """Return where the next packet's body begins and ends.

        None: it has not come as a whole.
        """
        data, length = self._read, 0
        for index, byte in enumerate(data[self._at + 1 : self._at + 5]):
            length |= (byte & 127) << 7 * index
            body = self._at + 2 + index
            if byte < 128:
                end = body + length
                return (body, end) if end <= len(data) else None
            if index == 3:
                return body, len(data)  # no packet at all: paho says so
        return None


class Context(ssl.SSLContext):
    """The one place where paho lets somebody else wrap its socket: by *tls* or not."""

    _tls: ssl.SSLContext | None
    _five: bool

    def __new__(cls, tls: ssl.SSLContext | None, *, five: bool) -> Context:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._tls, made._five = tls, five
        return made

    def wrap_socket(  # type: ignore[override]  # what paho asks of it is all there
        self, sock: socket.socket, *, server_hostname: str, **_given: Any
    ) -> Burst:
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_hostname=server_hostname)
        return Burst(sock, five=self._five)
