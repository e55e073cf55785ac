"""Stand-ins for what the tests have not: a printer, a board, a broker, a browser."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .virtual_printer import EXTRA, GEAR, MACHINE, VirtualPrinter

__all__ = ["EXTRA", "GEAR", "MACHINE", "VirtualPrinter"]


def __getattr__(name: str) -> Any:
    """Import the printer, and pytest with it, only for a test.

    A printer or board that is a process of its own would begin twice as slowly.
    """
    if name not in __all__:
        raise AttributeError(name)
    return getattr(importlib.import_module("tests.fakes.virtual_printer"), name)
