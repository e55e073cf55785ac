"""Decides which of two printers with the same name at a broker keeps it. Pure."""

from __future__ import annotations

from typing import Callable

from ..contract import ONLINE, Info

DEFEND_EVERY = 10.0  # seconds between two snapshots against a namesake
INSIST_EVERY = 1.0  # seconds between two answers to a false `offline`


class Namesake:
    """The retained messages of another printer with our name.

    Of two that come at the same time the one with the lower uuid stays, so that both
    decide alike. *clock* is the reactor's, in seconds.
    """

    def __init__(self, uuid: str, clock: Callable[[], float]) -> None:
        self._uuid = uuid
        self._clock = clock
        self._info: Info | None = None
        self._availability = b""
        self._defended_at = self._insisted_at = -DEFEND_EVERY

    def forget(self) -> None:
        """The connection is lost: retained messages come again with the next one."""
        self._info, self._availability = None, b""

    @property
    def online(self) -> Info | None:
        """The other printer, if it is online."""
        return self._info if self._availability == ONLINE else None

    def take_availability(self, payload: bytes) -> None:
        self._availability = payload

    def take(self, info: Info) -> bool:
        """Take note of an info under our name; return whether it is another's."""
        self._info = info if self.is_other(info) else None
        return self._info is not None

    def is_other(self, info: Info) -> bool:
        return info.uuid != self._uuid

    def goes_first(self, info: Info) -> bool:
        """Whether the other printer keeps the name."""
        return info.uuid < self._uuid

    def may_defend(self) -> bool:
        """Whether it is time to publish everything again, against the other."""
        now = self._clock()
        if now - self._defended_at < DEFEND_EVERY:
            return False
        self._defended_at = now
        return True

    def may_insist(self) -> bool:
        """Whether it is time to say again that we are online."""
        now = self._clock()
        if now - self._insisted_at < INSIST_EVERY:
            return False
        self._insisted_at = now
        return True
