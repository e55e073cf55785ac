"""MQTT packets in a stream of bytes: reads publications and acknowledges them. Pure.

The caller brings the bytes that a socket received, takes publications out, and sends
what stands in `unsent`. paho takes as long for one publication as the bridge takes for
everything that it does with it, so publications at QoS 1 do not pass through paho.
Every other packet is left for paho, byte by byte, as from a socket.
"""

from __future__ import annotations

from typing import NamedTuple

# The largest body of a packet that is kept in memory. The body of a longer publication
# is skipped while it arrives. The 64 KiB are for the topic and the properties.
MAX_PAYLOAD = 1 << 20
MAX_BODY = MAX_PAYLOAD + (64 << 10)

# The first byte of a PUBLISH at QoS 1 but for the bits that say "again" and "retained"
# (MQTT 3.1.1 and 5, section 3.3.1), and the first two of its PUBACK (section 3.4).
_PUBLISH, _OPEN_BITS, _RETAINED = 0x32, 0x09, 0x01
_PUBACK = b"\x40\x02"
_KIND, _ANY_PUBLISH, _QOS = 0xF0, 0x30, 0x06
# A header, a topic and a packet identifier are shorter than this: with so many bytes
# it is known whether the publication that they begin is too long.
_ENOUGH = 128 << 10


class Publication(NamedTuple):
    """A message that the broker delivered."""

    topic: str
    payload: bytes
    retained: bool


class Oversized(NamedTuple):
    """A publication whose body was skipped because it has more than `MAX_BODY`."""

    topic: str
    size: int  # bytes


class PacketError(OSError):
    """The stream holds something that cannot be MQTT; the connection is of no use."""


class PacketReader:
    """Cuts a stream of bytes into packets.

    *five*: the stream is MQTT 5, whose publications have properties.
    """

    def __init__(self, *, five: bool) -> None:
        self._five = five
        self._read = bytearray()
        self._at = 0  # the bytes before it were handed out
        self._end = 0  # of the packet that is read byte by byte
        self._skip = 0  # bytes of a long publication that are still to be skipped
        self.oversized: list[Oversized] = []  # taken out by the caller
        self.unsent = bytearray()  # acknowledgements, and whatever the caller adds

    @property
    def has_packet(self) -> bool:
        """Whether there is a whole packet that nobody has taken."""
        return self._at < self._end or self._next() is not None

    @property
    def size(self) -> int:
        """How many received bytes are kept in memory."""
        return len(self._read)

    def feed(self, data: bytes) -> None:
        """Add *data*, which a socket received. PacketError."""
        del self._read[: self._at]
        self._end -= self._at
        self._at = 0
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._read += data
        if len(self._read) > _ENOUGH:
            self._skip_long()

    def publication(self) -> Publication | None:
        """Take the next packet, and acknowledge it, if it is a publication at QoS 1.

        None: it has not arrived as a whole, or it is for paho.
        """
        packet = None if self._at < self._end else self._next()
        if packet is None:
            return None
        data, (body, end) = self._read, packet
        first = data[self._at]
        if first & ~_OPEN_BITS != _PUBLISH:
            return None
        name = body + 2
        ident = name + (data[body] << 8 | data[body + 1]) if name < end else end
        start = ident + 2
        if self._five and start < end:
            if data[start] > 127:
                return None  # 128 bytes of properties or more: paho reads them
            start += 1 + data[start]
        if start > end:
            return None  # paho has the words for what is wrong with it
        try:
            topic = data[name:ident].decode()
        except UnicodeDecodeError:
            return None
        self.unsent += _PUBACK
        self.unsent += data[ident : ident + 2]
        self._at = self._end = end
        return Publication(topic, bytes(data[start:end]), bool(first & _RETAINED))

    def read(self, size: int) -> bytes | None:
        """Return at most *size* bytes of a packet that has arrived as a whole.

        None: there is no such packet.
        """
        if self._at == self._end:
            packet = self._next()
            if packet is None:
                return None
            _, self._end = packet
        at = self._at
        self._at = min(at + size, self._end)
        return bytes(self._read[at : self._at])

    def _next(self) -> tuple[int, int] | None:
        """Return where the next packet's body begins and ends.

        None: it has not arrived as a whole.
        """
        header = self._header(self._at)
        if header is None:
            return None
        body, end = header
        return (body, end) if end <= len(self._read) else None

    def _header(self, at: int) -> tuple[int, int] | None:
        """Return where the body of the packet at *at* begins, and where it will end."""
        data, length = self._read, 0
        if at + 2 < len(data) and data[at + 1] > 127 >= data[at + 2]:
            return at + 3, at + 3 + (data[at + 1] & 127 | data[at + 2] << 7)  # as most
        for index, byte in enumerate(data[at + 1 : at + 5]):
            length |= (byte & 127) << 7 * index
            body = at + 2 + index
            if byte < 128:
                return body, body + length
            if index == 3:
                return body, len(data)  # no MQTT at all: paho has the words for it
        return None

    def _skip_long(self) -> None:
        """Cut a long publication out of what was received, wherever it begins."""
        at = max(self._at, self._end)
        while (header := self._header(at)) is not None:
            body, end = header
            if end - body > MAX_BODY:
                self._cut(at, body, end)
                return
            if end > len(self._read):
                return
            at = end

    def _cut(self, at: int, body: int, end: int) -> None:
        data, first = self._read, self._read[at]
        if first & _KIND != _ANY_PUBLISH:
            raise PacketError(f"it sends a packet of {end - body} bytes")
        ident = body + 2 + (data[body] << 8 | data[body + 1])
        if ident + 2 > len(data):
            return  # the packet identifier has not arrived
        topic = bytes(data[body + 2 : ident]).decode("utf-8", "replace")
        self.oversized.append(Oversized(topic, end - body))
        if first & _QOS:
            self.unsent += _PUBACK + data[ident : ident + 2]
        received = len(data)
        del data[at : min(end, received)]
        self._skip = max(0, end - received)
