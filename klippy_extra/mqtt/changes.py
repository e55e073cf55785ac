"""When something new is worth a message. Pure.

Each message is work for a broker, and rows in the database of a Home Assistant.
"""

from __future__ import annotations

from typing import Any

from ..contract import State, Summary

LEAST_MOVE = 3600.0  # seconds by which a forecast moves before it is published again
FORECAST_MOVE = 0.1  # the same, as a share of the time until then


def settled(state: State) -> tuple[Any, ...]:
    """What is published at once when it changes."""
    settled = [(limit.meter, limit.threshold, limit.warn_at) for limit in state.limits]
    plain = state._replace(
        seq=0, time=0.0, limits=(), due_at=None, due_from=None, due_to=None
    )
    return (*plain, *settled)


def same(summary: Summary, last: Summary) -> bool:
    """Whether two summaries differ in their forecast at most."""
    undated = last._replace(seq=0, time=0.0, next_due_at=None)
    return summary._replace(seq=0, time=0.0, next_due_at=None) == undated


def numbers(state: State) -> list[float]:
    """What may wait for the interval."""
    return [limit.used for limit in state.limits]


def moved(before: int | None, after: int | None, now: float) -> bool:
    """Whether a forecast differs by so much that anybody wants to know of it."""
    if before is None or after is None:
        return before is not after
    return abs(after - before) > max(LEAST_MOVE, FORECAST_MOVE * abs(after - now))
