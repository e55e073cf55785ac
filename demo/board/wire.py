"""Frames, integers and checksums between Klippy and its board. Pure.

A frame has its length, its sequence number, its content, a CRC of these, and 0x7E.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import NamedTuple

SYNC = b"\x7e"
HEADER = 2  # bytes: length and sequence
TRAILER = 3  # bytes: the CRC and SYNC
SHORTEST, LONGEST = HEADER + TRAILER, 64  # bytes of a frame
SEQUENCE = 0x10  # the high bits of each sequence number; the low four bits count
SEQUENCES = 16
MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc16(data: bytes) -> int:
    """Return the reflected CCITT checksum that begins with 0xFFFF."""
    crc = binascii.crc_hqx(data.translate(MIRROR), 0xFFFF)
    return int.from_bytes(crc.to_bytes(2, "little").translate(MIRROR), "big")


def encode_integer(value: int) -> bytes:
    """Return a variable length quantity: seven bits in each byte, the highest first.

    *n* bytes hold numbers from -2**(7n-2) to 3 * 2**(7n-2) - 1.
    """
    data = [value & 0x7F]
    while not -0x20 <= value < 0x60:
        value >>= 7
        data.append(0x80 | value & 0x7F)
    return bytes(reversed(data))


def decode_integer(data: bytes, position: int) -> tuple[int, int]:
    """Return the integer at *position*, and the position after it.

    IndexError: *data* ends in the middle of the integer.
    """
    byte = data[position]
    position += 1
    value = byte & 0x7F
    if value >= 0x60:
        value -= 0x80  # the highest quarter of the values are negative numbers
    while byte & 0x80:
        byte = data[position]
        position += 1
        value = value << 7 | byte & 0x7F
    return value, position


def _trailer(body: bytes) -> bytes:
    return crc16(body).to_bytes(2, "big") + SYNC


def encode_frame(sequence: int, content: bytes = b"") -> bytes:
    """Return a frame. Without content it is an acknowledgement."""
    low = sequence % SEQUENCES
    body = bytes([SHORTEST + len(content), SEQUENCE | low]) + content
    return body + _trailer(body)


class Frame(NamedTuple):
    """A whole frame that has arrived."""

    sequence: int  # 0 to 15
    content: bytes


class Frames:
    """Finds the frames in a stream of bytes, and skips all other bytes."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[Frame | None]:
        """Yield each frame that *data* completes, and None for bytes of no frame."""
        self._data += data
        while rest := self._data.lstrip(SYNC):  # a frame may have one before it
            try:
                frame = _first(rest)
            except ValueError:  # skip the bytes up to the next SYNC
                self._data = rest.partition(SYNC)[2]
                yield None
                continue
            if frame is None:
                return
            self._data = rest[SHORTEST + len(frame.content) :]
            yield frame


def _first(data: bytes) -> Frame | None:
    """Return the frame at the beginning of *data*, or None if it is not whole yet.

    ValueError: no frame begins with these bytes.
    """
    size = data[0]
    if not SHORTEST <= size <= LONGEST or (data[1:2] and data[1] >> 4 != 1):
        raise ValueError
    if len(data) < size:
        return None
    body = data[: size - TRAILER]
    if data[size - TRAILER : size] != _trailer(body):
        raise ValueError
    return Frame(body[1] % SEQUENCES, body[HEADER:])
