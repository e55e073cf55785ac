"""Messages between the main bridge of a part and its standby. Pure.

Each publishes its state every few seconds to its own topic. A bridge whose messages
stop has ended, for whatever reason. So the bridges need no retained messages and no
wills, which some brokers do not have, and which are out of date after a power cut.
"""

from __future__ import annotations

from mqtt_bridge.settings import MAIN, STANDBY, Settings

EVERY = 2.0  # seconds between two messages
ABSENT = 8.0  # seconds without a message after which the other bridge has ended
ANSWERED = 2.0  # seconds in which a serving bridge answers one that starts
SILENT = b""  # a standby waits, and publishes nothing
STARTING = b"starting"
SERVING = b"serving"  # it has all messages, and will announce itself to registries
ANNOUNCED = b"announced"  # the registries name it to clients
LEAVING = b"leaving"  # it serves its old clients, and gives its place to the other one


class Presence:
    """The states of this bridge and of the other one. Times are monotonic seconds.

    *own* and *other* are topics. *state* is the first state of this bridge.
    """

    def __init__(self, own: str, other: str, state: bytes = STARTING) -> None:
        self.own = own
        self.other = other
        self._state = state  # the state of this bridge
        self._next = 0.0  # when to publish the state again; 0: now
        self._since: float | None = None  # when this state was first published
        self._heard = b""
        # None: there is no connection on which the other one's messages arrive.
        self._heard_at: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Presence | None:
        """Return the presence of a bridge, or None for one that has no standby."""
        store = settings.store
        part = f"{settings.broker.base}/_bridge/part/{store.name}-{store.alias}"
        if store.role == MAIN:
            return cls(f"{part}/{MAIN}", f"{part}/{STANDBY}")
        if store.role == STANDBY:
            return cls(f"{part}/{STANDBY}", f"{part}/{MAIN}", SILENT)
        return None

    # The connection that receives the other one's messages calls these.

    def connected(self, now: float) -> None:
        """Note a connection on which the other one's messages arrive."""
        self._heard, self._heard_at = b"", now

    def lost(self) -> None:
        """Note that the connection is lost, so that no message can arrive."""
        self._heard, self._heard_at = b"", None

    def hear(self, payload: bytes, now: float) -> None:
        """Handle a message of the other bridge. If that starts, answer at once."""
        self._heard, self._heard_at = payload, now
        if payload == STARTING and self._state in (SERVING, ANNOUNCED):
            self._next = now

    # The connection that sends this bridge's messages calls this.

    def say(self, now: float) -> bytes:
        """Return the message that must be sent now, or b""."""
        if self._state == SILENT or now < self._next:
            return b""
        self._next = now + EVERY
        self._since = now if self._since is None else self._since
        return self._state

    # Any thread may call these.

    def is_absent(self, now: float) -> bool:
        """Return whether the other bridge neither serves nor starts."""
        return self._heard_at is not None and now - self._heard_at >= ABSENT

    def other_serves(self, now: float) -> bool:
        """Return whether the other bridge serves, by its last message."""
        recent = self._heard_at is not None and now - self._heard_at < ABSENT
        return recent and self._heard in (SERVING, ANNOUNCED)

    def other_is_announced(self, now: float) -> bool:
        """Return whether registries name the other bridge, by its last message."""
        return self.other_serves(now) and self._heard == ANNOUNCED

    def knows(self, now: float) -> bool:
        """Return whether a serving bridge would have answered this one by now."""
        return self._since is not None and now - self._since >= ANSWERED

    def become(self, state: bytes) -> None:
        """Change this bridge's state, and publish that at once."""
        self._state, self._next = state, 0.0
