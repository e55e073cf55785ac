"""The keys to whose values somebody may have subscribed. Pure."""

from __future__ import annotations

_MOST = 100_000  # first parts that are remembered


class SubscribedKeys:
    """Knows the first parts of the keys in all subscriptions that there have been.

    The first part of ``voron.rails.used`` is ``voron``. A subscription to one key
    counts for all keys with the same first part: a closer check would take as long as
    ZeroMQ's own. A subscription counts even after its end: ZeroMQ reports an end for
    whoever asks for it, and another subscriber may still need the values.
    """

    def __init__(self) -> None:
        # None: somebody may have subscribed to any key.
        self.first_parts: set[str] | None = set()

    def note(self, message: bytes) -> None:
        """Handle a message from an XPUB: \\1 and a topic, or anything else."""
        if message[:1] != b"\1" or self.first_parts is None:
            return
        _, _, key = message[1:].decode(errors="surrogateescape").partition(".")
        first, dot, _ = key.partition(".")
        if dot and len(self.first_parts) < _MOST:
            self.first_parts.add(first)
        else:
            self.first_parts = None
