"""The files under MKTL_HOME and what the environment says of the network."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from . import wire
from .catalog import check_name
from .wire import Buffer

LOOPBACK = "127.0.0.1"
REGISTRY_PORT = 10103  # UDP, from the protocol
DAEMON_PORT = 10111  # UDP, from the protocol

_BULK = "bulk:"  # begins the names of files with arrays
_LONGEST = 230  # of the 255 bytes of a file's name, less what an array's has beside it

_DIGEST = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = re.compile(
    r"\.[a-z0-9_]{8}"
)  # what `write` calls a file that is not whole
_STALE = 60.0  # seconds after which nobody is writing any more

_chosen: Path | None = None


def home(path: str | os.PathLike[str] | None = None) -> str:
    """Return the directory of mKTL's files, or make *path* that directory.

    It is ``MKTL_HOME`` or, without it, ``~/.mKTL``; looked up once. ValueError: a
    *path* that is not absolute.
    """
    global _chosen  # noqa: PLW0603 - one process has one home
    if path is not None:
        wanted = Path(os.path.expandvars(path))
        if not wanted.is_absolute():
            raise ValueError(f"the home directory must be an absolute path, not {path}")
        wanted.mkdir(mode=0o775, parents=True, exist_ok=True)
        os.environ["MKTL_HOME"] = str(wanted)
        _chosen = wanted
    if _chosen is None:
        _chosen = Path(os.environ.get("MKTL_HOME") or Path.home() / ".mKTL")
    return str(_chosen)


def interface() -> str:
    """Return the address to bind to: loopback unless ``MKTL_INTERFACE`` says more."""
    return os.environ.get("MKTL_INTERFACE") or LOOPBACK


def is_confined() -> bool:
    """Tell whether this process was told to keep to loopback."""
    return os.environ.get("MKTL_INTERFACE", "").startswith(("127.", "lo"))


def discovery_ports() -> tuple[int, int]:
    """Return the UDP ports of registries and of daemons.

    ``MKTL_DISCOVERY=10103,10111`` moves them: two communities on one network do not
    see each other.
    """
    told = os.environ.get("MKTL_DISCOVERY")
    if not told:
        return REGISTRY_PORT, DAEMON_PORT
    try:
        registries, daemons = (int(port) for port in told.split(","))
    except ValueError:
        raise ValueError(
            f"MKTL_DISCOVERY is two ports, as 10103,10111: {told!r}"
        ) from None
    return registries, daemons


def allowed() -> tuple[str, ...]:
    """Return the addresses that may connect, from ``MKTL_ALLOW``; none: everybody."""
    return tuple(re.findall(r"[^\s,]+", os.environ.get("MKTL_ALLOW", "")))


# What a client keeps


def cached_blocks(store: str) -> Iterator[tuple[str, bytes]]:
    """Yield the UUID and the JSON of every catalog block kept for *store*."""
    _sweep(_cache(store))
    for path in sorted(_cache(store).glob("*.json")):
        with contextlib.suppress(FileNotFoundError):
            yield path.stem, path.read_bytes()


def cached_stores() -> list[str]:
    folder = Path(home(), "client", "cache")
    return sorted(path.name for path in folder.glob("*") if path.is_dir())


def save_block(store: str, identity: str, data: Buffer) -> None:
    write(_cache(store) / f"{check_name(identity)}.json", data)


def remove_block(store: str, identity: str) -> None:
    (_cache(store) / f"{check_name(identity)}.json").unlink(missing_ok=True)


def known_registries() -> list[str]:
    """Return the hosts in ``client/registries`` and ``client/registries.cache``."""
    found: dict[str, None] = {}
    for name in ("registries", "registries.cache"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(home(), "client", name).read_text().splitlines():
                found.update(dict.fromkeys(line.partition("#")[0].split()))
    return list(found)


def remember_registries(hosts: set[str]) -> None:
    known = set(known_registries())
    if hosts <= known:
        return
    lines = ["# Written by the program; yours is the file 'registries'."]
    lines += sorted(known | hosts)
    write(Path(home(), "client", "registries.cache"), "\n".join(lines).encode() + b"\n")


# What a daemon keeps


def items_file(store: str, alias: str) -> Path:
    """Return where the items of a daemon are described; it need not exist."""
    return Path(
        home(), "daemon", "store", check_name(store), f"{check_name(alias)}.json"
    )


def identity(store: str, alias: str) -> str:
    """Return the UUID of a daemon; the first time, make it up and keep it."""
    path = items_file(store, alias).with_suffix(".uuid")
    with contextlib.suppress(FileNotFoundError):
        if kept := path.read_text().strip().lower():
            return check_name(kept)
    made = str(uuid.uuid4())
    write(path, made.encode())
    return made


def ports(store: str, identity: str) -> tuple[int | None, int | None]:
    """Return the request and publish ports that a daemon had, None where unknown."""
    folder = _ports(store)
    _sweep(folder)
    return (
        _number(folder / f"{check_name(identity)}.req"),
        _number(folder / f"{check_name(identity)}.pub"),
    )


def save_ports(store: str, identity: str, rep: int, pub: int) -> None:
    folder = _ports(store)
    write(folder / f"{check_name(identity)}.req", b"%d\n" % rep)
    write(folder / f"{check_name(identity)}.pub", b"%d\n" % pub)


def taken_ports() -> set[int]:
    """Return the ports that daemons of this home have had, to leave them alone."""
    folder = Path(home(), "daemon", "port")
    numbers = (_number(path) for path in folder.glob("*/*"))
    return {number for number in numbers if number is not None}


class Taken(Exception):  # noqa: N818 - it is not an error to ask
    """Another process is the daemon; what it said of itself is the text."""


class Lock:
    """Held by the process that is a daemon; the system takes it back, come what may.

    `Taken`: another process holds it.
    """

    def __init__(self, store: str, alias: str) -> None:
        path = items_file(store, alias).with_suffix(".lock")
        path.parent.mkdir(mode=0o775, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise Taken(path.read_text()) from error

    def say(self, text: str) -> None:
        """Leave *text* for who comes second."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)


