"""The API socket: JSON requests that end in 0x03, and the endpoints of extras.

Moonraker talks to Klippy in this way. A test may call `WebHooks.request` instead.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from .gcode import CommandError
from .plain import encode

if TYPE_CHECKING:
    from .host import Printer

logger = logging.getLogger(__name__)

REQUIRED = object()
END = b"\x03"
SUBSCRIPTION_INTERVAL = 0.25


class WebRequestError(CommandError):
    """A request was refused."""

    def to_dict(self) -> dict[str, str]:
        return {"error": "WebRequestError", "message": str(self)}


class WebRequest:
    error = WebRequestError

    def __init__(
        self, method: str, params: dict[str, Any], connection: Connection | None
    ) -> None:
        self._method = method
        self._params = params
        self._connection = connection
        self.response: dict[str, Any] | None = None

    def get_method(self) -> str:
        return self._method

    def get_client_connection(self) -> Connection | None:
        return self._connection

    def get(
        self,
        item: str,
        default: Any = REQUIRED,
        types: tuple[type, ...] | None = None,
    ) -> Any:
        if item not in self._params:
            if default is REQUIRED:
                raise self.error(f"Argument '{item}' is missing")
            return default
        value = self._params[item]
        if types is not None and type(value) not in types:
            raise self.error(f"Argument '{item}' has the wrong type")
        return value

    def get_str(self, item: str, default: Any = REQUIRED) -> Any:
        return self.get(item, default, (str,))

    def get_int(self, item: str, default: Any = REQUIRED) -> Any:
        return self.get(item, default, (int,))

    def get_float(self, item: str, default: Any = REQUIRED) -> float:
        return float(self.get(item, default, (int, float)))

    def get_dict(self, item: str, default: Any = REQUIRED) -> Any:
        return self.get(item, default, (dict,))

    def send(self, data: dict[str, Any]) -> None:
        if self.response is not None:
            raise self.error("A request has one answer")
        self.response = data


class WebHooks:
    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._endpoints: dict[str, Callable[[WebRequest], Any]] = {}
        self._remote: dict[str, dict[Connection, dict[str, Any]]] = {}
        self._subscribed: dict[Connection, _Subscription] = {}
        for path, callback in (
            ("list_endpoints", self._list_endpoints),
            ("info", self._info),
            ("emergency_stop", self._emergency_stop),
            ("register_remote_method", self._register_remote_method),
            ("gcode/script", self._run_script),
            ("gcode/help", self._help),
            ("gcode/restart", lambda request: self._run("RESTART")),
            ("gcode/firmware_restart", lambda request: self._run("FIRMWARE_RESTART")),
            ("gcode/subscribe_output", self._subscribe_output),
            ("objects/list", self._list_objects),
            ("objects/query", self._query),
            ("objects/subscribe", self._subscribe),
        ):
            self.register_endpoint(path, callback)
        printer.get_reactor().register_timer(self._publish, 0.0)
        address = printer.get_start_args().get("apiserver")
        if address is not None:
            Server(printer, self, address)

    def register_endpoint(
        self, path: str, callback: Callable[[WebRequest], Any]
    ) -> None:
        if path in self._endpoints:
            raise WebRequestError(f"Endpoint '{path}' is taken already")
        self._endpoints[path] = callback

    def get_status(self, eventtime: float) -> dict[str, Any]:
        message, state = self._printer.get_state_message()
        return {"state": state, "state_message": message}

    def request(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        connection: Connection | None = None,
    ) -> dict[str, Any]:
        """Return the reply to one request: `{"result": ...}` or `{"error": ...}`."""
        web_request = WebRequest(method, params or {}, connection)
        try:
            self._endpoints.get(method, _nothing_there)(web_request)
            encode(web_request.response)
        except CommandError as error:
            return {"error": WebRequestError(str(error)).to_dict()}
        except Exception as error:
            logger.exception("endpoint %s failed", method)
            self._printer.invoke_shutdown(f"Internal error in the endpoint {method}")
            return {"error": WebRequestError(str(error)).to_dict()}
        return {"result": web_request.response or {}}

    def call_remote_method(self, method: str, **kwargs: Any) -> None:
        """Call a method that a client registered. Its result is unknown."""
        connections = self._remote.get(method, {})
        listening = {c: t for c, t in connections.items() if not c.is_closed()}
        self._remote[method] = listening
        if not listening:
            raise CommandError(f"Nobody has registered the remote method '{method}'")
        for connection, template in listening.items():
            connection.send({"params": kwargs, **template})

    # Endpoints

    def _list_endpoints(self, web_request: WebRequest) -> None:
        web_request.send({"endpoints": list(self._endpoints)})

    def _info(self, web_request: WebRequest) -> None:
        args = self._printer.get_start_args()
        web_request.send(
            {
                **self.get_status(0.0),
                "hostname": socket.gethostname(),
                "process_id": os.getpid(),
                "software_version": args["software_version"],
                "config_file": args["config_file"],
                "cpu_info": args["cpu_info"],
            }
        )

    def _emergency_stop(self, web_request: WebRequest) -> None:
        self._printer.invoke_shutdown("Shutdown due to webhooks request")

    def _register_remote_method(self, web_request: WebRequest) -> None:
        connection = web_request.get_client_connection()
        if connection is not None:
            method = web_request.get_str("remote_method")
            template = web_request.get_dict("response_template")
            self._remote.setdefault(method, {})[connection] = template

    def _run_script(self, web_request: WebRequest) -> None:
        self._run(web_request.get_str("script"))

    def _run(self, script: str) -> None:
        self._printer.lookup_object("gcode").run_script(script)

    def _subscribe_output(self, web_request: WebRequest) -> None:
        connection = web_request.get_client_connection()
        if connection is None:
            return
        template = web_request.get_dict("response_template", {})
        self._printer.lookup_object("gcode").register_output_handler(
            lambda line: connection.send({**template, "params": {"response": line}})
        )

    def _help(self, web_request: WebRequest) -> None:
        web_request.send(self._printer.lookup_object("gcode").get_command_help())

    def _list_objects(self, web_request: WebRequest) -> None:
        names = [
            name
            for name, obj in self._printer.lookup_objects()
            if hasattr(obj, "get_status")
        ]
        web_request.send({"objects": names})

    def _query(self, web_request: WebRequest) -> None:
        wanted = web_request.get_dict("objects")
        eventtime = self._printer.get_reactor().monotonic()
        web_request.send(
            {"eventtime": eventtime, "status": self._status_of(wanted, eventtime)}
        )

    def _subscribe(self, web_request: WebRequest) -> None:
        self._query(web_request)
        connection = web_request.get_client_connection()
        if connection is not None and web_request.response is not None:
            self._subscribed[connection] = _Subscription(
                web_request.get_dict("objects"),
                web_request.get_dict("response_template", {}),
                web_request.response["status"],
            )

    def _status_of(
        self, wanted: dict[str, list[str] | None], eventtime: float
    ) -> dict[str, dict[str, Any]]:
        status: dict[str, dict[str, Any]] = {}
        with self._printer.get_reactor().assert_no_pause():
            for name, fields in wanted.items():
                obj = self._printer.lookup_object(name, None)
                if not hasattr(obj, "get_status"):
                    status[name] = {}
                    continue
                known = obj.get_status(eventtime)
                names = list(known) if fields is None else fields
                status[name] = {field: known.get(field) for field in names}
        return status

    def _publish(self, eventtime: float) -> float:
        for connection, subscription in list(self._subscribed.items()):
            if connection.is_closed():
                del self._subscribed[connection]
                continue
            status = self._status_of(subscription.wanted, eventtime)
            changed = subscription.changes(status)
            if changed:
                params = {"eventtime": eventtime, "status": changed}
                connection.send({**subscription.template, "params": params})
        return eventtime + SUBSCRIPTION_INTERVAL


def _nothing_there(web_request: WebRequest) -> None:
    raise WebRequestError(f"There is no endpoint '{web_request.get_method()}'")


class _Subscription:
    def __init__(
        self,
        wanted: dict[str, list[str] | None],
        template: dict[str, Any],
        sent: dict[str, dict[str, Any]],
    ) -> None:
        self.wanted = wanted
        self.template = template
        self._sent = sent

    def changes(self, status: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return what differs from the last update.

        An object that is changed in place never differs.
        """
        changed = {}
        for name, fields in status.items():
            before = self._sent.get(name, {})
            news = {
                k: v for k, v in fields.items() if k not in before or before[k] != v
            }
            if news:
                changed[name] = news
        self._sent = status
        return changed


