"""Paths of files, for any locale of the process. Pure."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def path_of(text: str) -> Path:
    """Return the path that *text* names, with `~` expanded.

    Klippy may run with an ASCII locale, in which Python cannot encode `düse`. The
    letters are then written as UTF-8, as by the other programs on the machine.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
        text = raw.decode(sys.getfilesystemencoding(), "surrogateescape")
    return Path(text).expanduser()


def shown(path: Path | str) -> str:
    """Return *path* as a text for people, which every encoder accepts."""
    return os.fsencode(str(path)).decode("utf-8", "replace")
