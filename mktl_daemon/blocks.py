"""The catalog blocks of one store, each from one daemon."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mktl_daemon.core import catalog, wire
from mktl_daemon.files import cache

from .own_block import OwnItems

Block = dict[str, Any]
Description = dict[str, Any]


class Blocks:
    """Maps a key to its description, and a UUID or an alias to its block.

    Blocks are in memory, and in the cache of this home. One of them may be that of a
    daemon of this process.
    """

    def __init__(self, store: str) -> None:
        self.store = catalog.check_store(store)
        self.alias: str | None = None
        self.authoritative_uuid: str | None = None
        # It is replaced as a whole and never changed, so readers need no lock.
        self._blocks: dict[str, Block] = {}
        self._changing = threading.RLock()
        self._own = OwnItems()

    def forked(self) -> None:
        """Replace the locks: another thread of the parent may have held them."""
        self._changing = threading.RLock()

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
        known = self._blocks.get(key) or self._by_alias(name)
        if known is None:
            raise KeyError(f"store {self.store!r} has no {name!r}")
        return known

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

    @property
    def authoritative_block(self) -> Block | None:
        return self._blocks.get(self.authoritative_uuid or "")

    @property
    def authoritative_items(self) -> dict[str, Description]:
        block = self.authoritative_block
        return {} if block is None else block["items"]

    def encoded(self, only: str | None = None) -> bytes:
        """Return the JSON of all blocks, by UUID, or of the block of *only*."""
        blocks = (
            wire.dumps(identity) + b":" + self.encode(block)
            for identity, block in self._blocks.items()
            if only in (None, identity)
        )
        return b"{" + b",".join(blocks) + b"}"

    def encoded_block(self, identity: str, **more: Any) -> bytes:
        """Return the JSON of one block, with *more* fields beside its own."""
        return self.encode(self._blocks[identity], **more)

    def encode(self, block: Block, **more: Any) -> bytes:
        """Return the JSON of *block*, with *more* fields beside its own."""
        if block["uuid"] != self.authoritative_uuid:
            return wire.dumps({**block, **more})
        head = {name: value for name, value in block.items() if name != "items"}
        return (
            wire.dumps({**head, **more})[:-1] + b',"items":' + self._own.json() + b"}"
        )

    def save(self, identity: str | None = None, sync: bool = True) -> None:
        """Write a block, or all of them, to the cache of this home's clients.

        Without *sync* a power cut may take them away. If the cache cannot be written,
        log one warning and leave it as it is.
        """
        for each in self.uuids() if identity is None else (identity,):
            data = self.encoded_block(each)
            cache.attempt(cache.save_block, self.store, each, data, sync)

    def remove(self, identity: str) -> None:
        """Remove a block from memory and from the disk."""
        self._drop_block(identity)
        cache.attempt(cache.remove_block, self.store, identity)

    def _merge(self, fresh: list[Block], there: Collection[str]) -> None:
        """Take in blocks at once: those of *there* first, and newer ones first."""

        def rank(block: Block) -> tuple[bool, float]:
            return block["uuid"] in there, block.get("time") or 0

        with self._changing:
            before = self._blocks
            mine = self.authoritative_block
            candidates = {**before, **{block["uuid"]: block for block in fresh}}
            kept = {} if mine is None else {mine["uuid"]: mine}
            for block in sorted(candidates.values(), key=rank, reverse=True):
                if not any(_conflict(block, other) for other in kept.values()):
                    kept.setdefault(block["uuid"], block)
            self._blocks = {name: kept[name] for name in candidates if name in kept}
        for identity in before.keys() - kept.keys():
            cache.attempt(cache.remove_block, self.store, identity)
        for block in fresh:
            if kept.get(block["uuid"]) is block:
                # Somebody waits for the search, which finds it again at any time.
                self.save(block["uuid"], sync=False)

    def _by_alias(self, alias: str) -> Block | None:
        for block in self._blocks.values():
            if block["alias"].lower() == alias.lower():
                return block
        return None

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
            cache.attempt(cache.remove_block, self.store, identity)

    def _drop_block(self, identity: str) -> None:
        with self._changing:
            rest = self._blocks.items()
            self._blocks = {name: block for name, block in rest if name != identity}


def _within(block: Block, description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with the UUID and the provenance of its block."""
    described = {**description, "uuid": block["uuid"]}
    with contextlib.suppress(KeyError):
        described["provenance"] = block["provenance"]
    return described


def hashed(block: Block) -> Block:
    if block.get("hash") is None:
        block["hash"] = catalog.digest(block["items"])
    return block


def _conflict(block: Block, known: Block) -> str | None:
    if block["alias"] == known["alias"]:
        return f"alias {block['alias']!r}"
    common = block["items"].keys() & known["items"].keys()
    return f"key {min(common)!r}" if common else None
