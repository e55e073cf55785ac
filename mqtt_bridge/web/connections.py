"""Bounds the connections to the page: whoever sends nothing keeps nobody out.

Each connection costs the process a file descriptor, and so does its broker's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

MOST = 200  # connections at once, of which a hundred may follow the page
WHOLE = 10.0  # seconds for the body of a request, and for a TLS handshake

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Connections:
    """Of one page. The thread of its event loop only."""

    def __init__(self) -> None:
        # Connections whose request is being answered.
        self._served: set[web.RequestHandler] = set()
        self._listening: asyncio.Server | None = None

    async def listen(
        self,
        runner: web.AppRunner,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
    ) -> int:
        """Serve *runner*, which is set up, at *address*; return the port. OSError."""
        server = runner.server
        assert server is not None  # noqa: S101 - it is set up

        def accept() -> web.RequestHandler:
            self._make_room(server)
            return server()

        self._listening = await asyncio.get_running_loop().create_server(
            accept, *address, ssl=tls, ssl_handshake_timeout=WHOLE if tls else None
        )
        return int(self._listening.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accept no more connections."""
        if self._listening is not None:
            self._listening.close()

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Take note that a connection has a request, until *handler* has answered."""
        self._served.add(request.protocol)
        try:
            return await handler(request)
        finally:
            self._served.discard(request.protocol)

    def _make_room(self, server: web.Server) -> None:
        """Close the oldest connections if there are too many for one more."""
        connections = [  # oldest first
            each
            for each in server.connections
            if each.transport is not None and not each.transport.is_closing()
        ]
        connections.sort(key=self._served.__contains__)  # the silent ones first
        for each in connections[: max(0, len(connections) - MOST + 1)]:
            assert each.transport is not None  # noqa: S101 - it was just looked at
            # Not `close`, which waits for a client that does not read its answer.
            each.transport.abort()
