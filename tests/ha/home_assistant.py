"""A real Home Assistant as a process, and the requests to its API."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests import programs
from tests.fakes.mosquitto import free_port
from tests.ha.websocket import WebSocket
from tests.system.forks import Forked, ForkServer

ROOT = Path(__file__).parents[2]
BLUEPRINTS = ROOT / "integration" / "blueprints" / "automation"
# Returns the server that forks the version in this folder.
Forks = Callable[[Path], ForkServer]
PATIENCE = 30.0
START = 240.0

# The default configuration, without the parts that search for hardware or use the
# internet.
CONFIGURATION = """\
homeassistant:
  name: Home
  unit_system: metric
  time_zone: UTC
  country: GB
  currency: EUR
{http}frontend:
config:
history:
logbook:
energy:
my:
mobile_app:
recorder:
  commit_interval: 1
logger:
  default: warning
  logs:
    # Optional native libraries that a test has no use for.
    haffmpeg: critical
    homeassistant.components.camera.img_util: critical
    aiohttp_fast_zlib: error
conversation:
automation: !include automations.yaml
script: !include scripts.yaml
input_boolean:
  maintained:
    name: Maintained elsewhere
"""


def until(what: Callable[[], Any], about: str = "", timeout: float = PATIENCE) -> Any:
    """Return the value of *what* once it is true.

    Raises AssertionError with *about* at the timeout.
    """
    begin = time.monotonic()
    while not (value := what()):
        is_late = time.monotonic() >= begin + timeout
        assert not is_late, f"not within {timeout:.0f} s: {about}"
        programs.pause(begin)
    return value


def amount(wanted: float) -> Callable[[str | None], bool]:
    """Return a function that compares a state with this number."""

    def right(state: str | None) -> bool:
        return state not in (None, "unknown", "unavailable") and float(state) == wanted

    return right


def shown(schema: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of a form before a user types anything."""
    values: dict[str, Any] = {}
    for field in schema:
        name, selector = field["name"], field.get("selector", {})
        if field.get("type") == "expandable":
            values[name] = shown(field["schema"])
        elif "default" in field:
            values[name] = field["default"]
        elif field.get("required") and "boolean" in selector:
            values[name] = False
        elif field.get("required") and "select" in selector:
            first = selector["select"]["options"][0]
            values[name] = first["value"] if isinstance(first, dict) else first
    return values


