"""`ref`: a weak reference to anything, bound methods included."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


def ref(thing: Any) -> Callable[[], Any]:
    """Return a weak reference to *thing*; a method's lives as long as its object."""
    if hasattr(thing, "__self__") and hasattr(thing, "__func__"):
        return weakref.WeakMethod(thing)
    return weakref.ref(thing)
