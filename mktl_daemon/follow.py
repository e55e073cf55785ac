"""Following: a client's subscriptions go where their keys go."""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from . import loop, publish, request, wire
from .wire import GET
from .workers import Pool

if TYPE_CHECKING:
    from .config import Block, Configuration

Look = Callable[["Configuration", Iterable[str]], set[str]]

_PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds between looks, while somebody is missing
_SHARE = 20  # a look takes at most a part of the processor, be the catalog large
_SPREAD = 0.5  # seconds within which the clients of a daemon ask what has changed
ARRIVAL = 1.0  # seconds after which a subscription has certainly reached its daemon
_PATIENCE = 10.0  # seconds for a value that is read again
_WINDOW = 64  # values that are asked for at a time

_logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a daemon is."""

    host: str
    rep: int
    pub: int

    @classmethod
    def of(cls, block: Block) -> Place:
        """Return the place of a block's daemon. RuntimeError: it does not say."""
        strata = block.get("provenance") or ()
        for stratum in sorted(strata, key=lambda each: each.get("stratum") or 0):
            if stratum.get("pub"):
                return cls(stratum["hostname"], stratum["rep"], stratum["pub"])
        raise RuntimeError(
            f"the catalog of {block['store']!r} does not say where it is"
        )


class Subscriber(Protocol):
    """What is asked of an item."""

    key: str
    authoritative: bool
    _state: Any

    @property
    def full_key(self) -> str: ...

    def _published(self, publication: wire.Publication) -> bool: ...

    def _caught_up(self, before: Any, asked: request.Pending) -> None: ...


