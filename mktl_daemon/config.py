"""What is known of stores: their catalog blocks, in memory and in the home directory.

`Configuration` is a dictionary of one key's description, one UUID's or one alias's
block. There is one for each store.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from . import catalog, formats, paths, units, wire
from .paths import home as directory

__all__ = ["Configuration", "authoritative", "directory", "get", "get_hashes"]

Block = dict[str, Any]
Description = dict[str, Any]

_logger = logging.getLogger(__name__)
_lock = threading.RLock()
_known: dict[str, Configuration] = {}

_BATCH = 10_000  # items that are looked at in one go


class Configuration:
    """The catalog of one store: blocks by UUID, each from one daemon.

    With an *alias* this process is that daemon: it is authoritative for the block of
    that alias, whose items come from ``daemon/store/<store>/<alias>.json``.
    """

    def __new__(cls, store: str, alias: str | None = None) -> Configuration:  # noqa: ARG004
        with _lock:
            found = _known.get(store.lower())
            if found is None:
                found = super().__new__(cls)
                found._begin(store)
                _known[found.store] = found
        return found

    def __init__(self, store: str, alias: str | None = None) -> None:  # noqa: ARG002
        if alias is not None:
            self.claim(alias)

    def _begin(self, store: str) -> None:
        self.store = catalog.check_name(store.lower())
        self.alias: str | None = None
        self.authoritative_uuid: str | None = None
        # Replaced as a whole, never changed: whoever reads it is not disturbed.
        self._blocks: dict[str, Block] = {}
        self._changing = threading.RLock()
        self._own = _Items()
        self._callbacks: list[weakref.ref[Any]] = []
        self._load()

    def forked(self) -> None:
        """Be nobody's to change; another thread of the parent may have been at it."""
        self._changing = threading.RLock()

    # A dictionary of keys, UUIDs and aliases

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True

    def __getitem__(self, name: str) -> dict[str, Any]:
        key = name.lower()
        for block in self._blocks.values():
            description = block["items"].get(key)
            if description is not None:
                return _within(block, description)
        found = self._blocks.get(key) or self._by_alias(name)
        if found is None:
            raise KeyError(f"store {self.store!r} has no {name!r}")
        return found

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self, authoritative: bool = False) -> list[str]:
        """Return the keys of the store, or of this daemon without its built-ins."""
        if authoritative:
            return [key for key in self.authoritative_items if key[0] != "_"]
        blocks = list(self._blocks.values())
        return list(itertools.chain.from_iterable(block["items"] for block in blocks))

    def uuids(self, authoritative: bool = False) -> tuple[str, ...]:
        if authoritative:
            return (self.authoritative_uuid,) if self.authoritative_uuid else ()
        return tuple(self._blocks)

    def description(self, key: str) -> Mapping[str, Any]:
        """Return a key's description as its daemon gave it. KeyError: no such key."""
        for block in self._blocks.values():
            description: Mapping[str, Any] | None = block["items"].get(key)
            if description is not None:
                return description
        raise KeyError(f"store {self.store!r} has no {key!r}")

    def block_of(self, key: str) -> Block:
        """Return the block that has *key*. KeyError: none has."""
        for block in self._blocks.values():
            if key in block["items"]:
                return block
        raise KeyError(f"store {self.store!r} has no {key!r}")

    def blocks(self) -> dict[str, Block]:
        return dict(self._blocks)

    def hashes(self) -> dict[str, int]:
        """Return the hash of each block, by UUID."""
        return {identity: block["hash"] for identity, block in self._blocks.items()}

    # What a daemon does with its own block

    @property
    def authoritative_block(self) -> Block | None:
        return self._blocks.get(self.authoritative_uuid or "")

    @property
    def authoritative_items(self) -> dict[str, Description]:
        block = self.authoritative_block
        return {} if block is None else block["items"]

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
        identity = paths.identity(self.store, alias)
        path = paths.items_file(self.store, alias)
        self.alias, self.authoritative_uuid = alias, identity
        # What an earlier process of this daemon left in the cache is not what it has.
        self._drop_block(identity)
        if path.exists():
            self.declare(_read_items(path))

    def disclaim(self) -> None:
        """Be a client's again: the daemon that this process was to be is not here."""
        mine, self.alias, self.authoritative_uuid = self.authoritative_uuid, None, None
        if mine is not None:
            self._drop_block(mine)
            self._load()

    def declare(self, items: Mapping[str, Any]) -> None:
        """Replace the items of this process's own block."""
        before = self.authoritative_block
        self._own = _Items()
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

    def encoded(self) -> bytes:
        """Return the JSON of all blocks, by UUID."""
        blocks = (
            wire.dumps(identity) + b":" + self._encoded(block)
            for identity, block in self._blocks.items()
        )
        return b"{" + b",".join(blocks) + b"}"

    def encoded_block(self, identity: str, **more: Any) -> bytes:
        """Return the JSON of one block, with *more* fields beside its own."""
        return self._encoded(self._blocks[identity], **more)

    def _encoded(self, block: Block, **more: Any) -> bytes:
        if block["uuid"] != self.authoritative_uuid:
            return wire.dumps({**block, **more})
        head = {name: value for name, value in block.items() if name != "items"}
        return (
            wire.dumps({**head, **more})[:-1] + b',"items":' + self._own.json() + b"}"
        )

    # Blocks that come from elsewhere

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
            self._enter(_hashed(checked))
        if save:
            self.save(identity)
        self._tell()

    def renew(self, blocks: Iterable[Block], there: Collection[str]) -> None:
        """Take in blocks that have been checked, all at once.

        Those of daemons that are *there*, by UUID, go before the others, and newer
        ones before older ones.
        """

        def rank(block: Block) -> tuple[bool, float]:
            return block["uuid"] in there, block.get("time") or 0

        fresh = [_hashed(block) for block in blocks]
        with self._changing:
            before = self._blocks
            mine = self.authoritative_block
            found = {**before, **{block["uuid"]: block for block in fresh}}
            kept = {} if mine is None else {mine["uuid"]: mine}
            for block in sorted(found.values(), key=rank, reverse=True):
                if not any(_conflict(block, other) for other in kept.values()):
                    kept.setdefault(block["uuid"], block)
            self._blocks = {name: kept[name] for name in found if name in kept}
        for identity in before.keys() - kept.keys():
            paths.remove_block(self.store, identity)
        for block in fresh:
            if kept.get(block["uuid"]) is block:
                self.save(block["uuid"])
        self._tell()

    def remove(self, identity: str) -> None:
        """Forget a block, on disk too."""
        self._drop_block(identity)
        paths.remove_block(self.store, identity)

    def save(self, identity: str | None = None) -> None:
        """Write a block, or all of them, where this home's clients find it."""
        for each in self.uuids() if identity is None else (identity,):
            paths.save_block(self.store, each, self.encoded_block(each))

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
        return _to_quantity(self.description(key.lower()), value, units)

    def from_quantity(self, key: str, quantity: Any) -> Any:
        """Return a quantity's magnitude in the item's own units; TypeError as above."""
        return units.from_quantity(self.description(key.lower()), quantity)

    # Helpers

    def _load(self) -> None:
        for identity, data in paths.cached_blocks(self.store):
            # A file that cannot be read is as good as none: the network has it too.
            try:
                self.update(wire.loads(data), save=False)
            except ValueError as error:
                _logger.info("cached block %s is of no use: %s", identity, error)

    def _by_alias(self, alias: str) -> Block | None:
        for block in self._blocks.values():
            if block["alias"].lower() == alias.lower():
                return block
        return None

    def _own_block(self) -> Block:
        if self.authoritative_block is None:
            self.declare({})
        block = self.authoritative_block
        if block is None:
            raise ValueError(f"no daemon of store {self.store!r} runs in this process")
        return block

    def _update_own(self, block: Block) -> None:
        if block["uuid"] != self.authoritative_uuid:
            # What an earlier home, or another daemon of our name, left in the cache.
            raise ValueError(f"alias {self.alias!r} is this process's own")
        self.declare(block["items"])
        own = self._own_block()
        for name, value in block.items():
            own.setdefault(name, value)
        if "provenance" in block:
            own["provenance"] = block["provenance"]

    def _enter(self, block: Block) -> None:
        """Put a block in, in place of the older ones that it disagrees with."""
        with self._changing:
            rest = dict(self._blocks)
            for identity, known in self._blocks.items():
                reason = _conflict(block, known)
                if reason is None or identity == block["uuid"]:
                    continue
                mine = identity == self.authoritative_uuid
                if mine or (block.get("time") or 0) < (known.get("time") or 0):
                    raise ValueError(
                        f"{reason} of store {self.store!r} is that of {identity}"
                    )
                del rest[identity]
            gone = self._blocks.keys() - rest.keys()
            self._blocks = {**rest, block["uuid"]: block}
        for identity in gone:
            paths.remove_block(self.store, identity)

    def _drop_block(self, identity: str) -> None:
        with self._changing:
            rest = self._blocks.items()
            self._blocks = {name: block for name, block in rest if name != identity}

    def _tell(self) -> None:
        for reference in list(self._callbacks):
            method = reference()
            if method is None:
                self._callbacks.remove(reference)
            else:
                method()


