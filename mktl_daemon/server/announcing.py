"""How registries have taken the announcements of a daemon, and what follows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mktl_daemon.core.errors import RefusedError

# Seconds until a registry that refused, or did not answer, gets the items again.
AGAIN = (1.0, 2.0, 5.0, 10.0)


class Outcome(NamedTuple):
    """What follows from one announcement to all registries."""

    pause: float | None = None  # seconds until the next one; None: all have accepted
    warning: str = ""  # for the log
    refused: str | None = None  # by the reason of a registry that began to refuse
    accepted: bool = False  # by all, after some had refused


class Standing:
    """Remembers whether registries refuse, so that changes are reported once."""

    def __init__(self) -> None:
        self._tries = 0  # since all registries last accepted all items
        self._is_refused = False

    def settle(self, failures: Sequence[Exception]) -> Outcome:
        """Return what follows where *failures* tell why registries did not accept."""
        if not failures:
            was_refused, self._is_refused, self._tries = self._is_refused, False, 0
            return Outcome(accepted=was_refused)
        refusals = [each for each in failures if isinstance(each, RefusedError)]
        begins = bool(refusals) and not self._is_refused
        warning = ""
        if begins or not self._tries:
            reason = (refusals or failures)[0]
            warning = f"{reason}; it is asked again until it accepts"
        pause = AGAIN[min(self._tries, len(AGAIN) - 1)]
        self._tries += 1
        self._is_refused = self._is_refused or begins
        return Outcome(pause, warning, str(refusals[0]) if begins else None)
