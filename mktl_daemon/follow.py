"""Moves a client's subscriptions to the daemons that have their keys now."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mktl_daemon.core import wire
from mktl_daemon.core.wire import GET
from mktl_daemon.net import dealer, loop, sub
from mktl_daemon.net.workers import Pool

from .interfaces import Followed

if TYPE_CHECKING:
    from .blocks import Block
    from .configuration import Configuration


class SearchResult(NamedTuple):
    """The UUIDs of a store's daemons. A search that ends early leaves some out."""

    there: set[str]
    silent: set[str]  # they were asked, and did not answer


Search = Callable[["Configuration", Iterable[str]], SearchResult]

_PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds between searches while a daemon is missing
_SHARE = 20  # limits the share of the processor that searches take with large catalogs
_SPREAD = 0.5  # seconds over which the clients of a daemon spread their questions
ARRIVAL = 1.0  # seconds after which a subscription has certainly reached its daemon
FRESH = 1.0  # seconds for which the result of a search counts
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
        """Return the place of a block's daemon. RuntimeError: it has none."""
        strata = block.get("provenance") or ()
        for stratum in sorted(strata, key=lambda each: each.get("stratum") or 0):
            if stratum.get("pub"):
                return cls(stratum["hostname"], stratum["rep"], stratum["pub"])
        raise RuntimeError(
            f"the catalog of {block['store']!r} has no address of its daemon"
        )


class Follower:
    """Has the subscriptions of a store's items, and searches for daemons that moved.

    There is one search at a time, on a thread that many stores share. It begins when a
    connection is lost, when a daemon tells of another catalog, or when a request was
    in vain, and is repeated until every key that somebody follows has its daemon.
    """

    def __init__(self, catalog: Configuration, search: Search | None) -> None:
        self._catalog = catalog
        self._search_store = search
        self.closed = False
        self.forked()

    def forked(self) -> None:
        """Follow nothing; also called in a forked child."""
        self._followed: dict[str, tuple[Followed, Place]] = {}
        self._lock = threading.RLock()  # of what is followed; never on the loop
        self._searches = _Searches()
        self._tries = 0
        self._planning = threading.Lock()
        self._planned: tuple[float, loop.Timer] | None = None
        self._connections: dict[Place, _Connection] = {}
        self._present: set[str] = set()  # daemons that answered the last search
        self._silent: dict[str, float] = {}  # keys, and until when that counts

    def follow(self, item: Followed) -> bool:
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

    def is_there(self, key: str) -> bool:
        """Tell whether the daemon of *key* answered the last search."""
        with contextlib.suppress(KeyError):
            return self._catalog.block_of(key)["uuid"] in self._present
        return False

    def note_silence(self, keys: Iterable[str]) -> None:
        """Remember for a second that no daemon with one of *keys* answered."""
        self._silent.update(dict.fromkeys(keys, time.monotonic() + FRESH))

    def take_silence(self, key: str) -> bool:
        """Tell whether no daemon answered for *key* just now, and forget it.

        So one request fails at once that would ask and search the same again.
        """
        return bool(self._silent) and self._silent.pop(key, 0.0) > time.monotonic()

    def search_beside(self, key: str) -> None:
        """Begin a search for *key* on another thread, unless one began just now."""
        job = partial(self.search, [key], FRESH)
        pool.submit(("search for", self._catalog.store, key), job)

    def search(self, keys: Iterable[str], age: float = 0.0) -> None:
        """Search now, for *keys* too, unless one began in the last *age* seconds."""
        if self._search_store is None or loop.shared().is_here():
            self.search_soon()
            return
        with self._searches.turn(time.monotonic() - age) as is_mine:
            if is_mine:
                self._search(keys)

    def search_soon(self, delay: float = 0.0) -> None:
        """Search in *delay* seconds, or sooner if that is planned; from any thread."""
        with self._planning:
            if self.closed or self._search_store is None:
                return
            now = time.monotonic()
            due = max(now + delay, self._searches.began + _PAUSES[0])
            if self._planned is not None:
                if self._planned[0] <= due:
                    return
                self._planned[1].cancel()
            self._planned = due, loop.shared().later(due - now, self._begin)

    def read_beside(self, key: str) -> None:
        """Read what has come from the daemon of *key*, if the loop leaves that."""
        followed = self._followed.get(key)
        if followed is not None:
            connection = self._connections.get(followed[1])
            if connection is not None:
                connection.source.read_beside()

    def close(self) -> None:
        with self._planning:
            self.closed = True
            if self._planned is not None:
                self._planned[1].cancel()

    # Searching

    def _begin(self) -> None:
        with self._planning:
            self._planned = None
        pool.submit(("search", self._catalog.store), self._search_again)

    def _search_again(self) -> None:
        if self.closed:
            return
        with self._searches.turn(math.inf):
            # This does not count the time of waiting for absent daemons.
            before = time.thread_time()
            is_found = self._search()
            cost = time.thread_time() - before
        if is_found:
            self._tries = 0
            return
        pause = _PAUSES[min(self._tries, len(_PAUSES) - 1)]
        self._tries += 1
        self.search_soon(max(pause, _SHARE * cost))

    def _search(self, keys: Iterable[str] = ()) -> bool:
        """Bring catalog and subscriptions up to date; tell whether nothing is missing.

        A search that fails counts as a search without a result.
        """
        catalog = self._catalog
        followed = list(self._followed)
        if self._search_store is None:
            return True
        try:
            there = self._search_store(catalog, [*followed, *keys]).there
        except Exception:
            _logger.exception("unable to search for store %r", catalog.store)
            return False
        self._present = there
        self._move()
        blocks = [catalog.blocks().get(identity) for identity in there]
        present = [block["items"] for block in blocks if block is not None]
        return all(any(key in items for items in present) for key in followed)

    def _move(self) -> None:
        """Subscribe at their new places those items that have moved."""
        moved: dict[Place, list[Followed]] = {}
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

    def _register(self, place: Place, items: list[Followed]) -> None:
        source = sub.client(place.host, place.pub)
        source.register_many(_rows(items))
        for item in items:
            self._followed[item.key] = item, place
        if place not in self._connections:
            connection = self._connections[place] = _Connection(self, place, source)
            source.register(self._topic, connection.receive)
            source.on_loss(connection.lost)
            source.on_return(connection.returned)
            # What changed since the catalog was read and before this subscription.
            self.search_soon(_PAUSES[0])

    def _unregister(self, items: list[Followed]) -> None:
        by_place: dict[Place, list[Followed]] = {}
        for item in items:
            _, place = self._followed.pop(item.key)
            by_place.setdefault(place, []).append(item)
        for place, some in by_place.items():
            sub.client(place.host, place.pub).unregister_many(_rows(some))

    def _leave(self) -> None:
        """Close the connections to daemons without any followed key."""
        used = {place for _, place in self._followed.values()}
        for place in self._connections.keys() - used:
            connection = self._connections.pop(place)
            source = sub.client(place.host, place.pub)
            source.unregister(self._topic, connection.receive)
            source.close_unused()

    @property
    def _topic(self) -> bytes:
        return wire.topic(f"{self._catalog.store}._hash")

    def compare_hashes(self, publication: wire.Publication) -> None:
        """Compare the hash that a daemon publishes with that of the known catalog."""
        hashes = wire.fields(publication.payload).get("value")
        theirs = hashes.get(self._catalog.store) if isinstance(hashes, dict) else None
        known = self._catalog.hashes()
        if isinstance(theirs, dict) and any(
            known.get(identity) != each for identity, each in theirs.items()
        ):
            # The delay keeps clients from asking all at once.
            self.search_soon(random.uniform(0, _SPREAD))  # noqa: S311

    def read_again(self, place: Place) -> None:
        """Catch up with a daemon whose connection was lost; from any thread."""
        followed = list(self._followed.values())
        self._read_later(place, [item for item, where in followed if where == place])

    def _read_later(self, place: Place, items: list[Followed]) -> None:
        pool.submit(("read", place), lambda: _read(place, items))


