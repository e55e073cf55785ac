"""mKTL, a key and value protocol over ZeroMQ: clients and daemons."""

import importlib
from typing import TYPE_CHECKING, Any

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
from .store import Store

if TYPE_CHECKING:
    from .server.daemon import Daemon

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
    if name == "Daemon":  # a client does not wait for it
        return importlib.import_module(f"{__name__}.server.daemon").Daemon
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
