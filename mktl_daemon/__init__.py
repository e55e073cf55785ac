"""mKTL, a key and value protocol over ZeroMQ: clients and daemons."""

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
    "config",
    "discover",
    "get",
    "home",
    "meta",
    "poll",
]
