"""The values of persistent items, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mktl_daemon.core import wire
from mktl_daemon.core.catalog import check_name
from mktl_daemon.core.wire import Buffer

from .atomic import sweep, sync_file, write
from .environment import home

_BULK = "bulk:"  # the prefix of the names of files with arrays
_LONGEST = 230  # of 255 bytes of a file's name; an array's name adds some
_JOURNAL = ".journal"
_LARGE = 2**18  # bytes of values from which on their own files are synced
_DIGEST = re.compile(r"[0-9a-f]{16}")


def file_name(key: str) -> str:
    """Return the name of the file that keeps the value of *key*.

    ValueError: it is too long, for itself or for that of its array.
    """
    name = quote(key, safe=" :!$&'()*+,;=@[]")
    if name.startswith(_BULK):
        name = name.replace(":", "%3A", 1)  # without it, another key's array
    if len(name) > _LONGEST:
        raise ValueError(f"item {key!r:.80}: the key is too long to persist")
    return name


class PersistentValues:
    """The persistent values of one daemon: payload JSON and bulk, by key.

    A payload that describes an array names the array by its digest. The array is first
    written to a file with that name. It gets its own name after its payload is written.
    So after a power cut at any moment, a payload and its array are complete.
    """

    def __init__(self, identity: str) -> None:
        self._folder = Path(home(), "daemon", "persist", check_name(identity))
        self._journal: dict[str, bytes] = {}  # payloads whose files are not synced yet

    def load(self) -> Iterator[tuple[str, bytes, bytes | None]]:
        """Yield key, payload and bulk. Files that a power cut left over are removed."""
        sweep(self._folder)
        self._replay()
        self._sweep_arrays()
        for path in sorted(self._folder.glob("*")):
            if path.name.startswith((_BULK, ".")):
                continue
            kept = self._read(path.name)
            if kept is not None:
                yield unquote(path.name), *kept

    def read(self, key: str) -> tuple[bytes, bytes | None] | None:
        """Return the payload and the bulk of *key*, if it has a value."""
        return self._read(file_name(key))

    def save_together(self, payloads: Mapping[str, bytes]) -> None:
        """Replace values that are no arrays, with only one wait for the disk.

        They are written to one common file, which is synced, and then to their own
        files, which are not. After a power cut, `load` finds them in the common file.
        """
        self._journal.update(payloads)
        write(self._folder / _JOURNAL, wire.dumps(_texts(self._journal)))
        for key, payload in payloads.items():
            name = file_name(key)
            write(self._folder / name, payload, sync=False)
            (self._folder / f"{_BULK}{name}").unlink(missing_ok=True)
        if sum(map(len, self._journal.values())) > _LARGE:
            self.settle()

    def settle(self) -> None:
        """Sync the files of all values, so that `load` has nothing to write again."""
        if not self._journal:
            return
        for key in self._journal:
            sync_file(self._folder / file_name(key))
        self._journal.clear()
        (self._folder / _JOURNAL).unlink(missing_ok=True)

    def _replay(self) -> None:
        """Write values of the common file again. Their own files may not have them."""
        path = self._folder / _JOURNAL
        try:
            texts = wire.fields(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return
        for key, text in texts.items():
            payload = str(text).encode()
            own = self._folder / file_name(key)
            try:
                newer = _time(own.read_bytes()) > _time(payload)
            except FileNotFoundError:
                newer = False
            if not newer:
                write(own, payload)
        path.unlink(missing_ok=True)

    def save(self, key: str, payload: bytes, bulk: Buffer | None) -> None:
        """Replace the value of *key*: after a power cut the old or the new is there."""
        name = file_name(key)
        own = self._folder / f"{_BULK}{name}"
        if bulk is None:
            write(self._folder / name, payload)
            own.unlink(missing_ok=True)
            return
        self._journal.pop(key, None)
        digest = hashlib.blake2b(bulk, digest_size=8).hexdigest()
        fresh = self._folder / f"{_BULK}{name}.{digest}"
        write(fresh, bulk)
        write(self._folder / name, payload[:-1] + b',"_digest":"%b"}' % digest.encode())
        fresh.replace(own)

    def _read(self, name: str) -> tuple[bytes, bytes | None] | None:
        try:
            payload = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        return (payload, self._bulk(name, payload)) if payload else None

    def _sweep_arrays(self) -> None:
        for path in self._folder.glob(f"{_BULK}*.*"):
            whole = path.name.removeprefix(_BULK)
            name, _, digest = whole.rpartition(".")
            if not _DIGEST.fullmatch(digest) or (self._folder / whole).exists():
                continue  # the array of a key whose name looks like this
            kept = self._read(name)
            if kept is None or _described(kept[0]).get("_digest") != digest:
                path.unlink(missing_ok=True)

    def _bulk(self, name: str, payload: bytes) -> bytes | None:
        described = _described(payload)
        if "shape" not in described:
            return None  # an array from before that has not been removed yet
        digest = described.get("_digest")
        for path in (
            self._folder / f"{_BULK}{name}.{digest}",
            self._folder / f"{_BULK}{name}",
        ):
            with contextlib.suppress(FileNotFoundError):
                return path.read_bytes()
        return None


def _texts(payloads: Mapping[str, bytes]) -> dict[str, str]:
    return {key: payload.decode() for key, payload in payloads.items()}


def _time(payload: bytes) -> float:
    when = _described(payload).get("time")
    return when if isinstance(when, int | float) else 0.0


def _described(payload: bytes) -> dict[str, Any]:
    """Return a kept payload's fields; one that cannot be read has none."""
    try:
        return wire.fields(payload)
    except ValueError:
        return {}
