"""Reads the values of many items at the same time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, TypeVar

from .names import entry_of, wanted_keys

T = TypeVar("T")

_THREADS = 32
_AT_ONCE = 10_000  # jobs that wait for a thread


class Reading(NamedTuple):
    """The value of an item, or the error in its place."""

    name: str
    item: Any = None
    value: Any = None
    time: float = 0.0
    error: Exception | None = None
    away: str = ""  # the UUID of the daemon, if the daemon is away


def reading_all(
    names: Sequence[str], trouble: tuple[type[Exception], ...]
) -> Iterator[Reading]:
    """Yield the values of all items that *names* mean, in order.

    *trouble* are the errors that a reading tells of. A daemon that is away is asked for
    as long as one request takes, however many of its items are wanted.
    """
    away: set[str] = set()

    def resolve(name: str) -> list[_Place] | list[Reading]:
        try:
            store, keys = wanted_keys(name, "gettable")
        except trouble as error:
            return [Reading(name, error=error)]
        return [_Place(store, key) for key in keys]

    def read(place: _Place | Reading) -> Reading:
        return place if isinstance(place, Reading) else _read(place, trouble, away)

    readings = itertools.chain.from_iterable(_all_at_once(resolve, names))
    yield from _all_at_once(read, list(readings))


class _Place(NamedTuple):
    store: str
    key: str


def _read(
    place: _Place, trouble: tuple[type[Exception], ...], away: set[str]
) -> Reading:
    from mktl_daemon import NoAckError, get  # noqa: PLC0415

    store, key = place
    name = f"{store}.{key}"
    try:
        daemon = str(entry_of(store, key).get("uuid"))
        if daemon in away:
            return Reading(name, error=NoAckError(name), away=daemon)
        item = get(store, key)
        return Reading(name, item, item.value, item.timestamp)
    except NoAckError as error:
        away.add(daemon)
        return Reading(name, error=error, away=daemon)
    except trouble as error:
        return Reading(name, error=error)


def _all_at_once(function: Callable[[Any], T], things: Iterable[Any]) -> Iterator[T]:
    """Yield what *function* returns for each of *things*, in order."""
    from mktl_daemon.net.workers import Pool  # noqa: PLC0415

    rest = iter(things)
    first = list(itertools.islice(rest, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    pool = Pool("mktl-client-mk", _THREADS, most=_THREADS)
    rest = itertools.chain(first, rest)
    while batch := list(itertools.islice(rest, _AT_ONCE)):
        results: list[Future[T]] = [Future() for _ in batch]
        for thing, result in zip(batch, results, strict=True):
            pool.submit(result, partial(_settle, result, function, thing))
        for result in results:
            yield result.result()


def _settle(result: Future[T], function: Callable[[Any], T], thing: Any) -> None:
    try:
        result.set_result(function(thing))
    except BaseException as error:  # noqa: BLE001 - it is raised again where it is read
        result.set_exception(error)