class Server:
    """A unix socket to which clients connect."""

    def __init__(self, printer: Printer, webhooks: WebHooks, address: str) -> None:
        self._printer = printer
        self._webhooks = webhooks
        self._connections: list[Connection] = []
        with contextlib.suppress(FileNotFoundError):
            Path(address).unlink()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        self._socket.bind(address)
        self._socket.listen()
        self._file = printer.get_reactor().register_fd(
            self._socket.fileno(), self._accept
        )
        printer.register_event_handler("klippy:disconnect", self._close)

    def _accept(self, eventtime: float) -> None:
        with contextlib.suppress(OSError):
            connected, _ = self._socket.accept()
            self._connections.append(
                Connection(self._printer, self._webhooks, connected)
            )

    def _close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._printer.get_reactor().unregister_fd(self._file)
        self._socket.close()


class Connection:
    """The connection of one client."""

    def __init__(
        self, printer: Printer, webhooks: WebHooks, connected: socket.socket
    ) -> None:
        self._printer = printer
        self._webhooks = webhooks
        self._socket: socket.socket | None = connected
        connected.settimeout(1.0)
        self._partial = b""
        self._file = printer.get_reactor().register_fd(connected.fileno(), self._read)

    def is_closed(self) -> bool:
        return self._socket is None

    def close(self) -> None:
        if self._socket is not None:
            self._printer.get_reactor().unregister_fd(self._file)
            self._socket.close()
            self._socket = None

    def send(self, data: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            message = encode(data)
        except (TypeError, ValueError) as error:
            # Klippy does not survive values that JSON cannot hold, and neither does
            # this.
            logger.exception("json encoding error")
            self._printer.invoke_shutdown(f"json encoding error: {error}")
            return
        try:
            self._socket.sendall(message + END)
        except OSError:
            self.close()

    def _read(self, eventtime: float) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *requests, self._partial = (self._partial + data).split(END)
        for request in requests:
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        try:
            message = json.loads(request)
            method, params = message["method"], message.get("params", {})
        except (ValueError, KeyError, TypeError):
            logger.warning("webhooks: not a request: %r", request)
            return
        answer = self._webhooks.request(method, params, self)
        if message.get("id") is not None:
            self.send({"id": message["id"], **answer})
