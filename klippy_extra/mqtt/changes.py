"""Decides which changes are published, and when. Pure.

Each message is work for a broker, and makes rows in Home Assistant's database.
"""

from __future__ import annotations

from typing import Any

from ..contract import State, Summary

LEAST_MOVE = 3600.0  # seconds by which a forecast must change to be published again
FORECAST_MOVE = 0.1  # the same, as a share of the time until the forecast


def settled(state: State) -> tuple[Any, ...]:
    """Return the fields whose changes are published at once."""
    settled = [(limit.meter, limit.threshold, limit.warn_at) for limit in state.limits]
    plain = state._replace(
        seq=0, time=0.0, limits=(), due_at=None, due_from=None, due_to=None
    )
    return (*plain, *settled)


def same(summary: Summary, last: Summary) -> bool:
    """Return whether two summaries are equal, apart from their forecasts."""
    undated = last._replace(seq=0, time=0.0, next_due_at=None)
    return summary._replace(seq=0, time=0.0, next_due_at=None) == undated


def numbers(state: State) -> list[float]:
    """Return the fields whose changes wait for the interval."""
    return [limit.used for limit in state.limits]


def moved(before: int | None, after: int | None, now: float) -> bool:
    """Return whether a forecast has changed enough to be published."""
    if before is None or after is None:
        return before is not after
    return abs(after - before) > max(LEAST_MOVE, FORECAST_MOVE * abs(after - now))
