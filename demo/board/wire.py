"""Frames, integers and checksums between Klippy and its board. Pure.

A frame is: its length, its sequence number, its content, a CRC of these, 0x7E.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

SYNC = 0x7E
HEADER = 2  # bytes: length and sequence
TRAILER = 3  # bytes: the CRC and SYNC
SHORTEST, LONGEST = HEADER + TRAILER, 64  # bytes of a frame
SEQUENCE = 0x10  # the high bits of each sequence number; the low four count
SEQUENCES = 16


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x8408 if byte & 1 else 0)
    return byte


_TABLE = tuple(_crc_of(byte) for byte in range(256))


def crc16(data: bytes) -> int:
    """The reflected CCITT checksum that begins with 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def encode_integer(value: int) -> bytes:
    """A variable length quantity: seven bits a byte, the highest bits first.

    *n* bytes hold from -2**(7n-2) to 3 * 2**(7n-2) - 1.
    """
    size = 1
    while not -(1 << (7 * size - 2)) <= value < 3 << (7 * size - 2):
        size += 1
    septets = [(value >> (7 * index)) & 0x7F for index in range(size - 1, -1, -1)]
    return bytes([*(septet | 0x80 for septet in septets[:-1]), septets[-1]])


def decode_integer(data: bytes, position: int) -> tuple[int, int]:
    """The integer at *position*, and the position after it.

    IndexError: *data* ends in the middle of it.
    """
    byte = data[position]
    position += 1
    value = byte & 0x7F
    if value >= 0x60:
        value -= 0x80  # the highest quarter of what fits is negative
    while byte & 0x80:
        byte = data[position]
        position += 1
        value = value << 7 | byte & 0x7F
    return value, position


def encode_frame(sequence: int, content: bytes = b"") -> bytes:
    """A frame; without content it is an acknowledgement."""
    low = sequence % SEQUENCES
    body = bytes([SHORTEST + len(content), SEQUENCE | low]) + content
    return body + crc16(body).to_bytes(2, "big") + bytes([SYNC])


class Frame(NamedTuple):
    """A frame that arrived whole."""

    sequence: int  # 0 to 15
    content: bytes


class Frames:
    """Finds frames in a stream of bytes, and skips all other bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._is_lost = False  # bytes were left out, and no frame has come since

    def feed(self, data: bytes) -> Iterator[Frame | None]:
        """Each frame that *data* completes, and None where bytes made no sense."""
        self._data += data
        while self._data:
            if self._data[0] == SYNC:  # a frame may be preceded by one
                del self._data[0]
                continue
            if not self._is_begun():
                yield from self._skip()
                continue
            length = self._data[0]
            if len(self._data) < length:
                return
            body = bytes(self._data[: length - TRAILER])
            trailer = bytes(self._data[length - TRAILER : length])
            if trailer != crc16(body).to_bytes(2, "big") + bytes([SYNC]):
                yield from self._skip()
                continue
            del self._data[:length]
            self._is_lost = False
            yield Frame(body[1] % SEQUENCES, body[HEADER:])

    def _is_begun(self) -> bool:
        """Whether a frame may begin here."""
        if not SHORTEST <= self._data[0] <= LONGEST:
            return False
        return len(self._data) < HEADER or self._data[1] & 0xF0 == SEQUENCE

    def _skip(self) -> Iterator[None]:
        """Leave bytes out up to the next SYNC."""
        end = self._data.find(SYNC)
        del self._data[: end + 1 if end >= 0 else len(self._data)]
        if not self._is_lost:
            self._is_lost = True
            yield None
