"""Whether somebody listens at a port, which a request learns by waiting."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable

_PATIENCE = 1.0  # seconds for a connection
# Seconds after which another connection is tried beside the first: where a packet of
# that was lost, the system sends it again after a second only.
AGAIN = 0.3
_FAR = 0.05  # seconds after which who does not answer is far away, or a packet was lost


def is_open(host: str, port: int, if_far: Callable[[], object] = lambda: None) -> bool:
    """Tell whether a connection to *port* is made within a second.

    ZeroMQ connects and tries again without a word, and takes longer for it. *if_far* is
    called when there is no connection after a twentieth of that.
    """
    until = time.monotonic() + _PATIENCE
    try:
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as attempts:
            first = attempts.enter_context(_begin(address[4]))
            answer = _answer([first], min(until, time.monotonic() + _FAR))
            if answer is None:
                if_far()
                second = attempts.enter_context(_begin(address[4]))
                answer = _answer([first, second], until)
            return answer or False
    except (OSError, ValueError):
        return False


def _begin(address: object) -> socket.socket:
    attempt = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    attempt.setblocking(False)
    attempt.connect_ex(address)  # type: ignore[arg-type]
    return attempt


def _answer(attempts: list[socket.socket], until: float) -> bool | None:
    """Return whether one of *attempts* has succeeded; None: not by then."""
    waiting = select.poll()
    by_descriptor = {attempt.fileno(): attempt for attempt in attempts}
    for descriptor in by_descriptor:
        waiting.register(descriptor, select.POLLOUT)
    while (left := until - time.monotonic()) > 0 and by_descriptor:
        for descriptor, _ in waiting.poll(left * 1000):
            attempt = by_descriptor.pop(descriptor)
            waiting.unregister(descriptor)
            error = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error == 0:
                return True
            if error == errno.ECONNREFUSED:
                return False
    return None if by_descriptor else False
