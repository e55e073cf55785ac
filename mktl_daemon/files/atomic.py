"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path

from mktl_daemon.core.wire import Buffer

_TEMPORARY = re.compile(r"\.[a-z0-9_]{8}")  # what `write` calls a file in the making
_STALE = 60.0  # seconds after which nobody is writing any more


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


def sweep(folder: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    for path in folder.glob(".*"):
        with contextlib.suppress(FileNotFoundError):
            age = time.time() - path.stat().st_mtime
            if age > _STALE and path.is_file() and _TEMPORARY.fullmatch(path.name):
                path.unlink()