class _Items:
    """A daemon's own items, with their hash and their JSON kept up as they change.

    Many items share few descriptions: each is kept, encoded and hashed once.
    """

    def __init__(self) -> None:
        self.by_key: dict[str, Description] = {}
        self._kinds: dict[bytes, Description] = {}
        self._json: dict[int, bytes] = {}  # by the id of a kind
        self._users: dict[int, int] = {}  # how many items, likewise
        self._sum = 0

    @property
    def hash(self) -> int:
        # A sum does not depend on the order and can be kept up item by item.
        return self._sum % 2**128

    def add(self, items: Mapping[str, Any]) -> list[str]:
        keys: list[str] = []
        rows = iter(items.items())
        try:
            while batch := dict(itertools.islice(rows, _BATCH)):
                checked = catalog.check_items(batch)
                kinds: dict[int, Description] = {}  # what several share is one object
                for key, description in checked.items():
                    kind = kinds.get(id(description))
                    if kind is None:
                        kind = kinds[id(description)] = self._kind_of(description)
                    self._add(key, kind)
                    keys.append(key)
        except ValueError:
            self.drop(keys)
            raise
        return keys

    def _kind_of(self, description: Description) -> Description:
        encoded = wire.dumps(description)
        kind = self._kinds.setdefault(encoded, description)
        self._json[id(kind)] = encoded
        return kind

    def _add(self, key: str, kind: Description) -> None:
        if key in self.by_key:
            raise ValueError(f"item {key!r} is there twice")
        if kind.get("persist"):
            paths.file_name(key)  # refused here, not when there is a value to be kept
        self.by_key[key] = kind
        self._count(key, kind)

    def describe(self, items: Mapping[str, Any]) -> None:
        checked = catalog.check_items(items)
        old = {key: self.by_key[key] for key in checked}
        for key, description in checked.items():
            kind = self._kind_of(description)
            self.by_key[key] = kind
            self._count(key, kind)
            self._discount(key, old[key])

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._discount(key, self.by_key.pop(key))

    def _count(self, key: str, kind: Description) -> None:
        self._sum += _digest(key, self._json[id(kind)])
        self._users[id(kind)] = self._users.get(id(kind), 0) + 1

    def _discount(self, key: str, kind: Description) -> None:
        self._sum -= _digest(key, self._json[id(kind)])
        self._users[id(kind)] -= 1
        if not self._users[id(kind)]:
            del self._users[id(kind)]
            del self._kinds[self._json.pop(id(kind))]

    def json(self) -> bytes:
        items = [
            # A kind that went meanwhile has no JSON any more.
            b"%b:%b" % (wire.dumps(key), self._json.get(id(kind)) or wire.dumps(kind))
            for key, kind in self.by_key.copy().items()
        ]
        return b"{" + b",".join(items) + b"}"


