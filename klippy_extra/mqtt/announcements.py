"""Decides when and in which order Home Assistant gets the discovery messages.

They have their own queue, so that they do not delay any state.
"""

from __future__ import annotations

import collections
import random
from typing import Callable, Collection, Sequence

from .discovery import MIGRATE, Message

BIRTH_DELAY = (1.0, 5.0)  # seconds; not all printers of a farm must answer at once
HANDOVER = 10.0  # seconds in which Home Assistant removes entities that are made again


class Announcements:
    """The waiting messages of discovery.

    *replaces* are topics whose entities must stay: the one message of an older version,
    or all messages if the integration takes the entities over. With *waits*, the
    integration still has the entities, and needs a moment to return them. *clock* is
    the reactor's, in seconds.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        replaces: Collection[str],
        clock: Callable[[], float],
        waits: bool = False,
    ) -> None:
        self._messages = messages
        self.replaces = replaces
        self._clock = clock
        # The topic, the payload, and whether it is retained.
        self._queue: collections.deque[tuple[str, bytes, bool]] = collections.deque()
        self._born_at: float | None = None
        self._waits, self._waits_until = waits, 0.0

    @property
    def ready(self) -> int:
        """The number of messages that may be taken now."""
        if self._clock() < self._waits_until:
            return 0
        return 1 if self._hands_over else len(self._queue)

    @property
    def _hands_over(self) -> bool:
        return bool(self._queue) and self._queue[0][1] == MIGRATE

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def topics(self) -> list[str]:
        return [each.topic for each in self._messages]

    def born(self) -> None:
        """Note that Home Assistant has started."""
        if self._born_at is None:
            delay = random.uniform(*BIRTH_DELAY)  # noqa: S311
            self._born_at = self._clock() + delay

    def is_time(self) -> bool:
        """Return whether messages are due, once after each start of Home Assistant."""
        if self._born_at is None or self._clock() < self._born_at:
            return False
        self._born_at = None
        return True

    def prepare(self, again: bool, replaced: Sequence[str]) -> None:
        """Queue the messages; *again* after a start of Home Assistant.

        The entities of *replaced* topics are handed over. Home Assistant keeps them if
        it first gets a message about that, and the topic is cleared afterwards.
        """
        if self._waits:
            self._waits, self._waits_until = False, self._clock() + HANDOVER
        for topic in replaced:
            self._queue.append((topic, MIGRATE, True))
        for each in self._messages:
            # Messages of removed components are cleared at the broker.
            is_there = each.payload != b""
            if each.revival and (again or replaced):
                self._queue.append((each.topic, each.revival, is_there))
                self._queue.append((each.topic, each.removal, is_there))
            elif is_there:
                self._queue.append((each.topic, each.payload, True))
        for topic in replaced:
            self._queue.append((topic, b"", True))

    def stop(self) -> None:
        self._queue.clear()

    def take(self) -> tuple[str, bytes, bool]:
        """Return the next message: its topic, its payload, whether it is retained."""
        message = self._queue.popleft()
        if message[1] == MIGRATE and not self._hands_over:
            self._waits_until = self._clock() + HANDOVER
        return message
