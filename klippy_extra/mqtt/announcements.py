"""Sends Home Assistant the discovery messages: when, and in which order.

They have their own queue, so that no state waits for them.
"""

from __future__ import annotations

import collections
import random
from typing import Callable, Collection, Sequence

from .discovery import MIGRATE, Message

BIRTH_DELAY = (1.0, 5.0)  # seconds: not all printers of a farm at once
HANDOVER = 10.0  # seconds in which Home Assistant removes entities that are made again


class Announcements:
    """The messages of discovery, as they wait for their turn.

    *replaces* are topics whose entities are to stay: of an older version's one
    message, and of all that leave the printer to the integration. With *waits* the
    integration has the entities, and needs a moment to let go of them. *clock* is
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
        # Topic, payload, and whether it is retained.
        self._queue: collections.deque[tuple[str, bytes, bool]] = collections.deque()
        self._born_at: float | None = None
        self._waits, self._waits_until = waits, 0.0

    @property
    def ready(self) -> int:
        """How many messages may be taken now."""
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

    def prepare(self, again: bool, replaced: Sequence[str]) -> None:
        """Queue the messages; *again* once Home Assistant was started.

        What is *replaced* is handed over: Home Assistant keeps the entities when it is
        told so before and the message goes after.
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
        """The topic and the payload of the next message, and whether it is retained."""
        message = self._queue.popleft()
        if message[1] == MIGRATE and not self._hands_over:
            self._waits_until = self._clock() + HANDOVER
        return message
