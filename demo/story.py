"""The demo's story: a task comes due, is announced, is done over mKTL, begins again.

Pure: the caller sends what it sees, and gets what it is to do.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from mqtt_bridge.contract import DUE, State


class Sight(NamedTuple):
    """A task's values by MQTT and by mKTL, and its announced events."""

    state: State
    mktl_status: str | None
    mktl_used: float | None
    is_announced: bool  # its event "due" came
    is_answered: bool  # the SET of ours was answered
    now: float  # s

    def is_due(self) -> bool:
        """Whether everybody says so."""
        return self.is_announced and self.state.status == self.mktl_status == DUE

    def has_begun_again(self, due: State) -> bool:
        """Whether everybody says so, since it was *due*."""
        used = self.state.deciding.used, self.mktl_used
        return (
            self.is_answered
            and self.state.done_count > due.done_count
            and all(each is not None and each < due.deciding.used for each in used)
        )


def begin(patience: float) -> Generator[bool, Sight, None]:
    """The story of one task: `next` starts it, and it goes on with each sight.

    It answers whether the task is to be marked done now, and ends when it counts again.
    *patience*: seconds that it stays due, for whoever wants to do it.
    """
    while not (sight := (yield False)).is_due():
        pass
    due, since = sight.state, sight.now
    while sight.now - since < patience and sight.state.done_count == due.done_count:
        sight = yield False
    if sight.state.done_count == due.done_count:  # nobody was faster
        sight = yield True
    while not sight.has_begun_again(due):
        sight = yield False
