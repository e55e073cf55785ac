"""The API: what Moonraker would ask, over a unix socket and inside the process."""

import json
import socket
import threading

import pytest

from tests.fakes import PrinterProcess

SUBJECT = """
    def load_config(config):
        return Subject(config)

    class Subject:
        def __init__(self, config):
            self.webhooks = config.get_printer().lookup_object("webhooks")
            self.webhooks.register_endpoint("subject/add", self.add)

        def add(self, web_request):
            total = web_request.get_int("a") + web_request.get_int("b", 1)
            web_request.send({"total": total})
"""


def test_an_endpoint_answers(start):
    """With what the extra sends, by its own defaults."""
    printer = start("[subject]\n", SUBJECT)

    assert printer.request("subject/add", {"a": 2}) == {"total": 3}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("subject/add", {}),
        ("subject/add", {"a": "2"}),
        ("nobody/home", {}),
        ("gcode/script", {"script": "G1 X10"}),
    ],
)
def test_a_wrong_request_is_refused(start, method, params):
    """And harms nobody."""
    printer = start("[subject]\n", SUBJECT)
    with pytest.raises(printer.printer.command_error):
        printer.request(method, params)

    assert printer.state == "ready"


def test_an_endpoint_with_a_bug_shuts_down(start):
    """Only command_error is an answer."""
    printer = start("[subject]\n", SUBJECT.replace("+ web", "/ 0 + web"))
    with pytest.raises(printer.printer.command_error):
        printer.request("subject/add", {"a": 2})

    assert printer.state == "shutdown"


def test_objects_are_listed_and_asked(start):
    """What has a status, and fields of it by name."""
    printer = start()

    assert "print_stats" in printer.request("objects/list")["objects"]
    status = printer.request(
        "objects/query", {"objects": {"toolhead": ["homed_axes"], "nobody": None}}
    )["status"]
    assert status == {"toolhead": {"homed_axes": ""}, "nobody": {}}


class Client:
    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._buffer = b""

    def send(self, **message):
        self._socket.sendall(json.dumps(message).encode() + b"\x03")

    def receive(self):
        while b"\x03" not in self._buffer:
            self._buffer += self._socket.recv(4096)
        message, _, self._buffer = self._buffer.partition(b"\x03")
        return json.loads(message)

    def close(self):
        self._socket.close()


@pytest.fixture
def client(tmp_path):
    printer = PrinterProcess("", tmp_path, api=tmp_path / "api")
    printer.wait_until_ready()
    client = Client(tmp_path / "api")
    yield client
    client.close()
    printer.close()


def test_a_socket_answers_by_id(client):
    """One JSON object for each, ended by 0x03."""
    client.send(id=7, method="info")
    answer = client.receive()

    assert answer["id"] == 7
    assert answer["result"]["state"] == "ready"


def test_a_subscription_tells_what_changed(client):
    """At first all of it, then what is not as it was."""
    client.send(
        id=1, method="objects/subscribe", params={"objects": {"extruder": None}}
    )
    assert client.receive()["result"]["status"]["extruder"]["target"] == 0.0
    client.send(id=2, method="gcode/script", params={"script": "M104 S60"})
    seen = [client.receive()]
    while not any("params" in message for message in seen):
        seen.append(client.receive())

    news = next(message for message in seen if "params" in message)
    assert news["params"]["status"]["extruder"]["target"] == 60.0


def test_a_remote_method_is_called_where_it_was_registered(tmp_path):
    """And an error where nobody has registered it."""
    config = """
[gcode_macro TELL]
gcode:
  {action_call_remote_method("tell", text="hello")}
"""
    with PrinterProcess(config, tmp_path, api=tmp_path / "api") as printer:
        printer.wait_until_ready()
        client = Client(tmp_path / "api")
        client.send(
            method="register_remote_method",
            params={"remote_method": "tell", "response_template": {"method": "told"}},
        )
        client.send(id=1, method="info")
        client.receive()
        teller = threading.Thread(target=printer.gcode, args=("TELL",))
        teller.start()
        told = client.receive()
        teller.join()
        client.close()

    assert told == {"method": "told", "params": {"text": "hello"}}