class HomeAssistant:
    """One version, with a folder of its own."""

    def __init__(
        self, environment: Path, folder: Path, broker: int, forks: Forks
    ) -> None:
        self.environment, self.folder, self._broker = environment, folder, broker
        self._forks = forks
        self.version = (environment / "version").read_text().strip()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._socket: WebSocket | None = None
        self._number = 0
        self._last_request = 0.0
        self.woken: list[str] = []  # entities that a test has enabled
        self._configure()

    # Start and end

    def start(self) -> None:
        self.launch()
        self.ready()

    def launch(self) -> None:
        """Start in a process of the fork server, which has imported everything."""
        server = self._forks(self.environment)
        arguments = [str(self.folder), *self._arguments()]
        self._process = server.start(arguments, {}, self.folder / "output")

    def launch_as_users_do(self) -> None:
        """Start by `python -m homeassistant`."""
        variables = dict(os.environ, SHARED=str(self.folder))
        # With this, it would start twice as slowly.
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    self.environment / "python",
                    "-m",
                    "homeassistant",
                    *self._arguments(),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=variables,
                start_new_session=True,
            )

    def _arguments(self) -> list[str]:
        # Without the second one it would install what it only might import.
        return ["--config", str(self.folder), "--skip-pip"]

    def ready(self) -> None:
        self._await(lambda: self.http("GET", "/manifest.json"))
        if not self.token:
            self.token = self._onboard()
        self._await(lambda: self.http("GET", "/api/config")["state"] == "RUNNING")
        if not self._entry("mqtt"):
            self.flow("mqtt", {"broker": "127.0.0.1", "port": self._broker})

    def speak(self, protocol: str) -> None:
        """Reconfigure MQTT to this protocol as a user does: "3.1.1" or "5"."""
        (entry,) = [e for e in self.ask("config_entries/get") if e["domain"] == "mqtt"]
        path = "/api/config/config_entries/flow"
        begin = {"handler": "mqtt", "entry_id": entry["entry_id"]}
        if self.version < "2026":
            begin["show_advanced_options"] = True
        step = self.http("POST", path, begin)
        address = {"broker": "127.0.0.1", "port": self._broker}
        while step["type"] == "form":
            assert not step["errors"], step["errors"]
            fields = {each["name"] for each in step["data_schema"]}
            wanted = {"protocol": protocol, "advanced_options": True}
            answers = {name: wanted[name] for name in wanted if name in fields}
            filled = {**shown(step["data_schema"]), **address, **answers}
            step = self.http("POST", f"{path}/{step['flow_id']}", filled)
        assert step["reason"] == "reconfigure_successful", step

    def remove_device(self, device: dict[str, Any]) -> None:
        """Delete a device as a user does on its page.

        Raises AssertionError if this is refused.
        """
        if self.version >= "2026":
            self.ask("config/device_registry/remove", device_id=device["id"])
            return
        (entry,) = device["config_entries"]
        self.ask(
            "config/device_registry/remove_config_entry",
            config_entry_id=entry,
            device_id=device["id"],
        )

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def _await(self, ready: Callable[[], Any]) -> None:
        def is_loaded() -> Any:
            assert self._process is not None
            assert self._process.poll() is None, self.output()
            with contextlib.suppress(OSError):
                return ready()

        until(is_loaded, f"Home Assistant {self.version}", START)

    def output(self) -> str:
        return (self.folder / "output").read_text()[-4000:]

    def missing(self) -> list[str]:
        """Return the modules that Home Assistant wanted and did not have."""
        text = (self.folder / "output").read_text()
        return sorted(set(re.findall(r"No module named '([^']+)'", text)))

    def _configure(self) -> None:
        storage = self.folder / ".storage"
        storage.mkdir(parents=True)
        kept = json.loads((self.environment / "http.json").read_text())
        http = f"http:\n  server_host: 127.0.0.1\n  server_port: {self.port}\n"
        if kept is not None:
            http = ""
            listen = {"server_host": ["127.0.0.1"], "server_port": self.port}
            kept["data"]["stable"].update(listen)
            (storage / "http").write_text(json.dumps(kept))
        # The other steps of a first start set up integrations that use the internet.
        shutil.copytree(ROOT / "custom_components", self.folder / "custom_components")
        done = {"done": ["core_config", "analytics", "integration"]}
        first = {"version": 4, "minor_version": 1, "key": "onboarding", "data": done}
        (storage / "onboarding").write_text(json.dumps(first))
        (self.folder / "automations.yaml").write_text("[]\n")
        (self.folder / "scripts.yaml").write_text("{}\n")
        (self.folder / "configuration.yaml").write_text(CONFIGURATION.format(http=http))

    def _onboard(self) -> str:
        """Create the owner, and return a permanent token."""
        client = self.url + "/"
        owner = {"name": "Anna", "username": "anna", "password": "only for a test"}
        owner.update(client_id=client, language="en")
        code = self.http("POST", "/api/onboarding/users", owner)["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": client}
        body = urllib.parse.urlencode(form).encode()
        self.token = json.loads(self._request("POST", "/auth/token", body))[
            "access_token"
        ]
        token: str = self.ask(
            "auth/long_lived_access_token", client_name="tests", lifespan=3650
        )
        return token

    # Requests

    def http(self, method: str, path: str, body: Any = None) -> Any:
        """Send a REST request, with JSON in both directions."""
        data = None if body is None else json.dumps(body).encode()
        text = self._request(method, path, data, "application/json")
        return json.loads(text) if text[:1] in b'{["' else text.decode()

    def _request(
        self, method: str, path: str, data: bytes | None, kind: str | None = None
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers.update({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            error.msg += ": " + error.read().decode(errors="replace")[:1000]
            raise
        return body

    def ask(self, kind: str, **arguments: Any) -> Any:
        """Send a command over the WebSocket. Raises AssertionError if it fails."""
        # A client that does not answer a ping is disconnected after a minute.
        if self._socket is not None and time.monotonic() - self._last_request > 20:
            self._socket.close()
            self._socket = None
        if self._socket is None:
            self._socket = self.connect()
        self._last_request = time.monotonic()
        self._number += 1
        self._socket.send({"id": self._number, "type": kind, **arguments})
        while True:
            answer = self._socket.receive()
            if answer.get("id") == self._number and answer["type"] == "result":
                assert answer["success"], f"{kind}: {answer.get('error')}"
                return answer["result"]

    def connect(self) -> WebSocket:
        """Return a new connection that is logged in."""
        socket = WebSocket(self.url.replace("http", "ws", 1) + "/api/websocket")
        socket.receive()
        socket.send({"type": "auth", "access_token": self.token})
        assert socket.receive()["type"] == "auth_ok"
        return socket

    def call(self, action: str, entity: str = "", **data: Any) -> Any:
        domain, service = action.split(".")
        target = {"entity_id": entity} if entity else {}
        return self.ask(
            "call_service",
            domain=domain,
            service=service,
            service_data=data,
            target=target,
        )

    def states(self) -> dict[str, dict[str, Any]]:
        return {each["entity_id"]: each for each in self.ask("get_states")}

    def state(self, entity: str) -> str | None:
        state = self.states().get(entity)
        return None if state is None else state["state"]

    def attributes(self, entity: str) -> dict[str, Any]:
        attributes: dict[str, Any] = self.states()[entity]["attributes"]
        return attributes

    def entities(self, platform: str = "mqtt") -> dict[str, dict[str, Any]]:
        """The entities in the registry, by unique id."""
        listed = self.ask("config/entity_registry/list")
        return {e["unique_id"]: e for e in listed if e["platform"] == platform}

    def entities_of(self, printer: str) -> dict[str, dict[str, Any]]:
        """The MQTT entities of a printer, by unique id."""
        device = self.device(printer)
        assert device is not None
        listed = self.entities().items()
        return {unique: e for unique, e in listed if e["device_id"] == device["id"]}

    def disabled(self) -> list[str]:
        """The MQTT entities that exist and are disabled."""
        known = self.entities().values()
        return sorted(each["entity_id"] for each in known if each["disabled_by"])

    def show(self, entities: list[str], shown: bool = True) -> None:
        """Enable or disable entities as a user does, and reload MQTT at once."""
        by = None if shown else "user"
        for entity in entities:
            self.ask("config/entity_registry/update", entity_id=entity, disabled_by=by)
        if entities:
            self.reload("mqtt")

    def reload(self, domain: str) -> None:
        [entry] = [e for e in self.ask("config_entries/get") if e["domain"] == domain]
        path = f"/api/config/config_entries/entry/{entry['entry_id']}/reload"
        self.http("POST", path)

    def device(self, name: str) -> dict[str, Any] | None:
        for each in self.ask("config/device_registry/list"):
            if each["name"] == name:
                entity: dict[str, Any] = each
                return entity
        return None

    def wait(self, entity: str, wanted: Any, timeout: float = PATIENCE) -> None:
        """Wait until the state of *entity* is *wanted*, or *wanted(state)* is true."""
        right = wanted if callable(wanted) else lambda state: state == wanted
        seen: list[Any] = []

        def is_wanted() -> bool:
            seen[:] = [self.state(entity)]
            return bool(right(seen[0]))

        try:
            until(is_wanted, timeout=timeout)
        except AssertionError:
            raise AssertionError(
                f"{entity} is {seen[0]!r} on {self.version}, not {wanted!r}"
            ) from None

    def flow(self, domain: str, answers: dict[str, Any]) -> None:
        """Set up an integration as a user does who only types *answers*."""
        path = "/api/config/config_entries/flow"
        step = self.http("POST", path, {"handler": domain})
        if step["type"] == "menu":
            answer = {"next_step_id": step["menu_options"][0]}
            step = self.http("POST", f"{path}/{step['flow_id']}", answer)
        filled = {**shown(step["data_schema"]), **answers}
        step = self.http("POST", f"{path}/{step['flow_id']}", filled)
        assert step["type"] == "create_entry", step

    def _entry(self, domain: str) -> bool:
        return any(e["domain"] == domain for e in self.ask("config_entries/get"))

    def logged(self) -> list[Any]:
        """Return warnings and errors of MQTT, templates, blueprints or ourselves."""
        about = ("mqtt", "template", "automation", "blueprint", "script", "sensor")
        about += ("klipper_upkeep", "dispatcher")
        expected = (
            # 2025.4 clears a topic that was cleared already, and every client warns.
            "No device components to cleanup",
            # All share one broker, and a test of one of them kills it.
            "Error returned from MQTT server: The connection was lost.",
            # Home Assistant reads the broker's answers late on a busy machine.
            "No ACK from MQTT server in 10 seconds",
        )
        return [
            (each["level"], each["name"], each["message"])
            for each in self.ask("system_log/list")
            if any(word in each["name"] for word in about)
            and not all(text.startswith(expected) for text in each["message"])
        ]

    def forget_log(self) -> None:
        self.call("system_log.clear")

    def statistics(self) -> list[dict[str, Any]]:
        statistics: list[dict[str, Any]] = self.ask("recorder/list_statistic_ids")
        return statistics

    # Automations

    def automation(self, name: str, config: dict[str, Any]) -> None:
        path = f"/api/config/automation/config/{name}"
        self.http("POST", path, {"alias": name, "mode": "parallel", **config})
        self.wait(f"automation.{name}", "on")

    def forget_automation(self, name: str) -> None:
        self.http("DELETE", f"/api/config/automation/config/{name}")
        self.wait(f"automation.{name}", None)
        self.call("persistent_notification.dismiss_all")

    def notifications(self) -> dict[str, dict[str, Any]]:
        """The notifications of Home Assistant itself, by id."""
        listed = self.ask("persistent_notification/get")
        return {each["notification_id"]: each for each in listed}

    def trigger(self, name: str) -> None:
        """Run an automation once to its end."""
        entity = f"automation.{name}"
        before = self.attributes(entity)["last_triggered"]
        self.call("automation.trigger", entity)

        def ended() -> bool:
            now = self.attributes(entity)
            return now["last_triggered"] != before and now["current"] == 0

        until(ended, f"the end of {entity}")

    def converse(self, text: str) -> str:
        """Send a text to Assist, and return its answer."""
        request = {"text": text, "language": "en"}
        answer = self.http("POST", "/api/conversation/process", request)
        speech: str = answer["response"]["speech"]["plain"]["speech"]
        return speech

    def automate(self, name: str, blueprint: str, /, **inputs: Any) -> None:
        """Import a blueprint of ours as its link does, and make an automation of it."""
        path = f"klipper_upkeep/{blueprint}.yaml"
        text = (BLUEPRINTS / path).read_text()
        known = self.ask("blueprint/list", domain="automation")
        if path not in known:
            self.ask("blueprint/save", domain="automation", path=path, yaml=text)
        use = {"path": path, "input": inputs}
        self.automation(name, {"use_blueprint": use})


class Phone:
    """A companion app: it registers, gets notifications, and answers them."""

    def __init__(self, home: HomeAssistant, name: str) -> None:
        self.home, self.name = home, name
        registration = {
            "device_id": name,
            "app_id": "upkeep",
            "app_name": "Upkeep",
            "app_version": "1",
            "device_name": name,
            "manufacturer": "Upkeep",
            "model": "Phone",
            "os_name": "Test",
            "os_version": "1",
            "supports_encryption": False,
            "app_data": self._push(),
        }
        registered = home.http("POST", "/api/mobile_app/registrations", registration)
        self._hook = f"/api/webhook/{registered['webhook_id']}"
        self._listen(registered)

    def _push(self) -> dict[str, Any]:
        """The way to reach this phone: the connection that it holds."""
        return {"push_websocket_channel": True}

    def _listen(self, registered: dict[str, Any]) -> None:
        self._socket = self.home.connect()
        self._socket.send(
            {
                "id": 1,
                "type": "mobile_app/push_notification_channel",
                "webhook_id": registered["webhook_id"],
            }
        )
        assert self._socket.receive()["success"]

    def notified(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next notification."""
        while True:
            message = self._socket.receive(timeout)
            if message["type"] == "event":
                notification: dict[str, Any] = message["event"]
                return notification

    def tap(self, action: str) -> None:
        event = "mobile_app_notification_action"
        self._tell(
            "fire_event", {"event_type": event, "event_data": {"action": action}}
        )

    def scan(self, tag: str) -> None:
        self._tell("scan_tag", {"tag_id": tag})

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        self.home.http("POST", self._hook, {"type": kind, "data": data})

    def close(self) -> None:
        self._socket.close()


class DistantPhone(Phone):
    """A phone that is away.

    It gets notifications from a push service, over any restart.
    """

    def _push(self) -> dict[str, Any]:
        notifications: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        limits = {"successful": 1, "maximum": 500, "errors": 0, "total": 1}
        answer = {"rateLimits": {**limits, "resetsAt": "2099-01-01T00:00:00.000Z"}}

        class Service(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                notifications.put(json.loads(self.rfile.read(size)))
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None:
                """Write no log."""

        self._notifications = notifications
        self._service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        self._thread = threading.Thread(target=self._service.serve_forever)
        self._thread.start()
        url = f"http://127.0.0.1:{self._service.server_port}/"
        return {"push_url": url, "push_token": self.name}

    def _listen(self, registered: dict[str, Any]) -> None:
        """Start the push service."""

    def notified(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next notification."""
        return self._notifications.get(timeout=timeout)

    def close(self) -> None:
        self._service.shutdown()
        self._service.server_close()
        self._thread.join()
