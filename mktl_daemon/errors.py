"""The errors between a client and a daemon; see `mktl_daemon.core.errors`."""

from .core.errors import (
    MalformedError,
    MktlError,
    NoAckError,
    NoReplyError,
    RefusedError,
    RemoteError,
)

__all__ = [
    "MalformedError",
    "MktlError",
    "NoAckError",
    "NoReplyError",
    "RefusedError",
    "RemoteError",
]
