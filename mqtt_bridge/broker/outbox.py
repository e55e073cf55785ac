"""What is handed to the link's thread, and what it has sent and is not acknowledged."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import paho.mqtt.client as paho

from mqtt_bridge.broker.client import Allowance
from mqtt_bridge.broker.cuts import Cuts
from mqtt_bridge.broker.inbox import Inbox

Act = Callable[[paho.Client], None]
Refused = Callable[[str], None]

# A PUBLISH has at most so many bytes beside its topic and its payload.
_OVERHEAD = 15


class Outbox:
    """Acts for the link's thread, which waits for `door`. Safe from any thread."""

    def __init__(self) -> None:
        self._acts: deque[Act] = deque()
        self._bell, self.door = socket.socketpair()
        self._bell.setblocking(False)
        self.door.setblocking(False)

    def __bool__(self) -> bool:
        return bool(self._acts)

    def append(self, act: Act) -> None:
        self._acts.append(act)
        self.ring()

    def ring(self) -> None:
        """Wake the link's thread."""
        # A full socket already means "wake up"; a closed one, "too late".
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")

    # The link's thread

    def heard(self) -> None:
        """Take note that `door` woke the thread."""
        with contextlib.suppress(BlockingIOError):
            self.door.recv(4096)

    def pop(self) -> Act:
        return self._acts.popleft()

    def clear(self) -> None:
        self._acts.clear()

    def close(self) -> None:
        self._bell.close()
        self.door.close()


class _Sent(NamedTuple):
    topic: str
    when: float  # monotonic
    refused: Refused


class Publisher:
    """Publishes what the broker allows. The link's thread only."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._unacknowledged: dict[int, _Sent] = {}
        self._cuts = Cuts()
        self.allowance = Allowance()

    @property
    def has_room(self) -> bool:
        """Whether the broker takes one more that is not acknowledged."""
        waiting = len(self._unacknowledged)
        if waiting and self._cuts.careful(time.monotonic()):
            return False
        return waiting < self.allowance.receive_maximum

    def end(self, *, blamed: bool) -> str:
        """The connection ended: nothing of it is acknowledged any more.

        *blamed*: a message may be the reason. Return the topic that is left out from
        now on, or "".
        """
        sent, self._unacknowledged = self._unacknowledged, {}
        if not blamed:
            return ""
        waiting = {each.topic: each.when for each in sent.values()}
        return self._cuts.ended(waiting, time.monotonic())

    def send(
        self, client: paho.Client, topic: str, payload: bytes, refused: Refused
    ) -> None:
        """Send once; *refused* is put into the inbox if the broker does not take it."""
        now = time.monotonic()
        most = self.allowance.packet_size
        if most is not None and len(topic.encode()) + len(payload) + _OVERHEAD > most:
            self._refuse(
                refused, f"the broker takes no message of more than {most} bytes"
            )
            return
        if self._cuts.leaves_out(topic, now):
            self._refuse(
                refused, f"the broker ends the connection at a message to {topic}"
            )
            return
        sent = client.publish(topic, payload, qos=min(1, self.allowance.qos))
        if self.allowance.qos:
            self._unacknowledged[sent.mid] = _Sent(topic, now, refused)

    def acknowledged(self, mid: int, reason: Any) -> None:
        """Take a PUBACK; in MQTT 5 it may be a refusal."""
        sent = self._unacknowledged.pop(mid, None)
        if sent is None:
            return
        self._cuts.acknowledged(sent.topic)
        if reason.is_failure:
            self._refuse(sent.refused, f"the broker refuses the command: {reason}")

    def _refuse(self, refused: Refused, text: str) -> None:
        self._inbox.call(lambda: refused(text))
