"""The subscriber that is slowest to read is cut off. On Linux; see decision 19."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

try:
    import fcntl
    import termios
except ImportError:  # Windows, where nobody is cut off
    _CAN_TELL = False
else:
    _CAN_TELL = sys.platform == "linux"

_DESCRIPTORS = Path("/proc/self/fd")
_BYTES_ACKED = struct.Struct("=120xQ")  # within Linux's tcp_info
_APART = 0.02  # seconds between two measurements
_PAUSE = 0.1  # seconds until what was cut off is freed

_logger = logging.getLogger(__name__)

Address = tuple[str, int]


class Traffic(NamedTuple):
    """What one subscriber has read, and what waits for it, in bytes."""

    unsent: int  # the system has them, and the subscriber has not
    read: int  # since the connection was made


class SlowSubscribers:
    """Measures who reads, and cuts off who does not. The caller holds a lock."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._before: dict[Address, Traffic] | None = None
        self._due = 0.0  # when the next measurement is

    def forget(self) -> None:
        """Begin anew: there was room for all."""
        self._before = None

    def relieve(self) -> None:
        """Cut off the slowest one, by what it read between two measurements.

        It is called again and again while too much waits; the first call only measures.
        """
        now = time.monotonic()
        if not _CAN_TELL or now < self._due:
            return
        before, self._before = self._before, _traffic_at(self._port)
        self._due = now + _APART
        peer = None if before is None else slowest(before, self._before)
        if peer is not None:
            _cut_off(self._port, peer)
            self._before = None
            self._due = now + _PAUSE


def slowest(
    before: Mapping[Address, Traffic], after: Mapping[Address, Traffic]
) -> Address | None:
    """Return who would take longest to read what waits for it; None: all read.

    Who has read all that waited at the first measurement keeps up, however much has
    come since.
    """
    longest, slow = 0.0, None
    for peer, (unsent, read) in after.items():
        waited, had_read = before.get(peer, (0, read))
        progress = read - had_read
        duration = min(waited, unsent) / (progress + 1) if progress < waited else 0.0
        if duration > longest:
            longest, slow = duration, peer
    return slow


def _traffic_at(port: int) -> dict[Address, Traffic]:
    """Return the traffic of each connection to a port of this process."""
    traffic: dict[Address, Traffic] = {}
    for path in _DESCRIPTORS.glob("*"):
        with contextlib.suppress(OSError, struct.error), _socket(path) as each:
            if each.getsockname()[1] == port:
                size = _BYTES_ACKED.size
                info = each.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
                unsent = fcntl.ioctl(each, termios.TIOCOUTQ, bytes(4))
                traffic[each.getpeername()[:2]] = Traffic(
                    int.from_bytes(unsent, sys.byteorder), *_BYTES_ACKED.unpack(info)
                )
    return traffic


def _cut_off(port: int, peer: Address) -> None:
    """End a connection. Its subscriber may come back, and reads what it has missed."""
    for path in _DESCRIPTORS.glob("*"):
        with contextlib.suppress(OSError), _socket(path) as each:
            if each.getsockname()[1] == port and each.getpeername()[:2] == peer:
                _logger.warning(
                    "%s reads too slowly: its connection was closed", each.getpeername()
                )
                each.shutdown(socket.SHUT_RDWR)


def _socket(path: Path) -> socket.socket:
    """Return another handle of a connection. OSError: it is none by now."""
    copy = os.dup(int(path.name))
    try:
        made = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    if made.family not in (socket.AF_INET, socket.AF_INET6):
        made.close()
        raise OSError("no connection to another machine")
    return made
