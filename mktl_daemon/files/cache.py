"""A client's cache: catalog blocks, and the addresses of registries."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mktl_daemon import process
from mktl_daemon.core.catalog import check_name
from mktl_daemon.core.wire import Buffer

from .atomic import sweep, write
from .environment import home

_logger = logging.getLogger(__name__)
_warned: process.Once[set[str]] = process.Once(set)  # homes with a logged warning


def attempt(act: Callable[..., Any], *arguments: Any) -> None:
    """Call *act*. If the home cannot be used, warn once and work without a cache."""
    try:
        act(*arguments)
    except OSError as error:
        folder = home()
        if folder not in _warned.get():
            _warned.get().add(folder)
            _logger.warning("there is no cache under %s: %s", folder, error)


def cached_blocks(store: str) -> Iterator[tuple[str, bytes]]:
    """Yield the UUID and the JSON of every catalog block kept for *store*."""
    attempt(sweep, _cache(store))
    for path in sorted(_cache(store).glob("*.json")):
        with contextlib.suppress(OSError):  # The file is gone, or it is another user's.
            yield path.stem, path.read_bytes()


def cached_stores() -> list[str]:
    folder = Path(home(), "client", "cache")
    return sorted(path.name for path in folder.glob("*") if path.is_dir())


def save_block(store: str, identity: str, data: Buffer, sync: bool = True) -> None:
    write(_cache(store) / f"{check_name(identity)}.json", data, sync)


def remove_block(store: str, identity: str) -> None:
    (_cache(store) / f"{check_name(identity)}.json").unlink(missing_ok=True)


def known_registries() -> list[str]:
    """Return the hosts in ``client/registries`` and ``client/registries.cache``."""
    hosts: dict[str, None] = {}
    for name in ("registries", "registries.cache"):
        with contextlib.suppress(OSError):
            for line in Path(home(), "client", name).read_text().splitlines():
                hosts.update(dict.fromkeys(line.partition("#")[0].split()))
    return list(hosts)


def remember_registries(hosts: set[str]) -> None:
    known = set(known_registries())
    if hosts <= known:
        return
    lines = ["# Written by the program; yours is the file 'registries'."]
    lines += sorted(known | hosts)
    write(Path(home(), "client", "registries.cache"), "\n".join(lines).encode() + b"\n")


def _cache(store: str) -> Path:
    return Path(home(), "client", "cache", check_name(store))
