"""The block of this process's daemon: its items, with their hash and their JSON."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from mktl_daemon.core import catalog, wire
from mktl_daemon.files import persistent_values

Description = dict[str, Any]

_BATCH = 10_000  # items that are checked in one go


class OwnItems:
    """A daemon's own items, with their hash and their JSON kept up as they change.

    Many items share few descriptions: each is kept, encoded and hashed once.
    """

    def __init__(self) -> None:
        self.by_key: dict[str, Description] = {}
        self.kinds: dict[bytes, Description] = {}
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
        kind = self.kinds.setdefault(encoded, description)
        self._json[id(kind)] = encoded
        return kind

    def _add(self, key: str, kind: Description) -> None:
        if key in self.by_key:
            raise ValueError(f"item {key!r} is there twice")
        if kind.get("persist"):
            persistent_values.file_name(key)  # raises for a key that is too long
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
            del self.kinds[self._json.pop(id(kind))]

    def json(self) -> bytes:
        items = [
            # A kind that went meanwhile has no JSON any more.
            b"%b:%b" % (wire.dumps(key), self._json.get(id(kind)) or wire.dumps(kind))
            for key, kind in self.by_key.copy().items()
        ]
        return b"{" + b",".join(items) + b"}"


def _digest(key: str, encoded: bytes) -> int:
    data = b"%b\0%b" % (key.encode(), encoded)
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "big")
