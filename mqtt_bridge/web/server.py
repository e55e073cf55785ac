"""Serves the page and its data, in its own thread with an event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import segno
from aiohttp import web

from mqtt_bridge.contract import Command, ContractError, Result
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Record
from mqtt_bridge.http_server import Routes
from mqtt_bridge.language import mark, tr
from mqtt_bridge.settings.model import Web
from mqtt_bridge.web import views
from mqtt_bridge.web.access import COOKIE, Access, is_public, needs_login
from mqtt_bridge.web.connections import WHOLE, Connections, Handler
from mqtt_bridge.web.logs import Logs
from mqtt_bridge.web.plain_routes import add_routes
from mqtt_bridge.web.streams import Stream, Streams, read

logger = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"  # the page's files

QUIET = 1.0  # seconds between two messages to a browser
WITHIN = 7.0  # seconds; the bridge itself gives up after 5 seconds
PART = 50  # printers that are read in one turn of the bridge
MOST_BODY = 16 * 1024  # the greatest size of a command, in bytes
MOST_ADDRESS = 1000  # characters of an address in a QR code
WRONG = 1.0  # seconds until the answer to a wrong token

NOTHING: Mapping[str, Routes] = MappingProxyType({})
Make = Callable[[Record, str], Command]

# The reasons why a request is refused.
FOREIGN = mark("This page is not served under the name {host}: see web.hosts.")
LOG_IN = mark("Please log in.")
FAILED = mark("It failed; the log of the bridge tells why.")
NO_TOKEN = mark("This is not the token.")
TOO_MANY = mark("Too many browsers follow this page already.")
READ_ONLY = mark("This page shows everything and changes nothing.")
NO_ANSWER = mark("The printer did not answer: look whether it is done.")
NO_TASK = mark("There is no task {task}.")
UNCHANGED = mark("Nothing was changed: {error}")
NO_ADDRESS = mark("A QR code needs an address that begins with http or https.")
STOPS = mark("The bridge stops. Nothing was changed.")


class Source(Protocol):
    """The bridge, as the page uses it."""

    @property
    def fleet(self) -> Fleet: ...

    @property
    def observers(self) -> list[Callable[[frozenset[str]], None]]: ...

    def call(self, function: Callable[[], Any]) -> Future[Any]: ...

    def ask(self, printer: str, task: str, make: Make) -> Future[Result | None]: ...


class WebServer:
    """Serves the page where *given* says, from `start` to `close`."""

    def __init__(
        self, source: Source, given: Web, plain: Mapping[str, Routes] = NOTHING
    ) -> None:
        """*plain* has other addresses that are served here, by their paths."""
        self._source = source
        self._plain = plain
        self._logs = Logs(lambda: source.fleet, self._ask, self._in_turn)
        self._address = given.listen or ("127.0.0.1", 0)
        self._access = Access(token=given.token, hosts=given.hosts)
        self._read_only = given.read_only
        self._tls = given.tls()
        self._prefix = given.prefix
        self._loop = asyncio.new_event_loop()
        self._changed: set[str] = set()
        self._failed: set[str] = set()  # printers that cannot be shown
        self._ring = asyncio.Event()
        self._streams = Streams()
        self._connections = Connections()
        self._started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._run, name="upkeep-web", daemon=True
        )

    def start(self) -> int:
        """Return the port. OSError: the address cannot be used."""
        self._thread.start()
        port = self._started.result()
        self._source.observers.append(self._observe)
        return port

    def close(self) -> None:
        with suppress(ValueError):
            self._source.observers.remove(self._observe)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    # The server's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=1.0
        )
        try:
            self._loop.run_until_complete(self._serve(runner))
        except OSError as error:
            self._started.set_exception(error)
        else:
            teller = self._loop.create_task(self._tell())
            self._loop.run_forever()
            teller.cancel()
            self._streams.end()
        finally:
            self._loop.run_until_complete(self._end(runner))
            self._loop.close()

    async def _end(self, runner: web.AppRunner) -> None:
        self._connections.close()
        await runner.cleanup()
        # Those of clients that left a moment ago, which aiohttp does not wait for.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, runner: web.AppRunner) -> None:
        await runner.setup()
        listen = self._connections.listen(runner, self._address, self._tls)
        self._started.set_result(await listen)

    def _application(self) -> web.Application:
        application = web.Application(
            middlewares=[self._connections.note, self._guard],
            client_max_size=MOST_BODY,
        )
        add = application.router
        for method, path, handler in (
            ("GET", "/page.json", self._options),
            ("GET", "/api/printers", self._printers),
            ("GET", "/api/events", self._events),
            ("GET", "/api/log", self._log),
            ("GET", "/api/history", self._history),
            ("GET", "/api/code", _code),
            ("POST", "/api/command", self._command),
            ("POST", "/api/login", self._login),
        ):
            add.add_route(method, self._prefix + path, handler)
        add_routes(application, self._prefix, self._plain)
        add.add_get(f"{self._prefix}/", self._index)
        add.add_static(f"{self._prefix}/", PAGE)
        return application

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        path = request.path.removeprefix(self._prefix)
        if not is_public(path) and not self._access.is_ours(request.host):
            return _refused(403, FOREIGN, host=request.host)
        if needs_login(path):
            cookie = request.cookies.get(COOKIE, "")
            header = request.headers.get("Authorization", "")
            if not self._access.admits(cookie, header):
                return _refused(401, LOG_IN)
        try:
            answer = await handler(request)
        except web.HTTPException:
            raise
        except (TimeoutError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("a request of the page failed")
            return _refused(500, FAILED)
        answer.headers.setdefault("Cache-Control", "no-cache")
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Referrer-Policy", "no-referrer")
        return answer

    async def _index(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / "index.html")

    async def _options(self, _request: web.Request) -> web.Response:
        return web.json_response({"source": "bridge", "read_only": self._read_only})

    async def _login(self, request: web.Request) -> web.Response:
        fields = await _fields(request)
        if not self._access.knows(str(fields.get("token", ""))):
            await asyncio.sleep(WRONG)
            return _refused(403, NO_TOKEN)
        answer = web.json_response({})
        answer.set_cookie(
            COOKIE,
            self._access.cookie,
            httponly=True,
            samesite="Strict",
            secure=self._tls is not None,
            path=f"{self._prefix}/",
            max_age=90 * 86400,
        )
        return answer

    # The page's data

    async def _printers(self, _request: web.Request) -> web.Response:
        slugs = await self._in_turn(lambda: list(self._source.fleet.printers))
        answer = web.json_response({"printers": await self._views(slugs)})
        answer.enable_compression()
        return answer

    async def _views(self, slugs: list[str]) -> list[views.Json]:
        """Read the printers, a part in each turn, so that no turn lasts long."""
        printers: list[views.Json] = []
        for first in range(0, len(slugs), PART):
            part = slugs[first : first + PART]
            printers += await self._in_turn(partial(self._part, part))
        return printers

    def _part(self, slugs: list[str]) -> list[views.Json]:
        printers, shown = self._source.fleet.printers, list[views.Json]()
        for slug in slugs:
            try:
                shown += [views.printer(printers[slug])] if slug in printers else []
            except Exception:
                # It costs no other printer its place, and the log one line.
                if slug not in self._failed:
                    logger.exception("page: printer %s is left out", slug)
                self._failed.add(slug)
        return shown

    async def _in_turn(self, function: Callable[[], Any]) -> Any:
        async with asyncio.timeout(WITHIN):
            return await asyncio.wrap_future(self._source.call(function))

    # Changes

    def _observe(self, printers: frozenset[str]) -> None:
        """Note in the bridge's turn which printers changed, and wake the loop."""
        if not self._streams:
            return
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._note, printers)

    def _note(self, printers: frozenset[str]) -> None:
        self._changed |= printers
        self._ring.set()

    async def _tell(self) -> None:
        while True:
            await self._ring.wait()
            self._ring.clear()
            slugs, self._changed = sorted(self._changed), set()
            try:
                changed = await self._views(slugs)
            except TimeoutError:
                self._changed |= set(slugs)
                self._ring.set()
            else:
                self._send(slugs, changed)
            await asyncio.sleep(QUIET)

    def _send(self, slugs: list[str], changed: list[views.Json]) -> None:
        present = {each["slug"] for each in changed}
        gone = [slug for slug in slugs if slug not in present]
        text = json.dumps({"changed": changed, "gone": gone})
        self._streams.send(f"data: {text}\n\n".encode())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = self._streams.open()
        if stream is None:
            return _refused(503, TOO_MANY)
        try:
            return await _follow(request, stream)
        finally:
            self._streams.close(stream)

    # Requests to printers

    async def _command(self, request: web.Request) -> web.Response:
        if self._read_only:
            return _refused(403, READ_ONLY)
        fields = await _fields(request)
        try:
            payload = json.dumps(fields.get("command")).encode()
            command = Command.decode(payload)
        except ContractError as error:
            return _refused(400, str(error))
        command = command._replace(by=command.by or "web")
        outcome = await self._ask(
            str(fields.get("printer", "")), str(fields.get("task", "")), command
        )
        if isinstance(outcome, web.Response):
            return outcome
        answer: dict[str, Any] = {"text": ""}
        if outcome.part is not None:
            answer["part"] = dict(outcome.part)
        return web.json_response(answer)

    async def _ask(
        self, printer: str, task: str, command: Command
    ) -> Result | web.Response:
        """Send a printer a command; an error becomes the reply to the browser."""

        def make(_record: Record, transaction: str) -> Command:
            return command._replace(transaction=transaction)

        try:
            async with asyncio.timeout(WITHIN):
                future = self._source.ask(printer, task, make)
                result = await asyncio.wrap_future(future)
        except TimeoutError:
            return _refused(504, NO_ANSWER)
        except KeyError:
            return _refused(404, NO_TASK, task=f"{printer}/{task}")
        except ValueError as error:
            return _refused(400, str(error))
        except (RuntimeError, OSError) as error:
            return _refused(409, UNCHANGED, error=str(error))
        # Only a bridge that stops ends a question without a result.
        return result or _refused(503, STOPS)

    async def _log(self, request: web.Request) -> web.Response:
        query = request.query
        return await self._logs.answer(query.get("printer", ""), query.get("task"))

    async def _history(self, request: web.Request) -> web.Response:
        command = Command("log", limit=1, history=True)
        query = request.query
        outcome = await self._ask(
            query.get("printer", ""), query.get("task", ""), command
        )
        if isinstance(outcome, web.Response):
            return outcome
        return web.json_response({"limits": outcome.history})


