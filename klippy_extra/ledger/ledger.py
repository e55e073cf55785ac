"""Counters that only grow, and the tasks that compare their limits with them. Pure.

A *counter* is a meter, perhaps with a condition or a factor. A task remembers the
readings of its counters when counting began. So counting does not change the task: the
use is the counter's reading less the remembered reading.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from .. import contract
from ..contract import DISABLED, DUE, OK, SNOOZED, SOON
from .inventory import Inventory, derived, working
from .records import (
    CALENDAR,
    Amounts,
    Counter,
    Limit,
    Plan,
    Record,
    counters_of,
    joined,
    reconciled,
    sum_of_rates,
    threshold,
    warn_at,
)

HALF_LIFE = 14 * 24.0  # hours; the half-life of the recent rate of use
RATE_AFTER = 1.0  # hours of counting after which a rate gives a forecast
RATE_OVER = 24.0  # hours; a rate is over more than these, since one print is no habit
FORECAST = 10 * 365 * 24.0  # hours; a forecast further ahead is not shown
MARKS = 90  # days for which the readings for a back-dated "done" are kept
DAY = 24.0  # hours


class View(NamedTuple):
    """The present numbers of a task."""

    limits: tuple[contract.Limit, ...]
    trigger: str  # the limit that decides
    status: str
    due_at: int | None

    @property
    def deciding(self) -> contract.Limit:
        return next(each for each in self.limits if each.meter == self.trigger)


class Ledger:
    """The readings and recent rates of all counters, and the records of all tasks.

    Readings are in the meters' units. *calendar* is the reading of `time`.
    """

    def __init__(
        self,
        plans: Iterable[Plan],
        document: Mapping[str, Any] | None = None,
        records: Mapping[str, Mapping[str, Any]] | None = None,
        marks: Sequence[Any] = (),
    ) -> None:
        document = document or {}
        self.plans = {plan.task: plan for plan in plans}
        self.readings: Amounts = dict(document.get("readings", {}))
        # By counter: the use and the hours. Both decrease with HALF_LIFE.
        self._rates: dict[str, tuple[float, float]] = {
            key: (used, hours)
            for key, (used, hours) in document.get("rates", {}).items()
        }
        self._recent: Amounts = {}
        self._marks = [(when, dict(readings)) for when, readings in marks]
        self._derived: dict[str, list[Counter]] = {}
        self.records: dict[str, Record] = {}
        self.working: tuple[str, ...] = ()  # the tasks, without parts on the shelf
        self.inventory = Inventory()
        self.readings.setdefault(CALENDAR, 0.0)
        old = dict(self.readings)
        wanted = self.follow()
        self.records = {
            task: reconciled(
                plan, Record.of((records or {}).get(task) or {}), old, self.readings
            )
            for task, plan in self.plans.items()
        }
        self._began_with = dict(self.records)
        self.follow()
        self._restarted: dict[str, set[str]] = {}  # limits that were restarted, by task
        kept = {*wanted, *counters_of(records or {}, self.plans)}
        for key in list(self.readings):
            if key not in kept and any(sign in key for sign in "?*@"):
                del self.readings[key]

    def follow(self) -> set[str]:
        """Count from now on by the plans; return the keys of the counters."""
        wanted = {counter.key for counter in self.counters()}
        for key in wanted:
            self.readings.setdefault(key, 0.0)
        self.working = working(self.plans, self.records)
        self._derived = derived(self.plans[task] for task in self.working)
        return wanted

    def join(self, earlier: Ledger) -> None:
        """Add the counts of this ledger to *earlier*, and continue from the sum.

        This is for a store that could be read only later. This ledger began from zero.
        """
        before = earlier.readings
        for task, record in self.records.items():
            began = self._began_with[task]
            stored = earlier.records[task]
            if record.place == began.place:
                self.plans[task] = earlier.plans[task]
            restarted = self._restarted.get(task, ())
            self.records[task] = joined(
                began, record, stored, restarted, before, self.readings
            )
        marks = [(when, _sum(before, readings)) for when, readings in self._marks]
        self._marks = [*earlier._marks, *marks][-MARKS - 1 :]
        self.readings = _sum(before, self.readings)
        self._rates = sum_of_rates(earlier._rates, self._rates)

    @property
    def calendar(self) -> float:
        return self.readings[CALENDAR]

    def document(self) -> dict[str, Any]:
        """Return a copy of the counters' data for the store."""
        return {"readings": dict(self.readings), "rates": dict(self._rates)}

    def counters(self) -> list[Counter]:
        """Return the counters of all tasks."""
        return [limit.counter for p in self.plans.values() for limit in p.limits]

    def add_meters(self, names: Iterable[str]) -> None:
        """Also count these meters, which no task uses, from zero."""
        for name in names:
            self.readings.setdefault(name, 0.0)

    def forget(self, meter: str, into: str = "") -> None:
        """Remove a meter that no task counts, or add its reading *into* another one.

        The tasks' use of the other meter does not change.
        """
        reading = self.readings.pop(meter, 0.0)
        self._rates.pop(meter, None)
        self._recent.pop(meter, None)
        if not into:
            return
        used = {task: self.used(task) for task in self.plans}
        self.readings[into] = self.readings.get(into, 0.0) + reading
        for task, amounts in used.items():
            self.records[task] = self.restart(task, amounts)

    def advance(
        self,
        increments: Mapping[str, float],
        weight: Callable[[Counter], float] = lambda counter: 1.0,
        recent: bool = True,
    ) -> None:
        """Add the growth of the meters. *weight* applies conditions and factors.

        Growth that is not *recent* was counted long ago, and does not change the rate.
        """
        readings = self.readings
        for meter, increment in increments.items():
            # This is also false for NaN. A counter that is NaN once would stay NaN for
            # ever.
            if not 0.0 < increment < 1e12:
                continue
            self._add(meter, increment, recent)
            for counter in self._derived.get(meter, ()):
                key = counter.key
                share = increment * weight(counter)
                if 0.0 < share < 1e12 and key in readings:
                    self._add(key, share, recent)

    def _add(self, key: str, amount: float, recent: bool) -> None:
        self.readings[key] = self.readings.get(key, 0.0) + amount
        if recent:
            self._recent[key] = self._recent.get(key, 0.0) + amount

    def settle_rates(self, hours: float) -> None:
        """Add the counts of the last *hours* to the recent rates."""
        if hours <= 0.0:
            return
        fading = 0.5 ** (hours / HALF_LIFE)
        for key in self.readings:
            used, watched = self._rates.get(key, (0.0, 0.0))
            fresh = self._recent.get(key, 0.0)
            self._rates[key] = (used * fading + fresh, watched * fading + hours)
        self._recent.clear()

    def rate(self, counter: Counter) -> float | None:
        """Return the use per hour, or None if it is unknown."""
        if counter.key == CALENDAR:
            return 1.0
        used, watched = self._rates.get(counter.key, (0.0, 0.0))
        if watched < RATE_AFTER or used <= 0.0:
            return None
        return used / max(watched, RATE_OVER)

    def mark(self, now: float) -> bool:
        """Note the readings once a day of the calendar; return whether it was time.

        *now* is only shown to people. A jump of the clock neither loses nor adds a
        mark.
        """
        # A mark in the future is from a lost store, since a meter only grows.
        while self._marks and self._marks[-1][1].get(CALENDAR, 0.0) > self.calendar:
            self._marks.pop()
        if self._marks and self.calendar < self._marks[-1][1].get(CALENDAR, 0.0) + DAY:
            return False
        self._marks = [*self._marks[-MARKS:], (now, dict(self.readings))]
        return True

    def restamp(self, moved: Mapping[float, float]) -> None:
        """Give marks other times, since the clock was wrong."""
        self._marks = [(moved.get(when, when), each) for when, each in self._marks]

    @property
    def mark_times(self) -> list[float]:
        """Return the times of the marks, in UNIX seconds."""
        return [when for when, _ in self._marks]

    @property
    def marks(self) -> list[Any]:
        return [[when, readings] for when, readings in self._marks]

    def since(self, counter: Counter, at: float, now: float) -> float:
        """Return what *counter* counted since *at*, if that is known."""
        reading = self.readings[counter.key]
        if counter.key == CALENDAR:
            return max(0.0, now - at) / 3600.0
        # The calendar is used, since the clock may have jumped between two marks.
        moment = self.calendar - (now - at) / 3600.0
        after, then = self.calendar, reading
        for _, readings in reversed(self._marks):
            when = readings.get(CALENDAR)
            if counter.key not in readings or when is None or when > after:
                break
            before = readings[counter.key]
            if when <= moment:
                share = (moment - when) / (after - when) if after > when else 1.0
                then = before + share * (then - before)
                break
            after, then = when, before
        return max(0.0, reading - then)

    def history(self, task: str, now: float) -> dict[str, list[tuple[float, float]]]:
        """Return for each limit pairs of UNIX seconds and a reading, up to *now*.

        A limit on the calendar has none, since the calendar always grows evenly.
        """
        marks = [*self._marks, (now, self.readings)]
        return {
            limit.name: [
                (round(when), round(readings[limit.counter.key], 4))
                for when, readings in marks
                if limit.counter.key in readings and when <= now
            ]
            for limit in self.plans[task].limits
            if limit.counter.key != CALENDAR
        }

    def used(self, task: str, record: Record | None = None) -> Amounts:
        """Return the use of each limit, in its unit; by *record*, if that is given."""
        record = record or self.records[task]
        if not record.counts:
            return dict(record.held)
        readings, start = self.readings, record.start
        return {
            limit.name: max(0.0, readings[limit.counter.key] - start[limit.name])
            for limit in self.plans[task].limits
        }

    def restart(self, task: str, used: Amounts) -> Record:
        """Return the task's record with *used* as the use of these limits."""
        plan, record = self.plans[task], self.records[task]
        self._restarted.setdefault(task, set()).update(used)
        if not record.counts:
            return record._replace(held={**record.held, **used})
        start = {
            limit.name: self.readings[limit.counter.key] - used[limit.name]
            for limit in plan.limits
            if limit.name in used
        }
        return record._replace(start={**record.start, **start})

    def view(self, task: str, now: float) -> View:
        """Return the task's present numbers, and which of its limits decides."""
        plan, record = self.plans[task], self.records[task]
        used = self.used(task)
        limits = tuple(_held(each, record, used[each.name]) for each in plan.limits)
        # The fullest limit decides. If all must be reached, the emptiest one decides.
        decide = max if plan.match == "any" else min
        deciding = decide(limits, key=_urgency)
        return View(
            limits,
            deciding.meter,
            _status(record, deciding, self.calendar),
            self._due_at(plan, record, limits, deciding, now),
        )

    def examine(self, task: str, view: View, now: float) -> tuple[Record, list[str]]:
        """Return the new record by *view*, and the events that have happened."""
        record, events = self.records[task], []
        if record.snoozed_to is not None and self.calendar >= record.snoozed_to:
            # After a snooze, people are reminded at once, whatever the interval is.
            record = record._replace(
                snoozed_until=None, snoozed_to=None, reminded=None, ran=None
            )
            events.append("unsnoozed")
        level = _level(view.deciding) if record.counts else OK
        if (level == DUE) != (record.due_since is not None):
            record = record._replace(due_since=int(now) if level == DUE else None)
        if _LEVELS.index(level) < _LEVELS.index(record.announced):
            record = record._replace(announced=level, reminded=None, ran=None)
        elif level != record.announced and record.snoozed_to is None:
            record = record._replace(announced=level, reminded=None, ran=None)
            events.append(level)
        return record, events

    def _due_at(
        self,
        plan: Plan,
        record: Record,
        limits: tuple[contract.Limit, ...],
        deciding: contract.Limit,
        now: float,
    ) -> int | None:
        if not record.counts:
            return None
        if record.due_since is not None and deciding.remaining <= 0.0:
            return record.due_since
        hours = []
        for limit, held in zip(plan.limits, limits):
            rate = self.rate(limit.counter)
            if held.remaining <= 0.0:
                hours.append(0.0)
            elif rate is not None and held.remaining / rate <= FORECAST:
                hours.append(held.remaining / rate)
            elif plan.match == "all":
                return None
        if not hours:
            return None
        when = now + 3600.0 * (min(hours) if plan.match == "any" else max(hours))
        # It is rounded to an hour, since a forecast in seconds would always change.
        return round(when / 3600.0) * 3600


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {key: one.get(key, 0.0) + other.get(key, 0.0) for key in {**one, **other}}


def _held(limit: Limit, record: Record, used: float) -> contract.Limit:
    most = threshold(record, limit)
    return contract.Limit(
        meter=limit.name,
        unit=limit.unit,
        threshold=most,
        used=used,
        remaining=most - used,
        percent=100.0 * used / most if most else 100.0,
        warn_at=warn_at(record, limit),
    )


def _urgency(limit: contract.Limit) -> tuple[bool, bool, float]:
    remaining = limit.remaining
    return remaining <= 0.0, remaining <= limit.warn_at, limit.percent


def _status(record: Record, limit: contract.Limit, calendar: float) -> str:
    if not record.counts:
        return DISABLED
    level = _level(limit)
    snoozed = record.snoozed_to is not None and calendar < record.snoozed_to
    return SNOOZED if snoozed and level != OK else level


_LEVELS = (OK, SOON, DUE)


def _level(limit: contract.Limit) -> str:
    due, soon, _ = _urgency(limit)
    return DUE if due else SOON if soon else OK
