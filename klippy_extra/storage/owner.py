"""The lock of the Klippy that uses a store. The kernel frees it when that ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from ..language import tr

MOST = 4096  # bytes of the owner's description
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


class OccupiedError(Exception):
    """Another process has the store. The text names it."""


class Owner:
    """A lock beside the store. *who* is this process's description."""

    def __init__(self, store: Path, who: str) -> None:
        self._path = f"{store}.lock"
        self._who = who
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock, or keep it.

        OccupiedError: another process has it. OSError: it cannot be taken now, because
        of a read-only disk, or a thread of the last Klippy that still saves.
        """
        if self._file is not None:
            return
        # At the first start of all, there is no folder yet.
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(file, MOST).decode("utf-8", "replace").strip()
            os.close(file)
            if error.errno not in _HELD:
                return  # this file system does not support locks
            if holder.split(",")[0] == _process():
                raise OSError(
                    tr("the last save of this process is not done yet")
                ) from None
            raise OccupiedError(
                tr(
                    "another Klippy uses it ({who})",
                    who=holder or tr("its name is not known"),
                )
            ) from None
        self._file = file
        # On a full disk the description may be missing, but the lock still works.
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.write(file, f"{_process()}, {self._who}\n".encode("utf-8", "replace"))

    def leave(self) -> None:
        """Free the lock. The file stays, since another process may wait for it."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _process() -> str:
    return f"process {os.getpid()}"
