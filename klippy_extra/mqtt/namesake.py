"""Decides which of two printers with the same name at a broker keeps it. Pure."""

from __future__ import annotations

from typing import Callable

from ..contract import ONLINE, Info

DEFEND_EVERY = 10.0  # seconds between two snapshots that replace another printer's
INSIST_EVERY = 1.0  # seconds between two answers to a false `offline`


class Namesake:
    """The retained messages of another printer with our name.

    If both connect at the same time, the printer with the lower uuid keeps the name. So
    both decide in the same way. *clock* is the reactor's, in seconds.
    """

    def __init__(self, uuid: str, clock: Callable[[], float]) -> None:
        self._uuid = uuid
        self._clock = clock
        self._info: Info | None = None
        self._availability = b""
        self._defended_at = self._insisted_at = -DEFEND_EVERY

    def forget(self) -> None:
        """Forget the messages. The next connection gets the retained ones again."""
        self._info, self._availability = None, b""

    @property
    def online(self) -> Info | None:
        """The other printer, if it is online."""
        return self._info if self._availability == ONLINE else None

    def take_availability(self, payload: bytes) -> None:
        self._availability = payload

    def take(self, info: Info) -> bool:
        """Note an info under our name; return whether it is another printer's."""
        self._info = info if self.is_other(info) else None
        return self._info is not None

    def is_other(self, info: Info) -> bool:
        return info.uuid != self._uuid

    def goes_first(self, info: Info) -> bool:
        """Return whether the other printer keeps the name."""
        return info.uuid < self._uuid

    def may_defend(self) -> bool:
        """Return whether it is time to publish everything again."""
        now = self._clock()
        if now - self._defended_at < DEFEND_EVERY:
            return False
        self._defended_at = now
        return True

    def may_insist(self) -> bool:
        """Return whether it is time to publish again that this printer is online."""
        now = self._clock()
        if now - self._insisted_at < INSIST_EVERY:
            return False
        self._insisted_at = now
        return True
