"""Whether somebody listens at a port, which a request learns by waiting."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable

# Seconds that a search waits for a connection, for an ACK of a daemon that is near, and
# for the answers to a call by UDP.
PATIENCE = 0.85
# Seconds after which another connection is tried beside the first: where a packet of
# that was lost, the system sends it again after a second only.
AGAIN = 0.3
_FAR = 0.05  # seconds after which who does not answer is far away, or a packet was lost
# When connections are tried, in seconds: the last one has time for a far daemon.
ATTEMPTS = (0.0, _FAR, AGAIN)


def is_open(
    host: str, port: int, if_far: Callable[[], object] = lambda: None
) -> bool | None:
    """Tell whether a connection to *port* is made; None: not within `PATIENCE`.

    ZeroMQ connects and tries again without a word, and takes longer for it. *if_far* is
    called when there is no connection after a twentieth of a second.
    """
    began = time.monotonic()
    try:
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as closing:
            attempts: list[socket.socket] = []
            for until in (*ATTEMPTS[1:], PATIENCE):
                attempts.append(closing.enter_context(_begin(address[4])))
                answer = _answer(attempts, began + until)
                if answer is not None:
                    return answer
                if until == _FAR:
                    if_far()
            return None
    except (OSError, ValueError):
        return False


def _begin(address: object) -> socket.socket:
    attempt = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    attempt.setblocking(False)
    attempt.connect_ex(address)  # type: ignore[arg-type]
    return attempt


def _answer(attempts: list[socket.socket], until: float) -> bool | None:
    """Return whether one of *attempts* has succeeded; None: not by then.

    Those that failed are taken out: a socket tells of its error only once.
    """
    waiting = select.poll()
    for attempt in attempts:
        waiting.register(attempt, select.POLLOUT)
    while (left := until - time.monotonic()) > 0 and attempts:
        ready = {descriptor for descriptor, _ in waiting.poll(left * 1000)}
        for attempt in [each for each in attempts if each.fileno() in ready]:
            attempts.remove(attempt)
            waiting.unregister(attempt)
            error = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error == 0:
                return True
            if error == errno.ECONNREFUSED:
                return False
    return None if attempts else False
