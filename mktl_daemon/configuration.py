"""The catalog of one store, with the block of its daemon in this process."""

from __future__ import annotations

import json
import logging
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mktl_daemon.core import catalog, formats, units, wire
from mktl_daemon.core.units import to_quantity
from mktl_daemon.files import cache, places

from . import process
from .blocks import Block, Blocks, hashed
from .own_block import OwnItems

_logger = logging.getLogger(__name__)


class Configuration(Blocks):
    """The catalog of one store: blocks by UUID, each from one daemon.

    With an *alias* this process is that daemon: it is authoritative for the block of
    that alias, whose items come from ``daemon/store/<store>/<alias>.json``.
    """

    def __new__(cls, store: str, alias: str | None = None) -> Configuration:  # noqa: ARG004
        return catalogs.get_or_make(store)

    def __init__(self, store: str, alias: str | None = None) -> None:  # noqa: ARG002
        if alias is not None:
            self.claim(alias)

    @classmethod
    def make(cls, store: str) -> Configuration:
        """Return a new configuration with the blocks of this home's cache."""
        made = super().__new__(cls)
        Blocks.__init__(made, store)
        made._start()
        return made

    def _start(self) -> None:
        self._callbacks: list[weakref.ref[Any]] = []
        # Other daemons of the store, as they were known when this process became one.
        self.neighbours: list[Block] = []
        self._load()

    # What a daemon does with its own block

    def claim(self, alias: str) -> None:
        """Make this process the daemon *alias* of the store.

        ValueError: it is already the daemon of another alias.
        """
        if self.alias == alias:
            return
        if self.alias is not None:
            raise ValueError(
                f"this process is already {self.alias!r} of store {self.store!r}, "
                f"it cannot be {alias!r} too"
            )
        identity = places.identity(self.store, alias)
        path = places.items_file(self.store, alias)
        blocks = self.blocks().values()
        self.neighbours = [block for block in blocks if block["alias"] != alias]
        self.alias, self.authoritative_uuid = alias, identity
        # What an earlier process of this daemon left in the cache is not what it has.
        self._drop_block(identity)
        if path.exists():
            self.declare(_read_items(path))

    def disclaim(self) -> None:
        """Be a client's configuration again: this process is not the daemon."""
        mine, self.alias, self.authoritative_uuid = self.authoritative_uuid, None, None
        if mine is not None:
            self._drop_block(mine)
            self._load()

    def declare(self, items: Mapping[str, Any]) -> None:
        """Replace the items of this process's own block."""
        before = self.authoritative_block
        self._own = OwnItems()
        self._own.add(items)
        block: Block = {
            "store": self.store,
            "alias": self.alias,
            "uuid": self.authoritative_uuid,
            "time": time.time(),
            "hash": self._own.hash,
            "items": self._own.by_key,
        }
        if before is not None and "provenance" in before:
            block["provenance"] = before["provenance"]
        self._enter(block)

    def add(self, items: Mapping[str, Any]) -> list[str]:
        """Add items to the own block; return their keys, in lower case.

        Whether another daemon has one of them is its registry's to say: its block is
        forgotten here. ValueError: a bad description, a key that is there (nothing is
        added then).
        """
        block = self._own_block()
        for key in items:
            if key.lower() in block["items"]:
                raise ValueError(f"store {self.store!r} already has {key!r}")
        keys = self._own.add(items)
        for identity, other in self.blocks().items():
            if other is not block and not other["items"].keys().isdisjoint(keys):
                self.remove(identity)
        block["hash"] = self._own.hash
        block["time"] = time.time()
        return keys

    def describe(self, items: Mapping[str, Any]) -> None:
        """Describe items of the own block anew: whoever reads it always finds them.

        ValueError: a bad description (nothing is changed then). KeyError: one that it
        does not have.
        """
        block = self._own_block()
        self._own.describe(items)
        block["hash"] = self._own.hash
        block["time"] = time.time()

    def drop(self, keys: Iterable[str]) -> None:
        """Remove items from the own block. KeyError: one that it does not have."""
        block = self._own_block()
        self._own.drop(keys)
        block["hash"] = self._own.hash
        block["time"] = time.time()

    # Blocks of other daemons

    def update(self, block: Mapping[str, Any], save: bool = True) -> None:
        """Take in a block: a new one, or another state of one that is known.

        Of two blocks with a key or an alias in common the newer stays. ValueError: a
        bad block, an older one, or a foreign one for this process's own.
        """
        checked = catalog.check_block(block)
        identity = checked["uuid"]
        if self.alias is not None and checked["alias"] == self.alias:
            self._update_own(checked)
        else:
            self._enter(hashed(checked))
        if save:
            self.save(identity)
        self._tell()

    def renew(self, blocks: Iterable[Block], there: Collection[str]) -> None:
        """Take in blocks that have been checked, all at once.

        Those of daemons that are *there*, by UUID, go before the others, and newer
        ones before older ones.
        """
        self._merge([hashed(block) for block in blocks], there)
        self._tell()

    def register(self, method: Callable[[], Any]) -> None:
        """Call *method*, now and whenever a block has been taken in."""
        bound = hasattr(method, "__self__")
        self._callbacks.append(
            weakref.WeakMethod(method) if bound else weakref.ref(method)
        )
        method()

    # Values

    def convert_units(self, value: Any, old: str, new: str | None) -> Any:
        """Return *value* in other units; a pint.Quantity where *new* is None."""
        return units.convert(value, old, new)

    def to_format(self, key: str, value: Any) -> str:
        return formats.to_format(self.description(key.lower()), value)

    def from_format(self, key: str, value: Any) -> Any:
        return formats.from_format(self.description(key.lower()), value)

    def to_quantity(self, key: str, value: Any, units: Any = None) -> Any:
        """Return *value* as a pint.Quantity. TypeError: the item has no units."""
        return to_quantity(self.description(key.lower()), value, units)

    def from_quantity(self, key: str, quantity: Any) -> Any:
        """Return a quantity's magnitude in the item's own units; TypeError as above."""
        return units.from_quantity(self.description(key.lower()), quantity)

    # Helpers

    def _load(self) -> None:
        for identity, data in cache.cached_blocks(self.store):
            # A file that cannot be read is ignored: the network has the block as well.
            try:
                self.update(wire.loads(data), save=False)
            except ValueError as error:
                _logger.info("cached block %s cannot be used: %s", identity, error)

    def _own_block(self) -> Block:
        if self.authoritative_block is None:
            self.declare({})
        block = self.authoritative_block
        if block is None:
            raise ValueError(f"no daemon of store {self.store!r} runs in this process")
        return block

    def _update_own(self, block: Block) -> None:
        if block["uuid"] != self.authoritative_uuid:
            # An earlier home, or another daemon of our name, left this in the cache.
            raise ValueError(f"alias {self.alias!r} is this process's own")
        self.declare(block["items"])
        own = self._own_block()
        for name, value in block.items():
            own.setdefault(name, value)
        if "provenance" in block:
            own["provenance"] = block["provenance"]

    def _tell(self) -> None:
        for reference in list(self._callbacks):
            method = reference()
            if method is None:
                self._callbacks.remove(reference)
            else:
                method()


class _Catalogs:
    """The configurations of this process, by the names of their stores."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.known: dict[str, Configuration] = {}

    def get_or_make(self, store: str) -> Configuration:
        with self.lock:
            known = self.known.get(store.lower())
            if known is None:
                known = Configuration.make(store)
                self.known[known.store] = known
        return known

    def forked(self) -> None:
        self.lock = threading.RLock()
        for configuration in self.known.values():
            configuration.forked()


catalogs = process.kept(_Catalogs())


def _read_items(path: Path) -> Mapping[str, Any]:
    try:
        return catalog.check_items(json.loads(path.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
