"""The subscriber for which most bytes wait is cut off. On Linux; see decision 19."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from pathlib import Path

try:
    import fcntl
    import termios
except ImportError:  # Windows, where nobody is cut off
    _CAN_TELL = False
else:
    _CAN_TELL = True

_DESCRIPTORS = Path("/proc/self/fd")  # on Linux; elsewhere nobody is cut off

_logger = logging.getLogger(__name__)


def cut_off_the_slowest(port: int) -> None:
    """End the connection to a port of this process for which the system has most.

    Its subscriber may come back, and reads what it has missed.
    """
    if not _CAN_TELL:
        return
    waiting: dict[int, int] = {}
    for path in _DESCRIPTORS.glob("*"):
        with contextlib.suppress(OSError), _socket(int(path.name)) as each:
            if each.getsockname()[1] == port:
                unsent = fcntl.ioctl(each, termios.TIOCOUTQ, bytes(4))
                waiting[int.from_bytes(unsent, sys.byteorder)] = int(path.name)
    if not waiting:
        return
    with contextlib.suppress(OSError), _socket(waiting[max(waiting)]) as slowest:
        if slowest.getsockname()[1] == port:
            _logger.warning("%s does not keep up: cut off", slowest.getpeername())
            slowest.shutdown(socket.SHUT_RDWR)


def _socket(descriptor: int) -> socket.socket:
    """Return another handle of a connection. OSError: it is none by now."""
    copy = os.dup(descriptor)
    try:
        made = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    if made.family not in (socket.AF_INET, socket.AF_INET6):
        made.close()
        raise OSError("no connection to another machine")
    return made
