"""The registry: remembers the catalogs of daemons and hands them to clients."""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import Any

from mktl_daemon import config
from mktl_daemon.blocks import Block
from mktl_daemon.catalog_requests import blocks_at, hashes_at
from mktl_daemon.core import catalog, wire
from mktl_daemon.core.errors import RemoteError
from mktl_daemon.files import cache, environment
from mktl_daemon.net import discovery
from mktl_daemon.net.router import Ticket

from . import running
from .daemon import Daemon

_logger = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds that a daemon may take for its catalog


class Registry(Daemon):
    """A daemon whose store is its own, and who knows about all others.

    It asks around once, when it starts; after that daemons announce themselves.
    """

    passes_on = True

    def __init__(self, options: Any = None) -> None:
        name = "registry:" + socket.gethostname().replace(".", "_").lower()
        super().__init__(name, name, override=True, options=options)

    def setup(self) -> None:
        # What it knew before it ended it knows again, whoever is away meanwhile.
        for store in cache.cached_stores():
            with contextlib.suppress(ValueError):  # some folder
                self._forget_those_here(config.known(store))

    def _forget_those_here(self, known: config.Configuration) -> None:
        """Forget daemons that had the port which is this registry's now."""
        for identity, block in known.blocks().items():
            if identity != self.uuid and self._has_its_place(block):
                _logger.info("forgotten: %s", _name(block))
                known.remove(identity)

    def _has_its_place(self, block: Block) -> bool:
        first, *_ = block.get("provenance") or [{}]
        host, port = first.get("hostname"), first.get("rep")
        return port == self.rep.port and (
            host == self.hostname or self.address.is_here(str(host), port)
        )

    def started(self) -> None:
        udp, _ = environment.discovery_ports()
        self.answer_calls(udp)
        for host, port in discovery.daemons(local=self.is_local):
            if self.address.is_here(host, port):
                continue
            try:
                self.ask_daemon(host, port)
            except (TimeoutError, RemoteError, ValueError) as error:
                _logger.warning("daemon at %s:%d: %s", host, port, error)

    def accept(self, ticket: Ticket) -> None:
        """Take in an announcement, or refuse it."""
        self.answer_later(
            ticket, "accept", lambda: self._accept(ticket.request.payload)
        )

    def reconcile(
        self, announced: Any, override: bool = False, instance: Any = None
    ) -> None:
        """Take in a catalog block, from its daemon or from another registry.

        With *override*, also if the block says so, it takes the place of another whose
        daemon does not answer. *instance* is what the one who announces answers to a
        GET of ``_instance``.

        ValueError: it is not a block, or disagrees with one that is known and whose
        daemon may still be there; the message says where.
        """
        block = catalog.check_block(announced)
        override = block.pop("override", None) is True or override
        provenance = block.get("provenance")
        if not provenance:
            raise ValueError("a catalog block needs a provenance")
        if self._is_mine(provenance):
            return
        provenance.sort(key=lambda stratum: stratum.get("stratum") or 0)
        known = config.known(block["store"])
        old = known.blocks().get(block["uuid"])
        if old is not None and _is_news(block, old) is False:
            return
        if len(provenance) == 1:
            self._check(block, known, override, instance)
        me = {"hostname": self.hostname, "rep": self.rep.port}
        last = provenance[-1].get("stratum") or 0
        block["provenance"] = [*provenance, {"stratum": last + 1, **me}]
        known.update(block)
        _logger.info("remembered: %s", _name(block))

    def _accept(self, payload: bytes) -> bytes:
        try:
            fields = wire.fields(payload)
            self.reconcile(fields.get("value"), instance=fields.get("instance"))
        except ValueError as error:
            _logger.warning("refused an announcement: %s", error)
            raise
        return wire.dumps({"value": True})

    def ask_daemon(self, host: str, port: int) -> None:
        """Take in what a daemon, or another registry, says of itself.

        TimeoutError, RemoteError, ValueError: it does not say it.
        """
        for block in _blocks_from(host, port):
            try:
                self.reconcile(block, override=True)
            except ValueError as error:
                _logger.warning("daemon at %s:%d: %s", host, port, error)

    def _check(
        self,
        block: Block,
        known: config.Configuration,
        override: bool,
        instance: Any,
    ) -> None:
        """Make room for a daemon's own block. ValueError: what is in the way stays."""
        for identity, old in known.blocks().items():
            reason = _conflict(block, old)
            if reason is None:
                continue
            # The same daemon elsewhere: its old port was taken while it was away.
            moved = identity == block["uuid"]
            if not override and not moved:
                raise ValueError(
                    f"{_name(block)} disagrees with {_name(old)}: {reason}"
                )
            same = _address(old) == _address(block)
            if instance and (same or moved):
                same = running.instance_at(old) == instance
            if same:
                pass  # it is the one that announces itself
            elif running.is_running(old):
                raise ValueError(f"{_name(old)} is running and has {reason}")
            _logger.info("forgotten: %s", _name(old))
            known.remove(identity)

    def _is_mine(self, provenance: list[dict[str, Any]]) -> bool:
        me = self.hostname, self.rep.port
        return any((each["hostname"], each["rep"]) == me for each in provenance)


def _is_news(block: Block, old: Block) -> bool:
    if _address(block) != _address(old):
        return True
    same = block.get("hash") == old.get("hash")
    return not (same and (old.get("time") or 0) >= (block.get("time") or 0))


def _blocks_from(host: str, port: int) -> list[Any]:
    """Return the blocks that who answers has itself, or has passed on.

    The others are of other daemons, from a cache, and may be old. So may be one of a
    daemon that had the same port before.
    """
    blocks = [
        block
        for store in hashes_at(host, port)
        for block in blocks_at(host, port, store).values()
        if port in _ports(block)
    ]
    is_alone = [_ports(block) for block in blocks].count([port]) < 2
    return [
        block
        for block in blocks
        if is_alone or _ports(block) != [port] or _may_be_at(host, port, block)
    ]


def _may_be_at(host: str, port: int, block: Any) -> bool:
    try:
        return running.may_be_at(host, port, catalog.check_block(block))
    except ValueError:
        return True  # who takes it in will refuse it, with the reason


def _ports(block: Any) -> list[Any]:
    """Return the ports of a block's daemon, and of the registries that it came by."""
    strata = block.get("provenance") if isinstance(block, dict) else None
    if not isinstance(strata, list):
        return []
    return [each.get("rep") for each in strata if isinstance(each, dict)]


def _conflict(block: Block, old: Block) -> str | None:
    if block["uuid"] == old["uuid"]:
        moved = _address(block) != _address(old)
        return f"the address {_address(old)}" if moved else None
    if block["alias"].lower() == old["alias"].lower():
        return f"the alias {old['alias']!r}"
    common = block["items"].keys() & old["items"].keys()
    return f"the key {min(common)!r}" if common else None


def _address(block: Block) -> str:
    provenance = block.get("provenance")
    if not provenance:
        return "an address that it does not publish"
    return f"{provenance[0]['hostname']}:{provenance[0]['rep']}"


def _name(block: Block) -> str:
    return f"{block['store']}.{block['alias']} at {_address(block)}"
