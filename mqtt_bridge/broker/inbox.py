"""Keeps messages of the broker that have arrived and have not been read yet.

It keeps only the newest payload of a retained topic, and all events and results. The
thread that reads it holds the bridge's turn.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

FULL = 64 << 20  # bytes; above this the link stops reading, so TCP slows the broker
OVERHEAD = 250  # bytes of memory that a message needs beside its payload
# This many states are read at once, so that a flood delays neither commands nor states.
PORTION = 100
CALLS = 200  # calls in one portion, so that a flood of them does not delay the broker


class Batch(NamedTuple):
    """All waiting messages, and a portion of the waiting calls and states.

    *last* tells that no state is left. *since* (monotonic) is when the first arrived.
    """

    calls: list[Callable[[], None]]
    states: dict[str, bytes]
    messages: list[tuple[str, bytes]]
    last: bool
    since: float


class Inbox:
    """Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._called = threading.Condition(self._lock)
        self._calls: deque[Callable[[], None]] = deque()
        self._states: OrderedDict[str, bytes] = OrderedDict()
        # Retained states that arrived late. They are read after the other states.
        self._late: dict[str, bytes] = {}
        self._live: set[str] = set()  # availability topics of live messages
        self._messages: list[tuple[str, bytes]] = []
        self._bytes = 0
        self._closed = False
        self._since = 0.0  # when the oldest waiting message arrived
        self.received = 0
        self.superseded = 0  # how many states were replaced before they were read

    @property
    def waiting(self) -> bool:
        """Whether a message or a state waits to be read."""
        return bool(self._states or self._messages)

    @property
    def calls(self) -> int:
        """The number of waiting calls."""
        return len(self._calls)

    @property
    def size(self) -> int:
        """The size of all waiting messages, in bytes."""
        return self._bytes

    @property
    def full(self) -> bool:
        return self._bytes > FULL

    def state(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Replace the topic's waiting payload with *payload*.

        A *retained* payload may be older than the waiting one, since some brokers send
        it late. Then both are read, the retained one last, and the reader compares
        them.
        """
        with self._lock:
            if retained and topic in self._states and self._keep_late(topic, payload):
                return
            if not self._states:
                self._since = time.monotonic()
            before = self._states.get(topic)
            self._states[topic] = payload
            # A newer state keeps its place in the queue, because otherwise a printer
            # that often publishes would never be read. Only "online" goes to the end,
            # after the states that the printer published before it.
            if topic.endswith("/availability"):
                self._states.move_to_end(topic)
                if not retained:
                    self._live.add(topic)
            self.received += 1
            if before is None:
                self._bytes += len(topic) + len(payload) + OVERHEAD
            else:
                self._bytes += len(payload) - len(before)
                self.superseded += 1

    def _keep_late(self, topic: str, payload: bytes) -> bool:
        """Keep *payload* after the waiting one. False: it must replace that one."""
        if topic.endswith("/availability"):
            # Availability has no sequence number. A live message is newer in any case.
            return topic in self._live
        self.received += 1
        if payload == self._states[topic]:
            return True
        self._bytes += len(topic) + len(payload) + OVERHEAD
        before = self._late.pop(topic, None)
        if before is not None:
            self._bytes -= len(topic) + len(before) + OVERHEAD
        self._late[topic] = payload
        return True

    def message(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self._messages.append((topic, payload))
            self._bytes += len(topic) + len(payload) + OVERHEAD
            self.received += 1

    def call(self, function: Callable[[], None]) -> None:
        """Let the reader call *function*."""
        self.offer(function)

    def offer(self, function: Callable[[], None]) -> bool:
        """Do the same as `call`, or return False if the reader has ended."""
        with self._lock:
            if not self._closed:
                self._calls.append(function)
                self._called.notify()
            return not self._closed

    def close(self) -> None:
        """Accept no more calls. The waiting messages and calls are read once more."""
        with self._lock:
            self._closed = True

    def wait(self, timeout: float) -> None:
        """Wait for a call, but no longer than *timeout* seconds."""
        with self._lock:
            if not self._calls:
                self._called.wait(timeout)

    def take(self) -> Batch:
        """Return a batch of what waits. It may be empty."""
        with self._lock:
            messages = self._messages
            calls = [self._calls.popleft() for _ in range(min(CALLS, len(self._calls)))]
            self._messages = []
            states = {}
            for _ in range(min(PORTION, len(self._states))):
                topic, payload = self._states.popitem(last=False)
                states[topic] = payload
            if self._live:
                self._live -= states.keys()
            for topic in self._late.keys() & states.keys():
                self._states[topic] = self._late.pop(topic)
            self._bytes -= sum(map(len, states)) + sum(map(len, states.values()))
            self._bytes -= sum(len(topic) + len(payload) for topic, payload in messages)
            self._bytes -= OVERHEAD * (len(states) + len(messages))
            last = not self._states
        return Batch(calls, states, messages, last, self._since)

    def forget(self, level: str) -> None:
        """Drop the states whose topics end in */level*, since they are out of date."""
        with self._lock:
            for topic in [each for each in self._states if each.endswith("/" + level)]:
                self._live.discard(topic)
                payload = self._states.pop(topic)
                self._bytes -= len(topic) + len(payload) + OVERHEAD
