"""The demo's story: a task becomes due, is announced, is done over mKTL, counts again.

Pure: the caller sends what it observes, and gets what it has to do.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from mqtt_bridge.contract import DUE, State


class Observation(NamedTuple):
    """A task's values by MQTT and by mKTL, and its announced events."""

    state: State
    mktl_status: str | None
    mktl_used: float | None
    is_announced: bool  # the event "due" has arrived
    is_answered: bool  # the daemon has answered the demo's SET
    now: float  # s

    def is_due(self) -> bool:
        """Return whether MQTT and mKTL agree that the task is due."""
        return self.is_announced and self.state.status == self.mktl_status == DUE

    def has_begun_again(self, due: State) -> bool:
        """Return whether MQTT and mKTL agree that it was *due* and counts again."""
        used = self.state.deciding.used, self.mktl_used
        return (
            self.is_answered
            and self.state.done_count > due.done_count
            and all(each is not None and each < due.deciding.used for each in used)
        )


def begin(patience: float) -> Generator[bool, Observation, None]:
    """Tell the story of one task: `next` starts it, and each observation continues it.

    It yields whether the task is to be marked done now. It ends when the task counts
    again. *patience*: seconds for which the task stays due, so that a user can do it.
    """
    while not (seen := (yield False)).is_due():
        pass
    due, since = seen.state, seen.now
    while seen.now - since < patience and seen.state.done_count == due.done_count:
        seen = yield False
    if seen.state.done_count == due.done_count:  # no user has done it meanwhile
        seen = yield True
    while not seen.has_begun_again(due):
        seen = yield False
