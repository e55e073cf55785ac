"""A daemon's life: its items, its ports, its answers, its end."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from mktl_daemon import config, find, process
from mktl_daemon.configuration import Configuration
from mktl_daemon.core.errors import RefusedError
from mktl_daemon.files import environment, places
from mktl_daemon.files.persistent_values import PersistentValues
from mktl_daemon.item import Item
from mktl_daemon.net import access, discovery, loop
from mktl_daemon.net.addresses import ANYWHERE
from mktl_daemon.net.router import Ticket
from mktl_daemon.net.workers import Job, Pool

from .announcer import Announcer, DaemonAddress
from .announcing import AGAIN
from .daemon_items import DaemonItems
from .item_factory import ItemFactory
from .neighbours import refuse_taken_keys
from .ports import Ports, advertised_name, network_options, twin
from .requests import TOO_MANY, RequestDispatcher
from .saver import Saver
from .values import Values

_logger = logging.getLogger(__name__)

_WORKERS = 32  # threads for what users' methods do
_OWN_WORKERS = 4  # threads for what the daemon itself does, whatever users' methods do


class Daemon(DaemonItems):
    """Provides the items of *alias* in *store*; to be subclassed.

    The items are those of ``daemon/store/<store>/<alias>.json``, of `describe_items`
    and of `add_item`. *options* is for the subclass; ``interface`` and ``allow`` in it
    are looked at here, too. With *override* registries forget a daemon that is gone
    and has the same keys or the same alias.

    RefusedError: the daemon runs already, or a registry says that something else has
    its keys.
    """

    # What this program calls *override*, for hints to who starts it.
    override_option = "--override"
    # Whether it takes the ports that it had before, where its clients look for it.
    keeps_ports = True
    passes_on = False  # whether it tells clients of other daemons; registries do

    def __init__(
        self, store: str, alias: str, override: bool = False, options: Any = None
    ) -> None:
        self.alias = alias
        self.options = options
        self.override = override
        self.instance = uuid4().hex  # of this process's daemon alone
        self.shutdown = threading.Event()
        self._cleaned = False
        self._cleanup_lock = threading.Lock()
        self._user_cleanup = self.cleanup
        self.cleanup = self._cleanup_once  # type: ignore[method-assign]
        self._is_on_air = False
        self._depth = 0
        self._lock = threading.RLock()
        self._workers = Pool("mktl-worker", _WORKERS)
        self._jobs = Pool("mktl-daemon", _OWN_WORKERS)
        self._dispatcher = RequestDispatcher(self, self._workers, self._jobs)
        self._loop = loop.shared()
        self._listeners: list[discovery.Listener] = []
        self._ports: Ports | None = None

        self.parse_options(options)
        described = self.describe_items()
        if described:
            config.authoritative(store, alias, described)
        self.catalog = config.get(store, alias)
        self.uuid = self.catalog.uuids(authoritative=True)[0]
        persistent = PersistentValues(self.uuid)
        self._saver = Saver(
            persistent, self._loop, lambda job: self._soon("persist", job)
        )
        self._values = Values(persistent, self._saver)
        self._mine = self._take_lock()
        atexit.register(self.cleanup)
        _daemons.add(self)
        try:
            self._open_ports()
            self._begin()
        except BaseException:
            try:
                self.cleanup()
            except Exception:
                # What setup() raised is what has to be mended first.
                _logger.exception("cleanup() failed as well")
            raise

    @property
    def config(self) -> Configuration:
        return self.catalog  # edition 1's name

    # For subclasses

    def parse_options(self, options: Any) -> None:
        """Read *options*; called before anything else."""

    def describe_items(self) -> Mapping[str, Any] | None:
        """Return descriptions by key, in place of the items' file."""
        return None

    def setup(self) -> None:
        """Add items. Nothing is announced yet; this may take its time."""

    def setup_final(self) -> None:
        """The last call before the daemon is announced: every item has its value."""

    def started(self) -> None:
        """Called once the daemon is on the air."""

    def announced(self, accepted: bool, reason: str) -> None:
        """Called when a registry begins to refuse the items, and when none does again.

        Items that a daemon on the air has added may be another's. It answers for them
        all the same, but new clients do not find it, and announces them again until
        they are accepted. *reason* is the registry's.
        """

    def cleanup(self, *args: Any, **kwargs: Any) -> None:
        """Called once when the daemon ends, whatever happens; the rest ends after."""

    # The end

    def stop(self) -> None:
        """Ask for the end: whoever waits for `shutdown` calls `cleanup`."""
        self.shutdown.set()

    def _cleanup_once(self, *args: Any, **kwargs: Any) -> None:
        with self._cleanup_lock:
            if self._cleaned:
                return
            self._cleaned = True
        self.shutdown.set()
        atexit.unregister(self.cleanup)
        try:
            self._user_cleanup(*args, **kwargs)
        finally:
            self._close()

    def _close(self) -> None:
        self._is_on_air = False
        for listener in self._listeners:
            listener.close()
        has_store = hasattr(self, "store")
        if has_store:
            self._factory.close()
        self._workers.close()
        self._jobs.close()
        if self._ports is not None:
            self._ports.close()
        self._saver.close()
        self._mine.release()
        if not has_store:
            self.catalog.disclaim()
            return
        find.forget(self.catalog.store)
        config.forget(self.catalog.store)

    def forked(self) -> None:
        """Leave all to the parent, whose daemon it is."""
        if self._cleaned:
            return
        self._cleaned = True
        atexit.unregister(self.cleanup)
        self._mine.release()

    # The beginning

    def _take_lock(self) -> places.Lock:
        store = self.catalog.store
        try:
            return places.Lock(store, self.alias)
        except places.Taken as taken:
            if not find.is_own(store):
                self.catalog.disclaim()
            where = str(taken) or "an address that it is about to choose"
            raise twin(store, self.alias, where) from None

    def _open_ports(self) -> None:
        host, allowed = network_options(self.options)
        who = self.catalog.store, self.alias, self.uuid
        ports = self._ports = Ports(
            self._loop,
            self._dispatcher,
            who,
            host,
            allowed,
            advertised_name(self.options),
            anew=not self.keeps_ports,
        )
        self.rep, self.pub = ports.rep, ports.pub
        self.hostname = ports.hostname
        self.is_local = self.hostname.startswith("127.")
        self._mine.describe(f"{self.hostname}:{self.rep.port}")
        self.address = DaemonAddress(
            self.hostname, self.rep.port, self.pub.port, self.is_local, self.rep.host
        )

    def _begin(self) -> None:
        self.catalog.add({})
        block = self.catalog.authoritative_block or {}
        place = {"hostname": self.hostname, "rep": self.rep.port, "pub": self.pub.port}
        block["provenance"] = [{"stratum": 0, **place}]
        self.store = find.own(self.catalog.store)
        self.store.daemon = self
        self._factory = ItemFactory(self.catalog, self.store)
        self._announcer = Announcer(
            self.catalog, self.address, self.pub, self._loop,
            self._soon, self.announced, self.instance,
            "" if self.override else self.override_option,
        )  # fmt: skip
        self.rep.start()
        self.setup()
        self._factory.add_missing(self.alias, self.uuid)
        refuse_taken_keys(self.catalog)
        self._values.restore(self.store, list(self.catalog.authoritative_items))
        self.setup_final()
        self._dispatcher.open()
        self._listen()
        before = self._hash()
        failures = self._announcer.announce()
        for failure in failures:
            if isinstance(failure, RefusedError):
                raise failure
        self._is_on_air = True
        self._announcer.settle(failures)
        if self._hash() != before:
            self._announcer.announce_later()
        self.started()
        self._announcer.save_soon()

    def _listen(self) -> None:
        if not environment.has_discovery():
            return
        _, udp = environment.discovery_ports()
        try:
            self.answer_calls(udp)
        except ConnectionError as error:
            # Registries that are there get the announcement all the same.
            _logger.warning("a new registry will not find this daemon: %s", error)

    def answer_calls(self, udp: int) -> None:
        """Answer calls on a UDP port. ConnectionError: somebody else has it."""
        at = None if self.rep.host in ANYWHERE else self.rep.host
        listener = discovery.Listener(self._loop, udp, self.rep.port, self._may_ask, at)
        self._listeners.append(listener)

    def _may_ask(self, host: str) -> bool:
        # Who cannot connect is not told where.
        if self._ports is None or (self.is_local and not discovery.is_local(host)):
            return False
        if host.startswith("127.") and not self._ports.hears_loopback:
            return False  # it would be looked for at the address that answers
        return access.is_allowed(host, self._ports.allowed)

    # What its parts ask of it

    def answer_later(
        self, ticket: Ticket, lane: str, make: Callable[[], bytes]
    ) -> None:
        """Answer with the payload that a thread of the daemon's own makes."""

        def job() -> None:
            try:
                ticket.reply(make())
            except Exception as error:
                if not isinstance(error, ValueError):
                    _logger.exception("unable to answer %s", ticket.request.target)
                ticket.fail(error)

        if not self._jobs.submit(lane, job):
            raise RuntimeError(TOO_MANY)

    def accept(self, ticket: Ticket) -> None:
        """Take in an announcement; only registries do."""
        raise TypeError(
            f"{ticket.request.target} is only for registries, and this daemon is not "
            "one"
        )

    def note_change(self, item: Item) -> None:
        """Keep the value that a persistent item took."""
        self._saver.changed(item)

    def _soon(self, lane: str, job: Job) -> None:
        """Have a thread of the daemon's own do *job*; later, if too many wait."""
        if not self._jobs.submit(lane, job) and not self._cleaned:
            self._loop.later(AGAIN[-1], lambda: self._soon(lane, job))


_daemons: process.Family[Daemon] = process.Family()
