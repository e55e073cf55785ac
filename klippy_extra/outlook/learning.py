"""Habits and forecasts of tasks, from their log and the last weeks.

Only the reactor uses this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

from ..contract import Entry, Habit, Suggestion
from ..ledger.records import CALENDAR
from . import habits, weekdays

if TYPE_CHECKING:
    from ..contract import Limit as Held
    from ..ledger.ledger import Ledger, View
    from ..ledger.records import Limit

HOUR = 3600.0
FRESH = 6.0  # hours for which the profile of the weekdays is kept
A_TURN = 0.1  # seconds between two readings of profiles
READ = 500  # entries of the log that are read

Log = Callable[["str | None", int], "list[Entry]"]


class Forecast(NamedTuple):
    """When a task will be due (UNIX seconds). The span is None if it is not known."""

    due: int
    first: int | None = None
    last: int | None = None


class Learning:
    """Keeps its results until something new happens to the task.

    *log* returns the newest entries of a task's log. *wall* is the wall clock.
    """

    def __init__(self, book: Ledger, log: Log, wall: Callable[[], float]) -> None:
        self._book = book
        self._log = log
        self._wall = wall
        self._learnt: dict[str, tuple[Habit | None, Suggestion | None]] = {}
        # By counter: the part of the day in which its profile was read, and the
        # profile.
        self._profiles: dict[str, tuple[int, weekdays.Profile | None]] = {}
        self._profiled_at = -A_TURN  # by the wall clock

    def forget(self) -> None:
        self._learnt.clear()

    def take(self, task: str, entry: Entry | None) -> None:
        """Note that something happened to *task*. *entry* is not in the log yet."""
        self._learnt.pop(task, None)
        if entry is not None:
            self._learn(task, [entry, *self._log(task, READ)])

    def habit(self, task: str) -> Habit | None:
        return self._known(task)[0]

    def suggestion(self, task: str) -> Suggestion | None:
        return self._known(task)[1]

    def unit(self, task: str, meter: str) -> str:
        limits = self._book.plans[task].limits
        return next((each.unit for each in limits if each.name == meter), "")

    def _known(self, task: str) -> tuple[Habit | None, Suggestion | None]:
        if task not in self._learnt:
            self._learn(task, self._log(task, READ))
        return self._learnt[task]

    def _learn(self, task: str, entries: list[Entry]) -> None:
        plan, record = self._book.plans[task], self._book.records[task]
        self._learnt[task] = habits.learnt(plan, record, entries)

    # Forecasts

    def forecast(self, task: str, view: View) -> Forecast | None:
        """Return when a task will be due, by the weekdays if these are known."""
        plan = self._book.plans[task]
        pairs = zip(plan.limits, view.limits)
        spans = [self._span(limit, held) for limit, held in pairs]
        known = [each for each in spans if each is not None]
        if not known or (plan.match == "all" and len(known) < len(spans)):
            return None
        decide = min if plan.match == "any" else max
        due, has_span = decide((each.due, exact) for each, exact in known)
        if not has_span:
            return Forecast(_to_the_hour(due))
        first = decide(each.first for each, _ in known)
        last = decide(each.last for each, _ in known)
        return Forecast(*map(_to_the_hour, (due, first, last)))

    def _span(self, limit: Limit, held: Held) -> tuple[weekdays.Span, bool] | None:
        """Return when a limit will be reached, perhaps with a span."""
        now, key = self._wall(), limit.counter.key
        if held.remaining <= 0.0 or key == CALENDAR:
            at = now + max(0.0, held.remaining) * HOUR
            return weekdays.Span(at, at, at), True
        profile = self._profile(key, now)
        if profile is not None:
            span = weekdays.span(profile, now, held.remaining)
            return None if span is None else (span, True)
        rate = self._book.rate(limit.counter)
        if rate is None:
            return None
        at = now + held.remaining / rate * HOUR
        return weekdays.Span(at, at, at), False

    def _profile(self, key: str, now: float) -> weekdays.Profile | None:
        """Return a counter's profile. One profile is read in each turn.

        Each is read again some times a day. Until then, the old one is used, or none.
        """
        part = int(self._book.calendar / FRESH)
        known_part, known = self._profiles.get(key, (-1, None))
        if known_part == part or abs(now - self._profiled_at) < A_TURN:
            return known
        self._profiled_at = now
        marks = [*self._book.marks, (now, self._book.readings)]
        recent = marks[-weekdays.MOST * weekdays.WEEK - 2 :]
        points = [(when, each[key]) for when, each in recent if key in each]
        made = weekdays.profile(points)
        self._profiles[key] = part, made
        return made


def _to_the_hour(moment: float) -> int:
    return round(moment / HOUR) * int(HOUR)
