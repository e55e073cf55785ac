"""mKTL, a key and value protocol over ZeroMQ: clients and daemons."""

from . import config, meta, poll
from .client import discover, get
from .daemon import Daemon
from .errors import (
    MalformedError,
    MktlError,
    NoAckError,
    NoReplyError,
    RefusedError,
    RemoteError,
)
from .item import Item
from .paths import home
from .store import Store
from .wire import Payload

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
