"""Decides which of several bridges of a store mirrors a printer. Pure."""

from __future__ import annotations

import hashlib


def index(printer: str, of: int) -> int:
    """Return which of *of* bridges mirrors *printer*.

    It is the bridge with the highest digest. So if a bridge is added, no printer moves
    between the other bridges.
    """
    if of == 1:
        return 0
    return max(range(of), key=lambda each: _digest(f"{each}/{printer}"))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
