"""Child processes for tests that kill a process and read what it leaves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import BinaryIO


def begin(
    act: Callable[[int], None], silent: Sequence[int] = (2,)
) -> tuple[int, BinaryIO]:
    """Run *act* in a child. Return its process id, and a file with what it writes.

    *act* gets the descriptor to write to. Output of the child to the descriptors
    *silent* is dropped. It ends with status 0, or with 1 after an exception.
    """
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(listen)
            for descriptor in silent:
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            act(tell)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(tell)
    return child, os.fdopen(listen, "rb")
