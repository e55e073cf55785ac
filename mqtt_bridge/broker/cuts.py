"""Messages at which a broker ends the connection. Pure.

A broker may do so with a message that it does not allow, since MQTT 3.1.1 has no other
way to refuse one. A single cut proves nothing. After it, each message waits for the
acknowledgement of the message before it. If the connection ends again right after the
same topic, that topic is left out for a while. A command to it then gets an error at
once.
"""

from __future__ import annotations

from collections.abc import Mapping

SOON = 5.0  # seconds; a connection that ends later has ended for another reason
LEFT_OUT = 600.0  # seconds until a topic is tried again
SUSPECTED = 3600.0  # seconds until a single cut is forgotten
MOST = 1000  # the greatest number of remembered topics


class Cuts:
    """Remembers topics at which connections ended. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._suspects: dict[str, float] = {}  # topics, with the time of the cut
        self._left_out: dict[str, float] = {}  # topics, with the time of the next try

    def careful(self, now: float) -> bool:
        """Return whether each message must wait for the last one's acknowledgement."""
        while self._suspects:
            oldest = next(iter(self._suspects))
            if now - self._suspects[oldest] < SUSPECTED:
                return True
            del self._suspects[oldest]
        return False

    def leaves_out(self, topic: str, now: float) -> bool:
        """Return whether no message may be sent to *topic* now."""
        return now < self._left_out.get(topic, 0.0)

    def acknowledged(self, topic: str) -> None:
        """Note that the broker has accepted a message to *topic*."""
        self._suspects.pop(topic, None)
        self._left_out.pop(topic, None)

    def ended(self, waiting: Mapping[str, float], now: float) -> str:
        """Note that a connection ended before some messages were acknowledged.

        *waiting* has their topics, each with the time at which its newest message was
        sent. Return the topic that is left out from now on, or "".
        """
        topics = [topic for topic, sent in waiting.items() if now - sent < SOON]
        [first, *others] = topics or [""]
        if (
            first
            and not others
            and (first in self._suspects or first in self._left_out)
        ):
            self._suspects.pop(first, None)
            self._left_out.pop(first, None)
            self._left_out[first] = now + LEFT_OUT
            _keep_newest(self._left_out)
            return first
        for topic in topics:
            self._suspects.pop(topic, None)
            self._suspects[topic] = now
        _keep_newest(self._suspects)
        return ""


def _keep_newest(topics: dict[str, float]) -> None:
    while len(topics) > MOST:
        del topics[next(iter(topics))]
