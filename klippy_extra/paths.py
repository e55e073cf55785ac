"""Paths of files, whatever the locale of the process is. Pure."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def path_of(text: str) -> Path:
    """Return the path that *text* names, with `~` expanded.

    Klippy may run under an ASCII locale, in which Python cannot encode `düse`: the
    letters are written as UTF-8 then, as everybody else on the machine does.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
        text = raw.decode(sys.getfilesystemencoding(), "surrogateescape")
    return Path(text).expanduser()


def shown(path: Path | str) -> str:
    """Return *path* as people write it: text that every encoder takes."""
    return os.fsencode(str(path)).decode("utf-8", "replace")