def file_name(key: str) -> str:
    """Return the name of the file that keeps the value of *key*.

    ValueError: it is too long, for itself or for that of its array.
    """
    name = quote(key, safe=" :!$&'()*+,;=@[]")
    if name.startswith(_BULK):
        name = name.replace(":", "%3A", 1)  # the other is the array of another key
    if len(name) > _LONGEST:
        raise ValueError(f"item {key!r:.80}: the key is too long to persist")
    return name


class Kept:
    """The persistent values of one daemon: payload JSON and bulk, by key.

    A payload that describes an array says which one, by its digest. An array is
    written under that name before, and gets its own name after its payload: whenever
    the power goes, a payload and its array are there.
    """

    def __init__(self, identity: str) -> None:
        self._folder = Path(home(), "daemon", "persist", check_name(identity))

    def load(self) -> Iterator[tuple[str, bytes, bytes | None]]:
        """Yield key, payload and bulk. What a power cut left over is removed."""
        _sweep(self._folder)
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

    def save(self, key: str, payload: bytes, bulk: Buffer | None) -> None:
        """Replace the value of *key*: after a power cut the old or the new is there."""
        name = file_name(key)
        own = self._folder / f"{_BULK}{name}"
        if bulk is None:
            write(self._folder / name, payload)
            own.unlink(missing_ok=True)
            return
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
                continue  # the array of a key that only looks so
            kept = self._read(name)
            if kept is None or _described(kept[0]).get("_digest") != digest:
                path.unlink(missing_ok=True)

    def _bulk(self, name: str, payload: bytes) -> bytes | None:
        described = _described(payload)
        if "shape" not in described:
            return None  # an array that was there before, and not yet taken away
        digest = described.get("_digest")
        for path in (
            self._folder / f"{_BULK}{name}.{digest}",
            self._folder / f"{_BULK}{name}",
        ):
            with contextlib.suppress(FileNotFoundError):
                return path.read_bytes()
        return None


def write(path: Path, data: Buffer) -> None:
    """Write a file whole or not at all: to a new one, synced, renamed."""
    path.parent.mkdir(mode=0o775, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o664)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    for path in folder.glob(".*"):
        with contextlib.suppress(FileNotFoundError):
            age = time.time() - path.stat().st_mtime
            if age > _STALE and path.is_file() and _TEMPORARY.fullmatch(path.name):
                path.unlink()


def _described(payload: bytes) -> dict[str, Any]:
    """Return a kept payload's fields; one that cannot be read has none."""
    try:
        return wire.fields(payload)
    except ValueError:
        return {}


def _cache(store: str) -> Path:
    return Path(home(), "client", "cache", check_name(store))


def _ports(store: str) -> Path:
    return Path(home(), "daemon", "port", check_name(store))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
