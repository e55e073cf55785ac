"""Announces the items of a daemon to registries, and again as they change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from mktl_daemon.configuration import Configuration
from mktl_daemon.core import wire
from mktl_daemon.core.errors import RefusedError, RemoteError
from mktl_daemon.net import dealer, discovery, pub
from mktl_daemon.net.addresses import ANYWHERE
from mktl_daemon.net.loop import Loop, Timer
from mktl_daemon.net.workers import Job

from .announcing import Outcome, Standing

_REGISTRY = 60.0  # seconds that a registry may take for a catalog, be it large
_DELAY = 0.5  # seconds that changes of the catalog are collected

# What a registry says of a daemon whose place can be taken.
_OVERRIDABLE = " disagrees with "

_logger = logging.getLogger(__name__)


class DaemonAddress(NamedTuple):
    """The address of a daemon and of its ports."""

    hostname: str
    rep: int
    pub: int
    is_local: bool  # this machine only
    bound: str  # the address to which the ports are bound

    def is_here(self, host: str, port: int) -> bool:
        """Tell whether the daemon itself is at an address."""
        # Others have the same port, at other addresses of this machine or of others.
        if port != self.rep:
            return False
        is_anywhere = self.bound in ANYWHERE
        return discovery.is_local(host) if is_anywhere else host == self.bound


class Announcer:
    """Has the block of one daemon, and tells registries and clients about it."""

    def __init__(
        self,
        catalog: Configuration,
        address: DaemonAddress,
        publisher: pub.Server,
        loop: Loop,
        run: Callable[[str, Job], None],
        announced: Callable[[bool, str], None],
        instance: str,
        override_option: str,
    ) -> None:
        """*run* has a thread do a job of a lane; *announced* is that of `Daemon`.

        *override_option* is what the program calls override, or empty if that is set.
        """
        self._catalog = catalog
        self._address = address
        self._publisher = publisher
        self._loop = loop
        self._run = run
        self._announced = announced
        self._override_option = override_option
        self._instance = instance
        self._standing = Standing()
        self._is_planned = False
        self._retry: Timer | None = None

    def announce_later(self) -> None:
        """Announce the items in a moment, together with what changes until then."""
        self._loop.later(_DELAY, self._begin)

    def announce(self) -> list[Exception]:
        """Tell all registries; return why some of them have not accepted."""
        failures: list[Exception] = []
        try:
            registries = discovery.registries(wait=True, local=self._address.is_local)
        except OSError as error:
            return [error]
        identity = self._catalog.authoritative_uuid or ""
        more = {} if self._override_option else {"override": True}
        block = self._catalog.encoded_block(identity, **more) if registries else b""
        for host, port in registries:
            if self._address.is_here(host, port):
                continue
            try:
                announce_to(host, port, self._catalog.store, block, self._instance)
            except (TimeoutError, ValueError) as error:
                failures.append(error)
            except RefusedError as error:
                failures.append(self._with_hint(error))
        return failures

    def _with_hint(self, refused: RefusedError) -> RefusedError:
        if _OVERRIDABLE not in str(refused) or not self._override_option:
            return refused
        return RefusedError(
            f"{refused}; if that one is gone for good, {self._override_option} takes "
            "its place"
        )

    def settle(self, failures: list[Exception]) -> None:
        """Announce again what some registry has not accepted; report it once."""
        outcome: Outcome = self._standing.settle(failures)
        if outcome.pause is not None:
            self._retry = self._loop.later(outcome.pause, self._announce_soon)
        if outcome.warning:
            _logger.warning("%s", outcome.warning)
        if outcome.refused is not None:
            self._announced(False, outcome.refused)
        elif outcome.accepted:
            _logger.info("%s is accepted again", self._catalog.alias)
            self._announced(True, "")

    def save_soon(self) -> None:
        """Write the catalog where the clients of this home find it."""
        self._run("catalog", self._save)

    def _begin(self) -> None:
        if not self._is_planned:
            self._is_planned = True
            self._run("announce", self._tell_everybody)

    def _tell_everybody(self) -> None:
        self._is_planned = False
        self._save()
        self._publish_hash()
        self._announce_again()

    def _publish_hash(self) -> None:
        """Tell clients that follow some item that the catalog is another."""
        store, block = self._catalog.store, self._catalog.authoritative_block
        if block is None:
            return
        hashes = {store: {block["uuid"]: block["hash"]}}
        payload = wire.dumps({"value": hashes, "time": time.time()})
        with self._publisher.lock:
            self._publisher.send(wire.topic(f"{store}._hash"), payload, None)

    def _announce_soon(self) -> None:
        self._run("announce", self._announce_again)

    def _announce_again(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self.settle(self.announce())

    def _save(self) -> None:
        # Nobody's clients but this home's read it there; the wire has it, too.
        try:
            self._catalog.save(self._catalog.authoritative_uuid)
        except OSError as error:
            _logger.warning("the catalog is not saved: %s", error)


def announce_to(host: str, port: int, store: str, block: bytes, instance: str) -> None:
    """Tell a registry of a block. RefusedError: it knows something that disagrees.

    TimeoutError: it does not answer.
    """
    registry = dealer.client(host, port)
    names = [(wire.SET, "_catalog"), (wire.SET, "_config"), (wire.CONFIG, store)]
    while names:
        kind, target = names.pop(0)
        try:
            payload = b'{"value":%b,"instance":"%b"}' % (block, instance.encode())
            registry.call(kind, target, payload, timeout=_REGISTRY)
        except RemoteError as error:
            unknown = target == "_catalog" and _is_unknown(error)
            if unknown or (registry.early and kind == wire.SET):
                continue  # its edition has another name for it
            raise RefusedError(
                f"the registry at {host}:{port} refuses: {error.type}: {error.text}"
            ) from error
        else:
            return


def _is_unknown(error: RemoteError) -> bool:
    return error.type in ("KeyError", "ValueError") and "_catalog" in error.text
