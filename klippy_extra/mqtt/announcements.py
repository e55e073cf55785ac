"""Sends Home Assistant the discovery messages: when, and in which order.

They have their own queue, so that no state waits for them.
"""

from __future__ import annotations

import collections
import random
from typing import Callable, Sequence

from .discovery import MIGRATE, Message

BIRTH_DELAY = (1.0, 5.0)  # seconds: not all printers of a farm at once
HANDOVER = 10.0  # seconds in which Home Assistant removes entities that are made again


class Announcements:
    """The messages of discovery, as they wait for their turn.

    *replaces* is the topic of an older version's one message. *clock* is the
    reactor's, in seconds.
    """

    def __init__(
        self, messages: Sequence[Message], replaces: str, clock: Callable[[], float]
    ) -> None:
        self._messages = messages
        self.replaces = replaces
        self._clock = clock
        # Topic, payload, and whether it is retained.
        self._queue: collections.deque[tuple[str, bytes, bool]] = collections.deque()
        self._born_at: float | None = None
        self._waits_until = 0.0

    @property
    def ready(self) -> int:
        """How many messages may be taken now."""
        if self._clock() < self._waits_until:
            return 0
        hands_over = bool(self._queue) and self._queue[0][1] == MIGRATE
        return 1 if hands_over else len(self._queue)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def topics(self) -> list[str]:
        return [each.topic for each in self._messages]

    def born(self) -> None:
        """Home Assistant has started."""
        if self._born_at is None:
            delay = random.uniform(*BIRTH_DELAY)  # noqa: S311
            self._born_at = self._clock() + delay

    def is_time(self) -> bool:
        """Whether a Home Assistant that has started waits; once for each start."""
        if self._born_at is None or self._clock() < self._born_at:
            return False
        self._born_at = None
        return True

    def prepare(self, again: bool, hands_over: bool) -> None:
        """Queue the messages; *again* once Home Assistant was started.

        What an older version described in one message is handed over: Home Assistant
        keeps the entities when it is told so before and the message goes after.
        """
        if hands_over:
            self._queue.append((self.replaces, MIGRATE, True))
        for each in self._messages:
            # Messages of removed components are cleared at the broker.
            is_there = each.payload != b""
            if each.revival and (again or hands_over):
                self._queue.append((each.topic, each.revival, is_there))
                self._queue.append((each.topic, each.removal, is_there))
            elif is_there:
                self._queue.append((each.topic, each.payload, True))
        if hands_over:
            self._queue.append((self.replaces, b"", True))

    def stop(self) -> None:
        self._queue.clear()

    def take(self) -> tuple[str, bytes, bool]:
        """The topic and the payload of the next message, and whether it is retained."""
        message = self._queue.popleft()
        if message[1] == MIGRATE:
            self._waits_until = self._clock() + HANDOVER
        return message
