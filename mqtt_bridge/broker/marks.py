"""Marks: messages to the bridge itself that arrive after earlier messages. Pure.

MQTT does not promise that retained messages arrive before a later publication: aedes
and EMQX send them when they have read them. So a mark only tells that most retained
messages have probably arrived. `Settling` in the bridge checks the others.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import NamedTuple

QUIET = 2.0  # seconds without a retained message after which a mark is sent again
WAIT = 120.0  # seconds after which the link waits no longer for a mark
ATTEMPTS = 3  # how often a mark is sent, since a full queue of the broker may lose it

Then = Callable[[], None]


class MissingMarks(NamedTuple):
    """Marks that did not arrive. *again* are sent once more, *given_up* are not."""

    again: list[bytes]
    given_up: list[Then]


class _Mark(NamedTuple):
    then: Then
    sent: float
    attempts: int


class Marks:
    """The marks that were sent and have not arrived. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._marks: dict[bytes, _Mark] = {}
        self.arrivals = 0
        self.repeated = False  # whether a mark had to be sent again on this connection
        self.last_retained = 0.0  # when the newest retained message arrived

    def __bool__(self) -> bool:
        return bool(self._marks)

    def clear(self) -> None:
        """Forget all marks, since the connection on which they were sent is lost."""
        self._marks.clear()
        self.repeated = False

    def open(self, then: Then, now: float) -> bytes:
        """Return the payload of a new mark. `arrived` returns *then* for it."""
        payload = uuid.uuid4().hex.encode()
        self._marks[payload] = _Mark(then, now, 1)
        self.last_retained = now
        return payload

    def arrived(self, payload: bytes) -> Then | None:
        mark = self._marks.pop(payload, None)
        if mark is None:
            return None
        self.arrivals += 1
        return mark.then

    def missing(self, now: float) -> MissingMarks:
        """Return the marks that should have arrived by *now*.

        A full queue of the broker can lose a mark and the messages before it. Such a
        mark is sent again once the broker is quiet. A broker that loses all of them
        forbids marks, or sends none back.
        """
        missing = MissingMarks([], [])
        for payload, mark in list(self._marks.items()):
            quiet = now - max(mark.sent, self.last_retained) > QUIET
            if not quiet and now - mark.sent < WAIT:
                continue
            if quiet and mark.attempts < ATTEMPTS:
                self._marks[payload] = _Mark(mark.then, now, mark.attempts + 1)
                missing.again.append(payload)
                self.repeated = True
            else:
                del self._marks[payload]
                missing.given_up.append(mark.then)
        return missing
