"""What the daemons and the registries of a network say of a store."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from mktl_daemon.core.catalog import check_block
from mktl_daemon.core.errors import NoAckError, RemoteError
from mktl_daemon.net import discovery
from mktl_daemon.net.workers import Pool

from .blocks import Block
from .catalog_requests import LostError, blocks_at, hash_at
from .configuration import Configuration
from .follow import Place, SearchResult

_logger = logging.getLogger(__name__)

HEAD_START = 0.1  # seconds that daemons have before registries are asked
_GLANCE = 0.02  # seconds after which it is checked whether it is enough

Reads = Callable[[], Iterable[str]]  # returns the keys that are read next

pool = Pool("mktl-client-search", 32)


def refresh(
    catalog: Configuration,
    keys: Iterable[str] = (),
    first: str | None = None,
    everybody: bool = False,
    reads: Reads = tuple,
) -> SearchResult:
    """Compare what is known of a store with what its daemons say, and catch up.

    Return who is there and who is not. All daemons are asked at once. Where one is not
    there, or where none has one of *keys*, the registries are asked: those that passed
    a block on, and those that answer a call. What nobody answers for stays as it is,
    unless a daemon that is there has its keys. The answer of the daemon *first*, by its
    UUID, is enough; the others' may come too late. With *everybody* registries are
    asked whatever the daemons say, for those that have joined since. *reads* returns
    keys that are read next: a daemon that is far away is asked for one of them at once.
    """
    search = _Search(catalog, reads)
    wanted = list(keys)

    asked_all = threading.Event()  # all daemons that are known
    settled = threading.Event()  # somebody was asked for all that is to be known

    def settle() -> None:
        if search.is_complete(wanted):
            settled.set()

    def is_enough() -> bool:
        if everybody:
            return False
        is_early = bool(wanted) and search.is_complete(wanted)
        return first in search.there or is_early or settled.is_set()

    def ask_daemons() -> None:
        blocks = catalog.blocks().values()
        _all_at_once((partial(search.ask, block) for block in blocks), is_enough)
        settle()
        asked_all.set()

    def ask_registries() -> None:
        if not everybody and asked_all.wait(HEAD_START) and is_enough():
            return
        _ask_registries(search, catalog, is_enough, settle)

    _all_at_once([ask_daemons, ask_registries], is_enough)
    search.close()
    return SearchResult(search.there, search.silent())


def ask_everybody(catalog: Configuration) -> None:
    """Ask the registries for daemons of a store that are not known here."""
    search = _Search(catalog)
    _ask_registries(search, catalog, lambda: False, lambda: None)
    search.close()


def _ask_registries(
    search: _Search,
    catalog: Configuration,
    is_enough: Callable[[], bool],
    settle: Callable[[], None],
) -> None:
    """Ask all registries for the blocks of a store, and then their daemons.

    *settle* is called when all is asked that one registry knows.
    """

    def ask(host: str, port: int, tries: int = 1) -> None:
        try:
            blocks = blocks_at(host, port, catalog.store)
        except (TimeoutError, RemoteError, ValueError) as error:
            _logger.info("registry %s:%d: %s", host, port, error)
            if tries > 1 and isinstance(error, TimeoutError):
                ask(host, port, tries - 1)
            return
        offered = search.note(blocks.values())
        jobs = (partial(search.ask_again, block, host, port) for block in offered)
        _all_at_once(jobs, is_enough)
        settle()

    passing = _passing(catalog)

    def ask_who_answers() -> None:
        answering = [each for each in discovery.registries() if each not in passing]
        # They are there: what they do not hear was lost on the way.
        _all_at_once((partial(ask, *each, tries=2) for each in answering), is_enough)

    jobs = [partial(ask, *each) for each in passing]
    _all_at_once([*jobs, ask_who_answers], is_enough)


def _all_at_once(
    jobs: Iterable[Callable[[], None]], is_enough: Callable[[], bool]
) -> None:
    """Have threads run *jobs*; return when all are over, or when it is enough."""
    changed = threading.Condition()
    waiting = list(jobs)
    left = len(waiting)

    def run(job: Callable[[], None]) -> None:
        nonlocal left
        try:
            job()
        except Exception:
            _logger.exception("a search goes on without %r", job)
        finally:
            with changed:
                left -= 1
                changed.notify_all()

    for job in waiting:
        pool.submit(job, partial(run, job))
    with changed:
        while left and not is_enough():
            # What is enough may become so in a search within a job.
            changed.wait(_GLANCE)


class _Search:
    """What the daemons of a store say of themselves at one time."""

    def __init__(self, catalog: Configuration, reads: Reads = tuple) -> None:
        self._catalog = catalog
        self._reads = reads
        self._mine = catalog.authoritative_uuid
        self._blocks: dict[str, Block] = {}
        # Whom somebody asked at a place, and whether the answer is known by now.
        self._requests: dict[tuple[str, Place], threading.Event] = {}
        self._lock = threading.Lock()  # of these
        self._strange: set[str] = set()  # another daemon is where they were
        self._mute: set[str] = set()  # somebody listens there and does not answer
        self._lost: dict[str, str] = {}  # their machines, if what was sent may be lost
        self._lively: set[str] = set()  # machines where somebody is there
        self.there: set[str] = set()

    def ask(self, block: Block) -> None:
        """Ask the daemon of a block for its newest one.

        It is asked once at each place: who asks meanwhile waits for the same answer.
        """
        identity = block["uuid"]
        if identity == self._mine:
            self._blocks[identity] = block
            self.there.add(identity)
            return
        try:
            place = Place.of(block)
        except RuntimeError:
            return
        if identity in self.there:
            return
        mine = threading.Event()
        with self._lock:
            answered = self._requests.setdefault((identity, place), mine)
        if answered is not mine:
            answered.wait()
            return
        try:
            self._ask_at(place, block)
        finally:
            answered.set()

    def _ask_at(self, place: Place, block: Block) -> None:
        identity = block["uuid"]

        def ahead() -> str:
            read = next((key for key in self._reads() if key in block["items"]), None)
            return "" if read is None else f"{block['store']}.{read}"

        try:
            self._blocks[identity] = _word_of(block, place, ahead)
        except (TimeoutError, RemoteError, KeyError, ValueError) as error:
            _logger.info("%s:%d: %s", place.host, place.rep, error)
            if isinstance(error, KeyError):
                self._strange.add(identity)
            elif isinstance(error, LostError):
                self._note_loss(identity, place.host, error.is_there)
            elif isinstance(error, NoAckError):
                self._mute.add(identity)
        else:
            self._lively.add(place.host)
            self.there.add(identity)

    def _note_loss(self, identity: str, host: str, is_there: bool) -> None:
        self._lost[identity] = host
        if is_there:
            self._lively.add(host)
            self._mute.add(identity)

    def note(self, blocks: Iterable[Any]) -> list[Block]:
        """Take note of what a registry passes on; return the blocks that are some.

        They are known from now on, should their daemons answer too late.
        """
        offered: list[Block] = []
        for block in blocks:
            try:
                checked = check_block(block)
            except ValueError as error:
                _logger.warning(
                    "a registry sent a block that cannot be used: %s", error
                )
                continue
            offered.append(checked)
            known = self._catalog.blocks().get(checked["uuid"])
            if known is None or (checked.get("time") or 0) > (known.get("time") or 0):
                self._blocks.setdefault(checked["uuid"], checked)
        return offered

    def ask_again(self, checked: Block, via: str, port: int) -> None:
        """Ask the daemon of a block that a registry at the address *via* passed on.

        Where the daemon says that it is there may be no way from here, or a name that
        nobody here knows. It may be on the registry's machine, but not at the *port* of
        the registry, which would answer for it.
        """
        identity = checked["uuid"]
        self.ask(checked)
        if identity in self.there | self._strange:
            return
        place = Place.of(checked)
        is_same = identity in self._mute and _is_at(place.host, via)
        if is_same or place.rep == port:
            return
        self.ask(_moved(checked, via))
        if identity in self.there:
            self._blocks[identity] = _moved(self._blocks[identity], via)
        # Who else is there has nothing to do with this block.
        self._strange.discard(identity)

    def is_complete(self, keys: Iterable[str]) -> bool:
        items = [self._blocks[identity]["items"] for identity in list(self.there)]
        known = self._catalog.blocks().keys()
        return (
            bool(items)
            and known <= self.there
            and all(any(key in some for some in items) for key in keys)
        )

    def silent(self) -> set[str]:
        """Return the daemons that did not answer, without those that still may.

        On a line that loses packets a machine may be there and not have heard us: then
        none of its daemons that were not reached is known to be silent.
        """
        with self._lock:
            requests = list(self._requests.items())
        waiting = {identity for (identity, _), over in requests if not over.is_set()}
        lost = {name for name, host in self._lost.items() if host in self._lively}
        return {identity for (identity, _), _ in requests} - waiting - self.there - lost

    def close(self) -> None:
        catalog = self._catalog
        known = catalog.blocks()
        strange = self._strange - self.there
        fresh = [
            block
            for identity, block in self._blocks.copy().items()
            if identity != self._mine
            and identity not in strange
            and known.get(identity) is not block
        ]
        for identity in strange:
            catalog.remove(identity)
        if fresh:
            catalog.renew(fresh, self.there)


def _is_at(name: str, address: str) -> bool:
    """Tell whether *name* is that of the machine at *address*."""
    try:
        return socket.gethostbyname(name) == socket.gethostbyname(address)
    except (OSError, ValueError):
        return False


def _moved(block: Block, host: str) -> Block:
    """Return a block with *host* in the place of the name that its daemon gave."""
    strata = [
        {**stratum, "hostname": host} if "pub" in stratum else stratum
        for stratum in block.get("provenance") or []
    ]
    return {**block, "provenance": strata}


def _word_of(block: Block, place: Place, ahead: Callable[[], str]) -> Block:
    """Return the newest state of a block, from its daemon.

    *ahead* returns an item that is read next, or "".
    KeyError: another daemon is at its place. TimeoutError: none is.
    """
    identity, store = block["uuid"], block["store"]
    if hash_at(place.host, place.rep, block, ahead) == block.get("hash"):
        return block
    newest = check_block(blocks_at(place.host, place.rep, store)[identity])
    if newest["uuid"] != identity:
        raise ValueError(f"the block of {identity} names another daemon")
    return newest


def _passing(catalog: Configuration) -> set[tuple[str, int]]:
    """Return the addresses of the registries that passed blocks of a store on."""
    return {
        (stratum["hostname"], stratum["rep"])
        for block in catalog.blocks().values()
        for stratum in block.get("provenance") or []
        if "pub" not in stratum
    }
