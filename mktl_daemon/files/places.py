"""The files of a daemon: its items, its UUID, its ports, and its lock."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import uuid
from pathlib import Path

from mktl_daemon.core.catalog import check_name

from .atomic import make_folder, sweep, write
from .environment import home

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)

_logger = logging.getLogger(__name__)


def items_file(store: str, alias: str) -> Path:
    """Return where the items of a daemon are described; it need not exist."""
    return Path(
        home(), "daemon", "store", check_name(store), f"{check_name(alias)}.json"
    )


def identity(store: str, alias: str) -> str:
    """Return the UUID of a daemon; make and keep one if there is none."""
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
    sweep(folder)
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
    """Another process is the daemon; the text is its own description."""


class Lock:
    """Held by the process that is a daemon; the system frees it when that ends.

    `Taken`: another process holds it.
    """

    def __init__(self, store: str, alias: str) -> None:
        path = items_file(store, alias).with_suffix(".lock")
        make_folder(path.parent)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
        with contextlib.suppress(OSError):  # another user's
            path.chmod(0o664)
        try:
            if fcntl is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD:
                # This file system has no locks; the ports still show a second process.
                _logger.warning(
                    "%s cannot be locked (%s): only its ports keep a second daemon "
                    "with this name away",
                    path, error,
                )  # fmt: skip
                return
            os.close(self._descriptor)
            raise Taken(path.read_text()) from error

    def describe(self, text: str) -> None:
        """Write *text* for a second process that wants the lock."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)


def _ports(store: str) -> Path:
    return Path(home(), "daemon", "port", check_name(store))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
