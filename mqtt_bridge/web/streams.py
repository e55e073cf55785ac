"""The browsers that follow the page, and the changes that wait for each of them."""

from __future__ import annotations

import asyncio

MOST = 100  # browsers that follow at once
BEHIND = 20  # messages that a slow browser may be behind

Stream = asyncio.Queue[bytes | None]  # None is the end


class Streams:
    """The thread of the event loop only; any may ask whether there are some."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def open(self) -> Stream | None:
        """Return a new stream, or None if there are too many."""
        if len(self._streams) >= MOST:
            return None
        stream: Stream = asyncio.Queue()
        self._streams.add(stream)
        return stream

    def close(self, stream: Stream) -> None:
        self._streams.discard(stream)

    def send(self, message: bytes) -> None:
        """Give *message* to all; the stream of a browser that is too slow ends."""
        for stream in list(self._streams):
            if stream.qsize() < BEHIND:
                stream.put_nowait(message)
            else:
                # The browser requests everything again when it connects again.
                self.close(stream)
                stream.put_nowait(None)

    def end(self) -> None:
        for stream in self._streams:
            stream.put_nowait(None)


async def read(stream: Stream) -> bytes | None:
    """Return the next message, or a comment if there is none for a long time.

    The comment shows a proxy and the browser that the stream still works.
    """
    try:
        async with asyncio.timeout(20.0):
            return await stream.get()
    except TimeoutError:
        return b": \n\n"