async def _follow(request: web.Request, stream: Stream) -> web.StreamResponse:
    """Send the browser what *stream* has, until it ends."""
    answer = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await answer.prepare(request)
    with suppress(ConnectionError):
        await answer.write(b"retry: 2000\n\n")
        while (message := await read(stream)) is not None:
            await answer.write(message)
    return answer


async def _code(request: web.Request) -> web.Response:
    """Return the QR code of an address, as a data URI."""
    address = request.query.get("address", "")
    if not address.startswith(("http://", "https://")) or len(address) > MOST_ADDRESS:
        return _refused(400, NO_ADDRESS)
    code = segno.make(address, micro=False)
    return web.json_response({"image": code.svg_data_uri(scale=6, light="white")})


async def _fields(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request. A foreign page's form has another type."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send application/json.")
    try:
        async with asyncio.timeout(WHOLE):
            fields = await request.json()
    except TimeoutError:
        text = f"The request did not arrive within {WHOLE:g} s."
        raise web.HTTPRequestTimeout(text=text) from None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise web.HTTPBadRequest(text="Send a JSON object.")
    return fields


def _refused(status: int, text: str, **fields: str) -> web.Response:
    """Return a refusal. *text* is a marked text, or the text of an error."""
    return web.json_response({"error": tr(text, **fields)}, status=status)
