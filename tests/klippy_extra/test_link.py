"""The link, against a real mosquitto: it comes back from everything."""

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
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.fakes.strict import Strict

pytestmark = [
    pytest.mark.system,
]


@pytest.fixture
def reactor(monkeypatch):
    # A test is shorter than what counts as a short connection.
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT", 0.0)
    return Reactor()


@pytest.fixture
def broker(tmp_path):
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.kill()


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
def ear(broker):
    """Another client of the broker: what it received, as (topic, payload, retained)."""
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
def test_messages_go_both_ways(broker, links, reactor, ear, version):
    link = links(at(broker, version=version))
    reactor.until("connected")
    link.publish("p/info", b"hello", retain=True)
    assert ear.received.get(timeout=10) == ("p/info", b"hello", False)
    ear.publish("p/x/command", b"done", qos=1)
    assert reactor.until("message") == ("message", "p/info", b"hello", False)
    assert reactor.until("message") == ("message", "p/x/command", b"done", False)


def test_what_is_retained_under_first_comes_before_connected(
    broker, links, reactor, ear
):
    for topic in ("p/info", "p/availability"):
        ear.publish(topic, b"theirs", qos=1, retain=True).wait_for_publish(10)
    links(at(broker))
    reactor.until("connected")
    assert ("message", "p/info", b"theirs", True) in reactor.heard
    assert ("message", "p/availability", b"theirs", True) in reactor.heard


def test_a_clean_end_leaves_offline_retained(broker, links, reactor, ear):
    link = links(at(broker))
    reactor.until("connected")
    for number in range(100):  # more than may be in flight at once
        link.publish("p/tasks/x", str(number).encode())
    link.close()
    assert [ear.received.get(timeout=10)[1] for _ in range(100)][-1] == b"99"
    assert ear.received.get(timeout=10) == ("p/availability", b"offline", False)


def test_a_name_that_is_anothers_is_left_without_a_word(broker, links, reactor, ear):
    link = links(at(broker))
    reactor.until("connected")
    link.close(say_offline=False)
    ear.publish("marker", b"", qos=1)
    assert ear.received.get(timeout=10)[0] == "marker"


def test_it_comes_back_when_the_broker_does(broker, links, reactor, caplog):
    """Once lost, once back, in the log; what was to keep follows, the rest is gone."""
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
    ear = next(other)
    link.publish("p/tasks/x", b"snapshot")
    link.release()
    assert ear.received.get(timeout=10)[1] == b"snapshot"
    assert ear.received.get(timeout=10)[1] == b"due"
    assert next(other, None) is None
    assert caplog.text.count("no connection to the MQTT broker") == 1
    assert caplog.text.count("again") == 2  # "trying again", "connected ... again"


def test_an_outage_of_many_reasons_is_said_once(
    broker, links, reactor, caplog, monkeypatch
):
    """One line lost and one back, though each attempt fails in another way."""
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
    assert caplog.text.count("no connection to the MQTT broker") == 1
    assert caplog.text.count("again") == 2


def test_a_broker_that_is_not_there_at_first_is_found_later(tmp_path, links, reactor):
    later = Mosquitto(tmp_path)
    links(at(later))
    assert reactor.until("lost")
    later.start()
    reactor.until("connected")
    later.kill()


def test_closing_while_the_broker_is_away_takes_no_time(links, reactor):
    link = links(Broker("127.0.0.1", "test", free_port()))
    reactor.until("lost")
    link.close()
    assert not any(t.name == "maintain-link" for t in threading.enumerate())


def test_a_broker_that_never_answers_is_said_so(links, reactor, monkeypatch):
    monkeypatch.setattr("klippy_extra.mqtt.client.CONNECT_WITHIN", 0.2)
    with listening() as mute:
        links(Broker("127.0.0.1", "test", mute.getsockname()[1]))
        assert "does not answer" in reactor.until("lost")[1]


def test_a_dead_connection_is_found_by_keepalive(broker, links, reactor):
    """Half-open: the peer is frozen, TCP says nothing."""
    with Proxy(broker.port) as proxy:
        links(Broker("127.0.0.1", "test", proxy.port, keepalive=1))
        reactor.until("connected")
        proxy.freeze()
        reactor.until("lost")


def test_a_refused_password_is_named(tmp_path, links, reactor):
    closed = Mosquitto(tmp_path, "allow_anonymous false").start()
    links(at(closed, username="anna", password="wrong"))
    assert "look at 'credentials'" in reactor.until("lost")[1]
    closed.kill()


def test_a_broker_may_have_an_address_of_ipv6(tmp_path, links, reactor):
    six = free_port()
    broker = Mosquitto(tmp_path, f"listener {six} ::1").start()
    links(Broker("::1", "test", six))
    reactor.until("connected")
    broker.kill()


@pytest.fixture
def authority(tmp_path):
    """A CA, a server's and a client's certificate, made by openssl."""
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


def test_tls_with_a_client_certificate(authority, links, reactor):
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


# Paho drops, without closing it, the socket of a handshake that failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_nobody_vouches_for_is_refused(authority, links, reactor):
    secure = Mosquitto(
        authority,
        f"certfile {authority}/server.crt",
        f"keyfile {authority}/server.key",
    ).start()
    links(at(secure, tls=True))
    assert "look at 'mqtt_ca'" in reactor.until("lost")[1]
    secure.kill()


def test_without_ssl_a_broker_is_reached(broker, links, reactor, monkeypatch):
    """A Python for a small system may lack the module."""
    monkeypatch.setitem(sys.modules, "ssl", None)
    links(at(broker))
    reactor.until("connected")


def test_without_ssl_tls_is_refused_with_the_fix(links, reactor, monkeypatch):
    monkeypatch.setitem(sys.modules, "ssl", None)
    links(Broker("127.0.0.1", "test-client", 9, tls=True))
    assert "has no 'ssl'" in reactor.until("lost")[1]


@pytest.mark.logs_errors
def test_an_exception_in_the_thread_does_not_end_it(
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


def test_no_more_is_sent_at_once_than_a_broker_takes(links, reactor):
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


def test_credentials_come_from_a_file_of_their_own(tmp_path):
    secrets = tmp_path / "upkeep.secrets"
    secrets.write_text("# mine\nusername: anna\npassword: a:b #c\n")
    assert credentials(str(secrets)) == ("anna", "a:b #c")


def test_credentials_may_be_written_by_an_editor_on_windows(tmp_path):
    secrets = tmp_path / "upkeep.secrets"
    secrets.write_bytes(b"\xef\xbb\xbfusername: anna\r\npassword: a b\r\n")
    assert credentials(str(secrets)) == ("anna", "a b")


def test_credentials_without_a_name_tell_the_fix(tmp_path):
    secrets = tmp_path / "upkeep.secrets"
    secrets.write_text("anna\n")
    with pytest.raises(ValueError, match="no line 'username: NAME'"):
        credentials(str(secrets))
    with pytest.raises(ValueError, match="cannot be read"):
        credentials(str(tmp_path / "none"))


def test_a_broker_never_shows_its_password():
    assert "secret" not in repr(Broker("h", "c", username="u", password="secret"))


def listening():
    """A socket that takes connections on a free port."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


class Proxy:
    """Passes bytes on, until it is told to freeze with the connections open."""

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
