"""The bridge's two small web servers: links behind buttons, and metrics.

Neither is there unless the settings ask for it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

HttpReply = tuple[int, str, bytes]  # status, content type, body
PLAIN = "text/plain; charset=utf-8"
IDLE = 5.0  # seconds without a word from a client
MOST = 20  # connections at once, each with a thread; one more is closed at once


class Routes(NamedTuple):
    """What answers a GET and a POST, by the path."""

    get: Callable[[str], HttpReply]
    post: Callable[[str], HttpReply]


class HttpServer:
    """Serves *routes* at *address* until `close`. OSError: the port is taken."""

    def __init__(self, address: tuple[str, int], routes: Routes, name: str) -> None:
        self._server = _Server(address, _handler(routes))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=name, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.Semaphore(MOST)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            logger.debug("web: too many connections: one more was closed")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_: Any) -> None:
        # Whoever asked has gone; the default is a traceback on stderr.
        logger.debug("web: a connection broke off: %r", sys.exception())


def _handler(routes: Routes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE
        server_version = "upkeep-bridge"
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
            # The path has the signature: it goes to no log. Without a request there
            # is no command.
            logger.debug("web: %s", getattr(self, "command", None) or "no request")

    return Handler
