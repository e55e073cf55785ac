"""How many files and connections the process may still open."""

from __future__ import annotations

import os

_FEW = 4096  # a daemon whose limit is lower turns clients away before it is reached


def limit() -> int:
    """Return the highest number of open files, or more than any."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 2**31
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft


def are_few() -> bool:
    return limit() < _FEW


def are_short() -> bool:
    """Tell whether the rest should be kept for what the process itself opens.

    The system gives out the lowest number that is free, so that tells how many are not.
    """
    most = limit()
    try:
        descriptor = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return True
    os.close(descriptor)
    return descriptor >= most - min(64, most // 4)
