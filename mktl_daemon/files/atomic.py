"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import stat
import tempfile
import time
from pathlib import Path

from mktl_daemon.core.wire import Buffer

_TEMPORARY = re.compile(r"\.[a-z0-9_]{8}")  # the name of a file while `write` writes it
_STALE = 60.0  # seconds after which no process still writes the file


def make_folder(path: Path) -> None:
    """Make a folder and its parents; a setgid folder gives its group to new ones.

    PermissionError names the folder, the user, and what helps.
    """
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    try:
        path.mkdir(mode=0o775, exist_ok=True)
    except PermissionError as error:
        raise _unwritable(path.parent, error) from error
    if path.parent.stat().st_mode & stat.S_ISGID:
        with contextlib.suppress(OSError):
            path.chmod(0o2775)  # although the umask removes these bits


def _unwritable(folder: Path, error: PermissionError) -> PermissionError:
    return PermissionError(
        error.errno,
        f"{folder} cannot be written by the user {_user()}: let one of this user's "
        "groups write there (chgrp -R GROUP, chmod -R g+rwXs), or choose another home "
        "with MKTL_HOME",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "of this process"


def write(path: Path, data: Buffer, sync: bool = True) -> None:
    """Write a file whole or not at all: to a new one, synced, renamed.

    Without *sync* a power cut may leave it empty.
    """
    make_folder(path.parent)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    except PermissionError as error:
        raise _unwritable(path.parent, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        Path(name).chmod(0o664)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Remove the unfinished files of processes that were killed while they wrote."""
    for path in folder.glob(".*"):
        with contextlib.suppress(FileNotFoundError):
            age = time.time() - path.stat().st_mtime
            if age > _STALE and path.is_file() and _TEMPORARY.fullmatch(path.name):
                path.unlink()


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk; do nothing if it does not exist."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
