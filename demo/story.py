"""The demo's story: a task comes due, is announced, is done over mKTL, begins again.

Pure: the caller passes what it sees, and gets the next step.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mqtt_bridge.contract import DUE, State


class Step(Enum):
    """The steps of the story."""

    COUNTING = "counting until a task is due"
    DUE = "due: it will be marked done"
    MARKING = "being marked done over mKTL"
    DONE = "done, and counting again"


class Sight(NamedTuple):
    """A task's values by MQTT and by mKTL, and its announced events."""

    state: State
    mktl_status: str | None
    mktl_used: float | None
    announced: bool  # its event "due" came
    answered: bool  # the SET of ours was answered


class Story:
    """Follows one task, the first that comes due."""

    def __init__(self, patience: float) -> None:
        """*patience*: seconds that a task stays due, for whoever wants to do it."""
        self.step = Step.COUNTING
        self.due_used = 0.0
        self._patience = patience
        self._since = 0.0
        self._done_count = 0

    def advance(self, sight: Sight, now: float) -> bool:
        """Go on; returns whether the task is to be marked done now."""
        state = sight.state
        if self.step is Step.COUNTING:
            if state.status == DUE and sight.mktl_status == DUE and sight.announced:
                self.step, self._since = Step.DUE, now
                self.due_used = state.deciding.used
                self._done_count = state.done_count
        elif self.step is Step.DUE:
            if state.done_count > self._done_count:
                self.step = Step.MARKING  # somebody was faster
            elif now - self._since >= self._patience:
                self.step = Step.MARKING
                return True
        elif self.step is Step.MARKING and self._began_again(sight):
            self.step = Step.DONE
        return False

    def begin_again(self) -> None:
        self.step = Step.COUNTING

    def _began_again(self, sight: Sight) -> bool:
        used = sight.mktl_used
        return (
            sight.answered
            and sight.state.done_count > self._done_count
            and sight.state.deciding.used < self.due_used
            and used is not None
            and used < self.due_used
        )
