"""MQTT packets in a stream of bytes: reads publications and acknowledges them. Pure.

The caller feeds the bytes that a socket received, takes publications out, and sends the
bytes in `unsent`. paho needs as much time for a publication as the bridge needs for all
its own work with it, so publications at QoS 1 do not pass through paho. paho reads all
other packets here byte by byte, as from a socket.
"""

from __future__ import annotations

from typing import NamedTuple

# A longer body is not kept in memory: the body of a longer publication is skipped while
# it arrives. The 64 KiB are for the topic and the properties.
MAX_PAYLOAD = 1 << 20
MAX_BODY = MAX_PAYLOAD + (64 << 10)

# The first byte of a PUBLISH at QoS 1 without the bits DUP and RETAIN (MQTT 3.1.1 and
# 5, section 3.3.1), and the first two bytes of its PUBACK (section 3.4).
_PUBLISH, _OPEN_BITS, _RETAINED = 0x32, 0x09, 0x01
_PUBACK = b"\x40\x02"
_KIND, _ANY_PUBLISH, _QOS = 0xF0, 0x30, 0x06
# A header, a topic and a packet identifier are shorter than this. So this many bytes
# suffice to find out whether a publication is too long.
_ENOUGH = 128 << 10

_new = tuple.__new__  # of a NamedTuple, not through Python's code


class Publication(NamedTuple):
    """A message that the broker delivered."""

    topic: str
    payload: bytes
    retained: bool


class Oversized(NamedTuple):
    """A publication whose body was skipped because it has more than `MAX_BODY`."""

    topic: str
    size: int  # the size of its body, in bytes


class PacketError(OSError):
    """The stream has bytes that are no MQTT, so the connection cannot be used."""


class PacketReader:
    """Divides a stream of bytes into packets.

    *five* tells that the stream is MQTT 5, whose publications have properties.
    """

    def __init__(self, *, five: bool) -> None:
        self._five = five
        self._read = bytearray()
        self._at = 0  # the index of the first byte that nobody has taken
        self._end = 0  # the end of the packet that paho reads byte by byte
        self._skip = 0  # how many bytes of a long publication must still be skipped
        self.oversized: list[Oversized] = []  # the caller removes them from here
        self.unsent = bytearray()  # acknowledgements, and the caller's own bytes

    @property
    def has_packet(self) -> bool:
        """Whether there is a complete packet that nobody has taken."""
        return self._at < self._end or self._next() is not None

    @property
    def size(self) -> int:
        """The number of received bytes in memory."""
        return len(self._read)

    def feed(self, data: bytes) -> None:
        """Add *data*, which a socket received. PacketError: it is no MQTT."""
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
        """Take and acknowledge the next packet, if it is a publication at QoS 1.

        None: it has not arrived completely, or it is for paho.
        """
        data, at = self._read, self._at
        header = None if at < self._end else self._header(at)
        if header is None or header[1] > len(data):
            return None
        body, end = header
        first = data[at]
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
            return None  # paho reports the error in it
        try:
            topic = data[name:ident].decode()
        except UnicodeDecodeError:
            return None
        self.unsent += _PUBACK
        self.unsent += data[ident : ident + 2]
        self._at = self._end = end
        retained = bool(first & _RETAINED)
        return _new(Publication, (topic, bytes(data[start:end]), retained))

    def read(self, size: int) -> bytes | None:
        """Return at most *size* bytes of a packet that has arrived completely.

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

        None: it has not arrived completely.
        """
        header = self._header(self._at)
        if header is None:
            return None
        body, end = header
        return (body, end) if end <= len(self._read) else None

    def _header(self, at: int) -> tuple[int, int] | None:
        """Return where the body of the packet at *at* begins, and where it ends."""
        data, length = self._read, 0
        if at + 2 < len(data) and data[at + 1] > 127 >= data[at + 2]:
            # Most packets have a length of two bytes.
            return at + 3, at + 3 + (data[at + 1] & 127 | data[at + 2] << 7)
        for index, byte in enumerate(data[at + 1 : at + 5]):
            length |= (byte & 127) << 7 * index
            body = at + 2 + index
            if byte < 128:
                return body, body + length
            if index == 3:
                return body, len(data)  # this is no MQTT, and paho reports the error
        return None

    def _skip_long(self) -> None:
        """Remove a long publication from the received bytes, wherever it begins."""
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