class _Searches:
    """Has one search run at a time."""

    def __init__(self) -> None:
        self.began = -_PAUSES[0]  # the last one, by the monotonic clock
        self._over = -math.inf  # when the last one that is over began
        self._is_running = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def turn(self, since: float) -> Iterator[bool]:
        """Wait for one's turn to search.

        False: one that began at the time *since* or later is over, and serves as well.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over >= since or not self._is_running)
            is_mine = self._over < since
            if is_mine:
                self._is_running, self.began = True, time.monotonic()
        try:
            yield is_mine
        finally:
            if is_mine:
                with self._changed:
                    self._is_running, self._over = False, self.began
                    self._changed.notify_all()


class _Connection:
    """Hears of a daemon on the loop's thread."""

    def __init__(self, follower: Follower, place: Place, source: sub.Client) -> None:
        self._follower = follower
        self._place = place
        self.source = source

    def receive(self, publication: wire.Publication) -> None:
        self._follower.compare_hashes(publication)

    def lost(self) -> None:
        # Most connections come back by themselves.
        self._follower.search_soon(_PAUSES[0])

    def returned(self) -> None:
        self._follower.read_again(self._place)


def _read(place: Place, items: list[Followed]) -> None:
    """GET the values of items, some at a time."""
    daemon = dealer.client(place.host, place.rep)
    rows = iter(items)
    while some := list(itertools.islice(rows, _WINDOW)):
        requests = [
            (item, item.held_state, daemon.ask(GET, item.full_key, timeout=_PATIENCE))
            for item in some
        ]
        for item, before, pending in requests:
            try:
                item.catch_up_with(before, pending)
            except ValueError as error:
                _logger.warning("%s cannot be read again: %s", item.full_key, error)
        if not any(pending.acked for _, _, pending in requests):
            return


def _rows(items: list[Followed]) -> list[tuple[bytes, sub.Receiver]]:
    return [(wire.topic(item.full_key), item.receive_publication) for item in items]


pool = Pool("mktl-client-follow", 4, most=64)
