"""The bridge's two small web servers, for the links behind buttons and for metrics.

Each of them runs only if the settings have its address.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

HttpReply = tuple[int, str, bytes]  # the status, the content type, the body
PLAIN = "text/plain; charset=utf-8"
NAME = "upkeep-bridge"
WHOLE = 10.0  # seconds in which a client must send its request and read the answer
MOST = 20  # connections at once, each with a thread; a new one ends the oldest


class Routes(NamedTuple):
    """The functions that answer GET and POST, by path."""

    get: Callable[[str], HttpReply]
    post: Callable[[str], HttpReply]


def serve(
    routes: Routes, address: tuple[str, int], name: str, option: str
) -> HttpServer:
    """Serve *routes*. OSError: the address of *option* cannot be used."""
    try:
        return HttpServer(address, routes, name)
    except OSError as error:
        raise OSError(f"{option}: {address[0]}:{address[1]}: {error}") from None


class HttpServer:
    """Serves *routes* at *address* until `close`. OSError: the port is taken."""

    def __init__(self, address: tuple[str, int], routes: Routes, name: str) -> None:
        kind = type("Server", (_Server,), {"address_family": family(address[0])})
        self._server = kind(address, _handler(routes))
        self.port = int(self._server.server_address[1])
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target in (self._serve, self._server.watch)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.end()
        self._server.server_close()
        for thread in self._threads:
            thread.join(2.0)

    def _serve(self) -> None:
        self._server.serve_forever(0.1)


def family(host: str) -> socket.AddressFamily:
    """Return the family of an address to listen at. With a colon it is IPv6."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Server(ThreadingHTTPServer):
    """Ends each connection after *WHOLE* seconds, even if bytes still arrive."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._lock = threading.Condition()
        self._open: dict[socket.socket, float] = {}  # with their starts, oldest first
        self._ended = False
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            while len(self._open) >= MOST:
                # Twenty slow connections must not keep out a real request.
                _cut(self._open, next(iter(self._open)))
            self._open[request] = time.monotonic()
            self._lock.notify()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def watch(self) -> None:
        """Cut off connections that last too long, until `end` is called."""
        with self._lock:
            while not self._ended:
                now = time.monotonic()
                for request, began in list(self._open.items()):
                    if now - began >= WHOLE:
                        _cut(self._open, request)
                oldest = next(iter(self._open.values()), None)
                self._lock.wait(None if oldest is None else oldest + WHOLE - now)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            self._lock.notify()

    def handle_error(self, *_: Any) -> None:
        # The client has left. By default, Python would write a traceback to stderr.
        logger.debug("http: a connection broke off: %r", sys.exception())


def _cut(connections: dict[socket.socket, float], request: socket.socket) -> None:
    """End a connection. Its thread then closes it."""
    del connections[request]
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        logger.debug("http: a connection had ended already")


def _handler(routes: Routes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = NAME
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(routes.get)

        def do_POST(self) -> None:
            self._answer(routes.post)

        def _answer(self, route: Callable[[str], HttpReply]) -> None:
            try:
                status, kind, body = route(self.path)
            except Exception:
                logger.exception("a web request was dropped")
                status, kind, body = 500, PLAIN, b"failed: the log tells why\n"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            # The path has the signature, so it must not be logged. An unreadable
            # request has no command.
            logger.debug("http: %s", getattr(self, "command", None) or "no request")

    return Handler