class Follower:
    """Has the subscriptions of a store's items, and looks for daemons that moved.

    There is one look at a time, on a thread that many stores share. It begins when a
    connection is lost, when a daemon tells of another catalog, or when a request was
    in vain, and is repeated until every key that somebody follows has its daemon.
    """

    def __init__(self, catalog: Configuration, look: Look | None) -> None:
        self._catalog = catalog
        self._look_around = look
        self.closed = False
        self.begin()

    def begin(self) -> None:
        """Follow nothing; also for a process that was forked."""
        self._followed: dict[str, tuple[Subscriber, Place]] = {}
        self._lock = threading.RLock()  # of what is followed; never on the loop
        self._looking = threading.RLock()
        self._looked = -_PAUSES[0]  # when a look began, by the monotonic clock
        self._tries = 0
        self._planning = threading.Lock()
        self._planned: tuple[float, loop.Timer] | None = None
        self._hearing: dict[Place, _Ear] = {}

    def follow(self, item: Subscriber) -> bool:
        """Subscribe an item at its daemon, once; tell whether this was the time.

        KeyError: no daemon has it.
        """
        with self._lock:
            if self._followed.get(item.key, (None,))[0] is item:
                return False
            place = Place.of(self._catalog.block_of(item.key))
            self._register(place, [item])
        return True

    def place_of(self, key: str) -> Place:
        """Return where the daemon of *key* is, or was. KeyError: there was none."""
        try:
            return Place.of(self._catalog.block_of(key))
        except KeyError:
            if key not in self._followed:
                raise
            return self._followed[key][1]

    def look(self, keys: Iterable[str], age: float = 0.0) -> None:
        """Look now, for *keys* too; a look of the last *age* seconds is good enough."""
        if self._look_around is None or loop.shared().is_here():
            self.look_soon()
            return
        with self._looking:
            if time.monotonic() - self._looked >= age:
                self._look(keys)

    def look_soon(self, delay: float = 0.0) -> None:
        """Look in *delay* seconds, or sooner if that is planned; from any thread."""
        with self._planning:
            if self.closed or self._look_around is None:
                return
            now = time.monotonic()
            due = max(now + delay, self._looked + _PAUSES[0])
            if self._planned is not None:
                if self._planned[0] <= due:
                    return
                self._planned[1].cancel()
            self._planned = due, loop.shared().later(due - now, self._begin)

    def close(self) -> None:
        with self._planning:
            self.closed = True
            if self._planned is not None:
                self._planned[1].cancel()

    # Looking

    def _begin(self) -> None:
        with self._planning:
            self._planned = None
        _pool.submit(("look", self._catalog.store), self._look_again)

    def _look_again(self) -> None:
        if self.closed:
            return
        with self._looking:
            # Not the time that it waits for who does not answer.
            before = time.thread_time()
            is_found = self._look()
            cost = time.thread_time() - before
        if is_found:
            self._tries = 0
            return
        pause = _PAUSES[min(self._tries, len(_PAUSES) - 1)]
        self._tries += 1
        self.look_soon(max(pause, _SHARE * cost))

    def _look(self, keys: Iterable[str] = ()) -> bool:
        """Bring catalog and subscriptions up to date; tell whether nothing is missing.

        A look that fails is as one that has found nothing.
        """
        self._looked = time.monotonic()
        catalog = self._catalog
        followed = list(self._followed)
        if self._look_around is None:
            return True
        try:
            there = self._look_around(catalog, [*followed, *keys])
        except Exception:
            _logger.exception("unable to look for store %r", catalog.store)
            return False
        self._move()
        blocks = [catalog.blocks().get(identity) for identity in there]
        found = [block["items"] for block in blocks if block is not None]
        return all(any(key in items for items in found) for key in followed)

    def _move(self) -> None:
        """Subscribe at their new places those items that have moved."""
        moved: dict[Place, list[Subscriber]] = {}
        with self._lock:
            for key, (item, old) in list(self._followed.items()):
                new = old if item.authoritative else self.place_of(key)
                if new != old:
                    moved.setdefault(new, []).append(item)
            for place, items in moved.items():
                _logger.info(
                    "%d items of %r are at %s:%d now",
                    len(items), self._catalog.store, place.host, place.rep,
                )  # fmt: skip
                self._unregister(items)
                self._register(place, items)
            self._leave()
        for place, items in moved.items():
            self._read_later(place, items)
            # A GET may overtake the subscription, which goes another way.
            later = partial(self._read_later, place, items)
            loop.shared().later(ARRIVAL, later)

    # Subscriptions

    def _register(self, place: Place, items: list[Subscriber]) -> None:
        source = publish.client(place.host, place.pub)
        source.register_many(_rows(items))
        for item in items:
            self._followed[item.key] = item, place
        if place not in self._hearing:
            ear = self._hearing[place] = _Ear(self, place)
            source.register(self._topic, ear.hear)
            source.on_loss(ear.lost)
            source.on_return(ear.returned)
            # What changed since the catalog was read and before we could hear of it.
            self.look_soon(_PAUSES[0])

    def _unregister(self, items: list[Subscriber]) -> None:
        by_place: dict[Place, list[Subscriber]] = {}
        for item in items:
            _, place = self._followed.pop(item.key)
            by_place.setdefault(place, []).append(item)
        for place, some in by_place.items():
            publish.client(place.host, place.pub).unregister_many(_rows(some))

    def _leave(self) -> None:
        """Let go of daemons that have nothing any more that is followed."""
        used = {place for _, place in self._followed.values()}
        for place in self._hearing.keys() - used:
            ear = self._hearing.pop(place)
            source = publish.client(place.host, place.pub)
            source.unregister(self._topic, ear.hear)
            source.close_unused()

    @property
    def _topic(self) -> bytes:
        return wire.topic(f"{self._catalog.store}._hash")

    def heard(self, publication: wire.Publication) -> None:
        """Compare what a daemon tells of its catalog with what is known of it."""
        told = wire.fields(publication.payload).get("value")
        theirs = told.get(self._catalog.store) if isinstance(told, dict) else None
        known = self._catalog.hashes()
        if isinstance(theirs, dict) and any(
            known.get(identity) != told for identity, told in theirs.items()
        ):
            # Not all clients at once.
            self.look_soon(random.uniform(0, _SPREAD))  # noqa: S311

    def read_again(self, place: Place) -> None:
        """Catch up with a daemon whose connection was lost; from any thread."""
        followed = list(self._followed.values())
        self._read_later(place, [item for item, where in followed if where == place])

    def _read_later(self, place: Place, items: list[Subscriber]) -> None:
        _pool.submit(("read", place), lambda: _read(place, items))


class _Ear:
    """Hears of a daemon on the loop's thread."""

    def __init__(self, follower: Follower, place: Place) -> None:
        self._follower = follower
        self._place = place

    def hear(self, publication: wire.Publication) -> None:
        self._follower.heard(publication)

    def lost(self) -> None:
        # Most come back by themselves.
        self._follower.look_soon(_PAUSES[0])

    def returned(self) -> None:
        self._follower.read_again(self._place)


def _read(place: Place, items: list[Subscriber]) -> None:
    """GET the values of items, some at a time."""
    daemon = request.client(place.host, place.rep)
    rows = iter(items)
    while some := list(itertools.islice(rows, _WINDOW)):
        asked = [
            (item, item._state, daemon.ask(GET, item.full_key, timeout=_PATIENCE))
            for item in some
        ]
        for item, before, pending in asked:
            try:
                item._caught_up(before, pending)
            except ValueError as error:
                _logger.warning("%s is not read again: %s", item.full_key, error)
        if not any(pending.acked for _, _, pending in asked):
            return


def _rows(items: list[Subscriber]) -> list[tuple[bytes, publish.Receiver]]:
    return [(wire.topic(item.full_key), item._published) for item in items]


_pool = Pool("mktl-client-follow", 4)
