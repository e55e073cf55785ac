"""Makes the contract's messages about the status of the tasks."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ..contract import DISABLED, DUE, SNOOZED, SOON, Job, Limit, State, Summary
from ..ledger import precision
from ..ledger.ledger import Ledger, View
from ..outlook.learning import Learning
from ..task import Task
from .problems import Problems


class Board:
    """Reads the tasks and the ledger, and changes nothing. *wall* is the wall clock."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        book: Ledger,
        wall: Callable[[], float],
        problems: Problems,
    ) -> None:
        self._tasks = tasks
        self._book = book
        self._wall = wall
        self._problems = problems
        self._latest: dict[str, State] = {}
        self._exact: dict[str, Limit] = {}
        self.learning: Learning | None = None  # None: intervals do not learn
        self.job: Callable[[], Job | None] = lambda: None  # the running print

    def state(self, task: str, seq: int = 0, view: View | None = None) -> State:
        """Return a task's state, with the published numbers."""
        now = self._wall()
        made, record = self._tasks[task], self._book.records[task]
        if view is None:
            view = self._book.view(task, now)
        self._exact[task] = view.deciding
        state = self._latest[task] = State(
            seq=seq,
            time=round(now, 3),
            task=task,
            label=made.label,
            limits=tuple(map(_published, view.limits)),
            trigger=view.trigger,
            status=view.status,
            message=made.message,
            guide=made.guide,
            parts=made.parts,
            match=made.plan.match,
            enabled=record.enabled,
            snoozed_until=record.snoozed_until,
            last_done=record.last_done,
            last_by=record.last_by,
            done_count=record.done_count,
            due_at=view.due_at,
            problem=self._problems.task(task),
            kind=made.plan.kind,
            place=record.place or "",
            places=self._book.inventory.choices(task) if made.plan.kind else (),
        )
        if self.learning is not None:
            state = self._latest[task] = _learnt(state, view, self.learning)
        return state

    def states(self) -> list[State]:
        return [self.state(task) for task in self._tasks]

    def summary(self, seq: int = 0) -> Summary:
        """Return how many tasks are due, or soon due, by their last examinations."""
        counted = [
            each
            for each in self._latest.values()
            if each.status not in (SNOOZED, DISABLED)
        ]
        due = sorted(
            (each for each in counted if each.status == DUE),
            key=lambda state: -state.deciding.percent,
        )
        following = min(counted, key=_order, default=None)
        return Summary(
            seq=seq,
            time=round(self._wall(), 3),
            due=len(due),
            soon=sum(each.status == SOON for each in counted),
            next_task=None if following is None else following.task,
            next_label=None if following is None else following.label,
            next_due_at=None if following is None else following.due_at,
            due_labels=tuple(each.label for each in due),
            problem=self._problems.summary,
            job=self.job(),
        )

    def status(self, task: str) -> dict[str, Any]:
        """Return a task's fields for `get_status`: few, as screens read all of them."""
        # Moonraker subscribes to the fields that a status has at its first reading, so
        # a task that was not examined yet also has all fields.
        state = self._latest.get(task) or self.state(task)
        limit = self._exact[task]
        part = {"kind": state.kind, "place": state.place} if state.kind else {}
        return {
            **part,
            "task": state.task,
            "label": state.label,
            "status": state.status,
            "enabled": state.enabled,
            "trigger": state.trigger,
            "unit": limit.unit,
            "threshold": limit.threshold,
            "used": precision.shown(limit.used, limit.unit),
            "remaining": precision.shown(limit.remaining, limit.unit),
            "percent": precision.rounded(limit.percent, 1),
            "snoozed_until": state.snoozed_until,
            "last_done": state.last_done,
            "last_by": state.last_by,
            "done_count": state.done_count,
            "due_at": state.due_at,
            "problem": state.problem,
        }


def _learnt(state: State, view: View, learning: Learning) -> State:
    """Return the state with the task's habit and suggestion, and a better forecast."""
    state = state._replace(
        habit=learning.habit(state.task), suggestion=learning.suggestion(state.task)
    )
    if state.status == DISABLED or view.deciding.remaining <= 0.0:
        return state
    forecast = learning.forecast(state.task, view)
    if forecast is None:
        return state
    return state._replace(
        due_at=forecast.due, due_from=forecast.first, due_to=forecast.last
    )


def _order(state: State) -> tuple[bool, float, float]:
    """Sort by urgency: due, then the earliest forecast, then the fullest."""
    due_at = float("inf") if state.due_at is None else float(state.due_at)
    percent = state.deciding.percent
    if state.status == DUE:
        return False, -percent, 0.0
    return True, due_at, -percent


def _published(limit: Limit) -> Limit:
    decimals = precision.places(limit.threshold, limit.unit, limit.meter)
    return limit._replace(
        used=precision.rounded(limit.used, decimals),
        remaining=precision.rounded(limit.remaining, decimals),
        percent=precision.rounded(limit.percent, 1),
        threshold=round(limit.threshold, 4),
        warn_at=round(limit.warn_at, 4),
    )
