"""Messages for the link's thread, and sent messages that are not acknowledged yet."""

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

# A PUBLISH has no more bytes than these beside its topic and its payload.
_OVERHEAD = 15


class Outbox:
    """Keeps actions for the link's thread, which waits for `door`.

    Any thread may use it.
    """

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
        # A full socket has already woken the thread. If it is closed, it is too late.
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")

    # The link's thread

    def heard(self) -> None:
        """Empty `door`, which woke the thread."""
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
    when: float  # the time at which it was sent (monotonic)
    refused: Refused


class Publisher:
    """Publishes messages, if the broker allows them. Only the link's thread uses it."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._unacknowledged: dict[int, _Sent] = {}
        self._cuts = Cuts()
        self.allowance = Allowance()

    @property
    def has_room(self) -> bool:
        """Whether the broker accepts one more message before it acknowledges others."""
        waiting = len(self._unacknowledged)
        if waiting and self._cuts.careful(time.monotonic()):
            return False
        return waiting < self.allowance.receive_maximum

    def end(self, *, blamed: bool) -> str:
        """Forget the sent messages, since their connection has ended.

        *blamed* tells that a message may be the reason. Return the topic that is left
        out from now on, or "".
        """
        sent, self._unacknowledged = self._unacknowledged, {}
        if not blamed:
            return ""
        waiting = {each.topic: each.when for each in sent.values()}
        return self._cuts.ended(waiting, time.monotonic())

    def send(
        self, client: paho.Client, topic: str, payload: bytes, refused: Refused
    ) -> None:
        """Send a message once. If the broker refuses it, *refused* is called later."""
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
        """Handle a PUBACK. In MQTT 5 it may be a refusal."""
        sent = self._unacknowledged.pop(mid, None)
        if sent is None:
            return
        self._cuts.acknowledged(sent.topic)
        if reason.is_failure:
            self._refuse(sent.refused, f"the broker refuses the command: {reason}")

    def _refuse(self, refused: Refused, text: str) -> None:
        self._inbox.call(lambda: refused(text))
