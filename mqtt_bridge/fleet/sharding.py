"""Decides which of several bridges of a store mirrors a printer. Pure."""

from __future__ import annotations

import hashlib


def index(printer: str, of: int) -> int:
    """Return which of *of* bridges has *printer*.

    The highest digest wins: with one bridge more only its own printers move.
    """
    if of == 1:
        return 0
    return max(range(of), key=lambda each: _digest(f"{each}/{printer}"))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
