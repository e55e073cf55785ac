"""Messages between the main bridge of a part and its standby. Pure.

Each publishes its state every few seconds, in its own topic. A bridge that is not
heard any more is gone, however it ended: so neither retained messages nor wills are
needed, which some brokers have not, and which tell old news after a power cut.
"""

from __future__ import annotations

from mqtt_bridge.settings import MAIN, STANDBY, Settings

EVERY = 2.0  # seconds between two messages
ABSENT = 8.0  # seconds without a message after which the other one is gone
ANSWERED = 2.0  # seconds after which one that serves has answered one that starts
SILENT = b""  # a standby that waits
STARTING = b"starting"
SERVING = b"serving"  # it has everything, and mKTL's registries are told of it next
ANNOUNCED = b"announced"  # registries tell clients of it
LEAVING = b"leaving"  # it serves those that it has, and makes room for the other one


class Presence:
    """The state of the other bridge and our own. Times are monotonic seconds.

    *own* and *other* are topics, *state* is what we do first.
    """

    def __init__(self, own: str, other: str, state: bytes = STARTING) -> None:
        self.own = own
        self.other = other
        self._state = state  # ours
        self._next = 0.0  # when we publish our state again; 0: now
        self._since: float | None = None  # when we began to publish this state
        self._heard = b""
        # None: there is no connection on which its messages arrive.
        self._heard_at: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Presence | None:
        """The presence of a bridge with these settings; None: it has no standby."""
        store = settings.store
        part = f"{settings.broker.base}/_bridge/part/{store.name}-{store.alias}"
        if store.role == MAIN:
            return cls(f"{part}/{MAIN}", f"{part}/{STANDBY}")
        if store.role == STANDBY:
            return cls(f"{part}/{STANDBY}", f"{part}/{MAIN}", SILENT)
        return None

    # For the connection that receives the other one's messages

    def connected(self, now: float) -> None:
        """A connection is there on which the other one's messages arrive."""
        self._heard, self._heard_at = b"", now

    def lost(self) -> None:
        """The connection is lost, so no message can arrive."""
        self._heard, self._heard_at = b"", None

    def hear(self, payload: bytes, now: float) -> None:
        """Take a message of the other one; answer one that starts at once."""
        self._heard, self._heard_at = payload, now
        if payload == STARTING and self._state in (SERVING, ANNOUNCED):
            self._next = now

    # For the connection that sends our messages

    def say(self, now: float) -> bytes:
        """Return the message that is to be sent now, or b""."""
        if self._state == SILENT or now < self._next:
            return b""
        self._next = now + EVERY
        self._since = now if self._since is None else self._since
        return self._state

    # Any thread

    def is_absent(self, now: float) -> bool:
        """Whether the other one is gone: neither does it serve, nor does it start."""
        return self._heard_at is not None and now - self._heard_at >= ABSENT

    def other_serves(self, now: float) -> bool:
        """Whether the other one serves, by its last message."""
        recent = self._heard_at is not None and now - self._heard_at < ABSENT
        return recent and self._heard in (SERVING, ANNOUNCED)

    def other_is_announced(self, now: float) -> bool:
        """Whether clients are told of the other one, as far as we know."""
        return self.other_serves(now) and self._heard == ANNOUNCED

    def knows(self, now: float) -> bool:
        """Whether one that serves would have answered us by now."""
        return self._since is not None and now - self._since >= ANSWERED

    def become(self, state: bytes) -> None:
        """From now on we do this; it is said at once."""
        self._state, self._next = state, 0.0
