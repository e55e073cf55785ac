"""Errors between a client and a daemon, divided by what the caller can do."""


class MktlError(Exception):
    """The base class of all errors that this package raises on purpose."""


class MalformedError(MktlError, ValueError):
    """Bytes that are not an mKTL message."""


class NoAckError(MktlError, TimeoutError):
    """No daemon acknowledged the request: it is not running."""


class NoReplyError(MktlError, TimeoutError, RuntimeError):
    """The request was acknowledged and not answered in time."""


class RemoteError(MktlError, RuntimeError):
    """The other side answered with an error.

    *type* and *text* are its exception's (``ValueError``, ``no such enumerator``).
    """

    def __init__(self, doing: str, kind: str, text: str, debug: str = "") -> None:
        super().__init__(f"{doing} failed: {kind}: {text}")
        self.type = kind
        self.text = text
        self.debug = debug


class RefusedError(MktlError, RuntimeError):
    """This daemon may not start: a registry refuses it, or it runs already."""
