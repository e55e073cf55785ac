"""A socket for paho that receives and sends in bursts.

paho makes four system calls for each packet, and answers each packet by itself. Here
one system call receives or sends many packets. The bridge reads publications from
`BufferedSocket.packets`, and paho reads all other packets from the same object.

paho has no option for this. `BufferedContext` uses the one place where paho lets other
code wrap its socket. `docs/decisions/0015-publications-go-past-paho.md` gives the
reasons, and `check_paho` refuses a paho with which this was not tried.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from typing import Any

import paho.mqtt

from mqtt_bridge.broker.packets import PacketReader
from mqtt_bridge.broker.websocket import WebSocket, WebSocketError
from mqtt_bridge.settings import Broker

READ = 64 * 1024  # bytes; a TLS record has fewer, so TLS keeps none of them back
CLOGGED = 256 * 1024  # bytes that wait because the other side does not read them
TRIED = ("2.1", "2.2")  # the versions of paho with which the tests run


class UntriedPahoError(RuntimeError):
    """The bridge was not tried with the installed paho."""


def check_paho(version: str = paho.mqtt.__version__) -> None:
    """Raise UntriedPahoError if the tests do not run with this *version* of paho."""
    match = re.match(r"\d+\.\d+", version)
    if match is None or match[0] not in TRIED:
        raise UntriedPahoError(
            f"paho-mqtt {version} is installed, and the bridge was tried only with "
            f"{' and '.join(TRIED)}: pip install 'paho-mqtt>=2.1,<2.3'"
        )


class BufferedSocket:
    """Replaces *connection*. It has all that paho and selectors use of a socket.

    *five* tells that the connection uses MQTT 5. With *websocket*, MQTT is inside of
    that open WebSocket.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        five: bool,
        websocket: WebSocket | None = None,
    ) -> None:
        self._connection = connection
        self._websocket = websocket
        self._frames = bytearray()  # the packets as frames of a WebSocket
        self.packets = PacketReader(five=five)
        self.ended = False  # whether the other side has closed the connection
        self.fileno = connection.fileno
        self.settimeout = connection.settimeout
        self.setblocking = connection.setblocking
        if websocket is not None:
            self._arrived(b"")  # reads frames that arrived with the handshake

    # For the link

    @property
    def has_unsent(self) -> bool:
        return bool(self.packets.unsent or self._frames)

    @property
    def clogged(self) -> bool:
        """Whether too many bytes wait to be sent, so that reading must stop."""
        return len(self.packets.unsent) + len(self._frames) > CLOGGED

    def fill(self) -> None:
        """Receive the bytes that have arrived. OSError: the connection failed."""
        try:
            data = self._connection.recv(READ)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        self.ended = not data
        if self._websocket is None:
            self.packets.feed(data)
        else:
            self._arrived(data)

    def flush(self) -> None:
        """Send waiting bytes until the system takes no more. OSError: it failed."""
        unsent = self.packets.unsent
        if self._websocket is not None:
            if unsent:
                self._frames += self._websocket.wrap(unsent)
                unsent.clear()
            unsent = self._frames
        while unsent:
            try:
                sent = self._connection.send(unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del unsent[:sent]

    def _arrived(self, data: bytes) -> None:
        assert self._websocket is not None  # noqa: S101 - the callers know
        self.packets.feed(self._websocket.feed(data))
        self._frames += self._websocket.answers
        self._websocket.answers.clear()
        self.ended = self.ended or self._websocket.ended

    # For paho

    def recv(self, size: int) -> bytes:
        """Return at most *size* bytes of a packet that has arrived completely.

        Like a socket's method, it returns b"" at the end of the connection, and raises
        BlockingIOError if no packet has arrived yet.
        """
        data = self.packets.read(size)
        if data is not None:
            return data
        if self.ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes | bytearray) -> int:
        """Keep all of *data* until `flush` sends it."""
        self.packets.unsent += data
        return len(data)

    def close(self) -> None:
        """Send waiting bytes, for example a DISCONNECT, and close the socket."""
        with contextlib.suppress(OSError):
            self.flush()
        self._connection.close()

    def do_handshake(self) -> None:
        """Do nothing, since `BufferedContext.wrap_socket` has done the handshake."""


class BufferedContext(ssl.SSLContext):
    """Makes a `BufferedSocket` for *broker*. paho gets it as its TLS context."""

    _broker: Broker

    def __new__(cls, broker: Broker) -> BufferedContext:
        check_paho()
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._broker = broker
        return made

    def wrap_socket(  # type: ignore[override]  # what paho asks of it is all there
        self, sock: socket.socket, *, server_hostname: str, **_given: Any
    ) -> BufferedSocket:
        broker = self._broker
        if broker.tls is not None:
            sock = broker.tls.context().wrap_socket(
                sock, server_hostname=broker.server_name or server_hostname
            )
        websocket = None
        if broker.transport == "websockets":
            try:
                websocket = _open(sock, broker)
            except OSError:
                sock.close()  # paho would not close it, since it has no socket yet
                raise
        return BufferedSocket(sock, five=broker.version == "5", websocket=websocket)


def _open(connection: socket.socket, broker: Broker) -> WebSocket:
    """Open a WebSocket on *connection*, which blocks. OSError."""
    websocket = WebSocket(broker.authority, broker.path)
    connection.sendall(websocket.request())
    while not websocket.open:
        data = connection.recv(READ)
        if not data:
            raise WebSocketError("the connection ended during the WebSocket handshake")
        websocket.handshake(data)
    return websocket