def authoritative(store: str, alias: str, items: Mapping[str, Any]) -> None:
    """Declare the items of the daemon *alias*, which this process is or will be.

    ValueError: a bad description, named by key and field.
    """
    configuration = _get(store)
    configuration.claim(alias)
    configuration.declare(items)


def get(store: str, alias: str | None = None) -> Configuration:
    """Return the configuration of *store*, of which there is one.

    KeyError: nothing is known of the store, and no *alias* makes it ours.
    """
    configuration = _get(store)
    if alias is not None:
        configuration.claim(alias)
    elif not len(configuration):
        raise KeyError(f"nothing is known here of a store {store!r}")
    return configuration


def here(store: str) -> Configuration:
    """Return the configuration of *store* if there is one in memory, or KeyError."""
    configuration = _known.get(store.lower())
    if configuration is None or not len(configuration):
        raise KeyError(f"nothing is known here of a store {store!r}")
    return configuration


def known(store: str) -> Configuration:
    """Return the configuration of *store*, be it empty."""
    return _get(store)


def forget(store: str) -> None:
    """Drop what is in memory of *store*; the files stay."""
    with _lock:
        _known.pop(store.lower(), None)


def get_hashes(store: str | None = None) -> dict[str, dict[str, int]]:
    """Return ``{store: {uuid: hash}}``. KeyError: nothing is known of *store*."""
    with _lock:
        found = {
            name: configuration.hashes()
            for name, configuration in _known.items()
            if len(configuration) and (store is None or name == store.lower())
        }
    if store is not None and not found:
        raise KeyError(f"nothing is known here of a store {store!r}")
    return found


def _get(store: str) -> Configuration:
    if not store:
        raise ValueError("a store has a name")
    return Configuration(store)


def _forked() -> None:
    # Another thread of the parent may have held them.
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()
    for configuration in _known.values():
        configuration.forked()


os.register_at_fork(after_in_child=_forked)


def _within(block: Block, description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with the UUID and the provenance of its block."""
    told = {**description, "uuid": block["uuid"]}
    with contextlib.suppress(KeyError):
        told["provenance"] = block["provenance"]
    return told


def _hashed(block: Block) -> Block:
    if block.get("hash") is None:
        block["hash"] = catalog.digest(block["items"])
    return block


def _conflict(block: Block, known: Block) -> str | None:
    if block["alias"] == known["alias"]:
        return f"alias {block['alias']!r}"
    common = block["items"].keys() & known["items"].keys()
    return f"key {min(common)!r}" if common else None


def _digest(key: str, encoded: bytes) -> int:
    data = b"%b\0%b" % (key.encode(), encoded)
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "big")


def _read_items(path: Any) -> Mapping[str, Any]:
    try:
        return catalog.check_items(json.loads(path.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


_to_quantity = units.to_quantity
