"""Forecasts when an amount will be used, by the weekdays of the last weeks. Pure."""

from __future__ import annotations

import math
import statistics
from datetime import date, datetime, timedelta
from typing import NamedTuple, Sequence, Tuple

WEEK = 7  # days
MOST, LEAST = 6, 3  # the most weeks that are used, and the least that are needed
FARTHEST = 520.0  # weeks; a forecast further away is not shown
DAY = 86400.0  # seconds
ROUNDED = 1e-9  # the share of a week's use that rounding may lose

Point = Tuple[float, float]  # the UNIX seconds, and a counter's reading


class Profile(NamedTuple):
    """The use of each weekday, and how much the weeks differ."""

    by_weekday: tuple[float, ...]
    spread: float  # the standard deviation of a week

    @property
    def mean(self) -> float:
        return sum(self.by_weekday)


class Span(NamedTuple):
    """When a task will be due, and the span in which it is in two of three cases."""

    due: float
    first: float
    last: float


def profile(points: Sequence[Point]) -> Profile | None:
    """Read *points*, the oldest first, up to now. None: there are too few."""
    if len(points) < 2:
        return None
    today = _local(points[-1][0]).date()
    begin = _local(points[0][0]).date() + timedelta(days=1)
    weeks = min(MOST, (today - begin).days // WEEK)
    if weeks < LEAST:
        return None
    used = _by_day(points, today - timedelta(days=weeks * WEEK))
    days = [today - timedelta(days=ago) for ago in range(1, weeks * WEEK + 1)]
    by_weekday = [0.0] * WEEK
    for day in days:
        by_weekday[day.weekday()] += used.get(day, 0.0) / weeks
    totals = [
        sum(used.get(day, 0.0) for day in days[first : first + WEEK])
        for first in range(0, len(days), WEEK)
    ]
    if sum(by_weekday) <= 0.0:
        return None
    return Profile(tuple(by_weekday), statistics.stdev(totals))


def span(profile: Profile, now: float, remaining: float) -> Span | None:
    """Return when *remaining* will be used up, or None if that is very far away.

    After t weeks, t times the mean is used, plus or minus the spread times the square
    root of t, since the differences of the weeks partly cancel.
    """
    mean, spread = profile.mean, profile.spread
    root = math.sqrt(spread * spread + 4.0 * mean * remaining)
    early = ((root - spread) / (2.0 * mean)) ** 2
    late = ((root + spread) / (2.0 * mean)) ** 2
    if late > FARTHEST:
        return None
    uses = (remaining, early * mean, late * mean)
    return Span(*(_reached(profile, now, use) for use in uses))


def _reached(profile: Profile, now: float, use: float) -> float:
    """Return the moment when *use* is used up, day by day."""
    # The use of whole weeks ends on the last day with use, and not days later.
    least = ROUNDED * profile.mean
    weeks = max(0, math.ceil((use - least) / profile.mean) - 1)
    left = use - weeks * profile.mean
    when = _local(now) + timedelta(days=weeks * WEEK)
    for _ in range(WEEK + 1):
        today = profile.by_weekday[when.weekday()]
        midnight = datetime.combine(
            when.date() + timedelta(days=1), datetime.min.time()
        )
        until_midnight = (midnight - when) / timedelta(days=1)
        if left <= today * until_midnight + least:
            rest = min(left / today, until_midnight) if today else 0.0
            return (when + timedelta(days=rest)).timestamp()
        left -= today * until_midnight
        when = midnight
    return when.timestamp()


def _by_day(points: Sequence[Point], begin: date) -> dict[date, float]:
    """Return the use on each day since *begin*. Between two points it is even."""
    used: dict[date, float] = {}
    for (start, before), (end, after) in zip(points, points[1:]):
        if end <= start or after <= before or _local(end).date() < begin:
            continue
        rate = (after - before) / (end - start)
        moment = start
        while moment < end:
            day = _local(moment).date()
            midnight = datetime.combine(day + timedelta(days=1), datetime.min.time())
            until = min(end, max(midnight.timestamp(), moment + 1.0))
            used[day] = used.get(day, 0.0) + rate * (until - moment)
            moment = until
    return used


def _local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment)  # noqa: DTZ006 - weekdays are the house's
