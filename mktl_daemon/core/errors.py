"""What can go wrong between a client and a daemon, named for what the caller can do."""


class MktlError(Exception):
    """The root of everything raised on purpose by this package."""


class MalformedError(MktlError, ValueError):
    """Bytes that are not an mKTL message."""


class NoAckError(MktlError, TimeoutError):
    """Nobody acknowledged the request: the daemon is not there."""


class NoReplyError(MktlError, TimeoutError, RuntimeError):
    """The request was acknowledged and not answered in time."""


class RemoteError(MktlError, RuntimeError):
    """The other side answered with an error.

    *type* and *text* are its words (``ValueError``, ``no such enumerator``).
    """

    def __init__(self, doing: str, kind: str, text: str, debug: str = "") -> None:
        super().__init__(f"{doing} failed: {kind}: {text}")
        self.type = kind
        self.text = text
        self.debug = debug


class RefusedError(MktlError, RuntimeError):
    """A registry, or a daemon that already runs, does not let this one start."""
