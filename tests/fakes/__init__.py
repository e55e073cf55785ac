"""What the tests use in the place of a printer, a board, a broker and a browser."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .virtual_printer import EXTRA, GEAR, MACHINE, VirtualPrinter

__all__ = ["EXTRA", "GEAR", "MACHINE", "VirtualPrinter"]


def __getattr__(name: str) -> Any:
    """Import the printer, and pytest with it, only when a test needs it.

    A printer or board in its own process would start twice as slowly.
    """
    if name not in __all__:
        raise AttributeError(name)
    return getattr(importlib.import_module("tests.fakes.virtual_printer"), name)
