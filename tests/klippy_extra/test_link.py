"""The link with a real mosquitto: it reconnects after every kind of failure."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading

import paho.mqtt.client as paho
import pytest

from klippy_extra.broker import Broker, credentials
from tests import programs
from tests.fakes.links import Reactor, make_link
from tests.fakes.listening import listening
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.fakes.strict import Strict

pytestmark = [
    pytest.mark.system,
]


@pytest.fixture
def reactor(monkeypatch):
    # The tests last less than a connection that counts as short.
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT", 0.0)
    return Reactor()


@pytest.fixture
def links(reactor):
    made = []

    def make(broker, **more):
        made.append(make_link(reactor, broker, **more))
        return made[-1]

    yield make
    for link in made:
        link.close()


@pytest.fixture
def listener(broker):
    """Another client of the broker. It has received (topic, payload, retained)."""
    yield from listen(broker.port)


def listen(port):
    received = queue.SimpleQueue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda c, u, m: received.put((m.topic, m.payload, m.retain))
    client.connect("127.0.0.1", port)
    client.subscribe("#", qos=1)
    client.loop_start()
    assert subscribed.wait(10)
    client.received = received
    yield client
    client.disconnect()
    client.loop_stop()


def at(broker, **more):
    return Broker("127.0.0.1", "test-client", broker.port, **more)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_messages_go_both_ways(broker, links, reactor, listener, version):
    link = links(at(broker, version=version))
    reactor.until("connected")
    link.publish("p/info", b"hello", retain=True)
    assert listener.received.get(timeout=10) == ("p/info", b"hello", False)
    listener.publish("p/x/command", b"done", qos=1)
    assert reactor.until("message") == ("message", "p/info", b"hello", False)
    assert reactor.until("message") == ("message", "p/x/command", b"done", False)


def test_the_retained_messages_arrive_before_connected_is_reported(
    broker, links, reactor, listener
):
    for topic in ("p/info", "p/availability"):
        listener.publish(topic, b"theirs", qos=1, retain=True).wait_for_publish(10)
    links(at(broker))
    reactor.until("connected")
    assert ("message", "p/info", b"theirs", True) in reactor.events
    assert ("message", "p/availability", b"theirs", True) in reactor.events


def test_a_link_that_is_closed_leaves_offline_retained(
    broker, links, reactor, listener
):
    link = links(at(broker))
    reactor.until("connected")
    for number in range(100):  # More than may be in flight at once.
        link.publish("p/tasks/x", str(number).encode())
    link.close()
    assert [listener.received.get(timeout=10)[1] for _ in range(100)][-1] == b"99"
    assert listener.received.get(timeout=10) == ("p/availability", b"offline", False)


def test_a_link_that_does_not_own_the_name_publishes_no_offline(
    broker, links, reactor, listener
):
    link = links(at(broker))
    reactor.until("connected")
    link.close(say_offline=False)
    listener.publish("marker", b"", qos=1)
    assert listener.received.get(timeout=10)[0] == "marker"


def outages(caplog):
    """Return the link's lines about a loss ("trying again") or a return ("again").

    Other threads of the process write lines of their own.
    """
    lines = [line for line in caplog.messages if line.startswith("maintain: ")]
    return [line for line in lines if "again" in line]


def test_the_link_reconnects_when_the_broker_is_back(broker, links, reactor, caplog):
    """The log has one line for the loss and one for the return.

    Messages to keep are sent afterwards, and all others are dropped.
    """
    caplog.set_level("INFO")
    link = links(at(broker))
    reactor.until("connected")
    broker.kill()
    reactor.until("lost")
    link.publish("p/tasks/x", b"a state nobody needs any more")
    link.publish("p/events", b"due", keep=True)
    broker.start()
    reactor.until("connected")
    other = listen(broker.port)
    listener = next(other)
    link.publish("p/tasks/x", b"snapshot")
    link.release()
    assert listener.received.get(timeout=10)[1] == b"snapshot"
    assert listener.received.get(timeout=10)[1] == b"due"
    assert next(other, None) is None
    loss, back = outages(caplog)
    assert loss.startswith("maintain: no connection to the MQTT broker")
    assert back.startswith("maintain: connected to the MQTT broker")


def test_an_outage_with_several_reasons_is_logged_once(
    broker, links, reactor, caplog, monkeypatch
):
    """Each attempt fails in another way.

    The log has one line for the loss and one for the return.
    """
    caplog.set_level("INFO")
    monkeypatch.setattr("klippy_extra.mqtt.link.BACK_OFF", (0.02,))
    attempts = iter(["out of reach", "unknown host", "out of reach", "unknown host"])
    tried = []
    connect = paho.Client.connect

    def fail(client, *where, **more):
        reason = next(attempts, None)
        tried.append(reason)
        if reason is not None:
            raise OSError(reason)
        return connect(client, *where, **more)

    monkeypatch.setattr(paho.Client, "connect", fail)
    links(at(broker))
    reactor.until("connected")
    assert len(tried) == 5
    assert len(outages(caplog)) == 2
    assert caplog.text.count("no connection to the MQTT broker") == 1


def test_a_broker_that_starts_later_is_connected_to(tmp_path, links, reactor):
    later = Mosquitto(tmp_path)
    links(at(later))
    assert reactor.until("lost")
    later.start()
    reactor.until("connected")
    later.kill()


def test_closing_without_a_broker_takes_no_time(links, reactor):
    link = links(Broker("127.0.0.1", "test", free_port()))
    reactor.until("lost")
    link.close()
    assert not any(t.name == "maintain-link" for t in threading.enumerate())


def test_a_broker_that_never_answers_is_reported(links, reactor, monkeypatch):
    monkeypatch.setattr("klippy_extra.mqtt.client.CONNECT_WITHIN", 0.2)
    with listening() as mute:
        links(Broker("127.0.0.1", "test", mute.getsockname()[1]))
        assert "does not answer" in reactor.until("lost")[1]


def test_a_dead_connection_is_noticed_by_keepalive(broker, links, reactor):
    """The connection is half-open: the broker is frozen, and TCP reports nothing."""
    with Proxy(broker.port) as proxy:
        links(Broker("127.0.0.1", "test", proxy.port, keepalive=1))
        reactor.until("connected")
        proxy.freeze()
        reactor.until("lost")


def test_a_refused_password_is_reported_as_such(tmp_path, links, reactor):
    closed = Mosquitto(tmp_path, "allow_anonymous false").start()
    links(at(closed, username="anna", password="wrong"))
    assert "look at 'credentials'" in reactor.until("lost")[1]
    closed.kill()


def test_a_broker_may_have_an_ipv6_address(tmp_path, links, reactor):
    six = free_port()
    broker = Mosquitto(tmp_path, f"listener {six} ::1").start()
    links(Broker("::1", "test", six))
    reactor.until("connected")
    broker.kill()


@pytest.fixture
def authority(tmp_path):
    """Certificates of an authority, a server and a client, made by openssl."""
    programs.require("openssl")

    def openssl(*words):
        subprocess.run(
            ["openssl", *words], cwd=tmp_path, check=True, capture_output=True
        )

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-batch")
    openssl(*new, "-x509", "-days", "9", "-keyout", "ca.key", "-out", "ca.crt",
            "-subj", "/CN=test authority")  # fmt: skip
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey",
                "ca.key", "-CAcreateserial", "-out", f"{name}.crt", "-days", "9",
                "-extfile", "names")  # fmt: skip
    return tmp_path


def test_a_client_certificate_is_accepted_over_tls(authority, links, reactor):
    secure = Mosquitto(
        authority,
        f"cafile {authority}/ca.crt",
        f"certfile {authority}/server.crt",
        f"keyfile {authority}/server.key",
        "require_certificate true",
    ).start()
    files = {"ca": "ca.crt", "certificate": "client.crt", "key": "client.key"}
    files = {name: str(authority / file) for name, file in files.items()}
    links(at(secure, tls=True, **files))
    reactor.until("connected")
    secure.kill()


# Paho drops the socket of a failed handshake without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_with_an_unknown_certificate_is_refused(authority, links, reactor):
    secure = Mosquitto(
        authority,
        f"certfile {authority}/server.crt",
        f"keyfile {authority}/server.key",
    ).start()
    links(at(secure, tls=True))
    assert "look at 'mqtt_ca'" in reactor.until("lost")[1]
    secure.kill()


def test_a_broker_without_tls_needs_no_ssl_module(broker, links, reactor, monkeypatch):
    """The Python of a small system may lack the module."""
    monkeypatch.setitem(sys.modules, "ssl", None)
    links(at(broker))
    reactor.until("connected")


def test_tls_without_the_ssl_module_is_refused_with_the_fix(
    links, reactor, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ssl", None)
    links(Broker("127.0.0.1", "test-client", 9, tls=True))
    assert "has no 'ssl'" in reactor.until("lost")[1]


@pytest.mark.logs_errors
def test_an_exception_does_not_end_the_links_thread(
    broker, links, reactor, monkeypatch
):
    monkeypatch.setattr("klippy_extra.mqtt.link.BACK_OFF", (0.01,))
    link = links(at(broker))
    reactor.until("connected")
    real = paho.Client.publish
    faults = iter([RuntimeError("injected")])

    def faulty(*arguments, **options):
        for fault in faults:
            raise fault
        return real(*arguments, **options)

    monkeypatch.setattr(paho.Client, "publish", faulty)
    link.publish("p/x", b"")
    assert "injected" in reactor.until("lost")[1]
    reactor.until("connected")


def test_the_messages_in_flight_are_at_most_what_the_broker_accepts(links, reactor):
    strict = Strict(most=2)
    link = links(Broker("127.0.0.1", "test-client", strict.port, version="5"))
    link.publish("p/kept", b"", keep=True)
    reactor.until("connected")
    for number in range(3):
        link.publish(f"p/{number}", b"")
    link.release()
    link.publish("p/3", b"")
    link.close()
    assert strict.taken == ["p/0", "p/1", "p/2", "p/kept", "p/3", "p/availability"]
    assert strict.at_once == 2


def test_credentials_are_read_from_their_own_file(tmp_path):
    secrets = tmp_path / "upkeep.secrets"
    secrets.write_text("# mine\nusername: anna\npassword: a:b #c\n")
    assert credentials(str(secrets)) == ("anna", "a:b #c")


def test_the_file_of_credentials_may_be_written_by_an_editor_on_windows(tmp_path):
    secrets = tmp_path / "upkeep.secrets"
    secrets.write_bytes(b"\xef\xbb\xbfusername: anna\r\npassword: a b\r\n")
    assert credentials(str(secrets)) == ("anna", "a b")


def test_credentials_without_a_user_name_are_refused_with_the_fix(tmp_path):
    secrets = tmp_path / "upkeep.secrets"
    secrets.write_text("anna\n")
    with pytest.raises(ValueError, match="no line 'username: NAME'"):
        credentials(str(secrets))
    with pytest.raises(ValueError, match="cannot be read"):
        credentials(str(tmp_path / "none"))


def test_a_broker_never_prints_its_password():
    assert "secret" not in repr(Broker("h", "c", username="u", password="secret"))


class Proxy:
    """Passes bytes on, until it is told to freeze with open connections."""

    def __init__(self, port):
        self._target = port
        self._server = listening()
        self.port = self._server.getsockname()[1]
        self._frozen = threading.Event()
        self._sockets = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._sockets:
            each.close()
        for thread in self._threads:
            thread.join(5)

    def freeze(self):
        self._frozen.set()

    def _accept(self):
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [near, far]
            for pair in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pump, args=pair)
                self._threads.append(thread)
                thread.start()

    def _pump(self, source, sink):
        source.settimeout(0.1)
        while True:
            try:
                data = source.recv(4096)
                if not data:
                    return
                if not self._frozen.is_set():
                    sink.sendall(data)
            except TimeoutError:
                continue
            except OSError:
                return
