"""mKTL, a key and value protocol over ZeroMQ: clients and daemons."""

import importlib
from typing import Any

from . import config, meta, poll
from .core.wire import Payload
from .errors import (
    MalformedError,
    MktlError,
    NoAckError,
    NoReplyError,
    RefusedError,
    RemoteError,
)
from .files.environment import home
from .find import discover, get
from .item import Item
from .prefixes import Subscription, subscribe
from .server.daemon import Daemon
from .store import Store

__all__ = [
    "Daemon",
    "Item",
    "MalformedError",
    "MktlError",
    "NoAckError",
    "NoReplyError",
    "Payload",
    "RefusedError",
    "RemoteError",
    "Store",
    "Subscription",
    "config",
    "discover",
    "get",
    "home",
    "meta",
    "poll",
    "subscribe",
]

# Programs written for the reference use these; nobody else waits for them.
_LATER = frozenset({"begin", "json", "protocol", "weakref"})


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
