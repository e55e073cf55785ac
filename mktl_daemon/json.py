"""`dumps` (to bytes) and `loads`, as messages are written and read."""

from .core.wire import dumps, loads

__all__ = ["dumps", "loads"]
