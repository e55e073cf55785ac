"""Whatever a broker does, the bridge reconnects, and logs it once."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.broker import link as link_module
from mqtt_bridge.broker import marks
from mqtt_bridge.contract import Command
from mqtt_bridge.settings import Broker, Settings, Store, Tls
from tests import programs
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.fakes.strict import Strict
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.waiting import until

pytestmark = pytest.mark.system


class Items(dict):
    """The mirrored items in the place of a daemon."""

    def change(self, removed, placed):
        for key in removed:
            self.pop(key, None)
        self.update(placed)

    def publish(self, rows):
        self.published = getattr(self, "published", 0) + len(rows)

    def connected(self, *, up, when):
        self.up = up

    def value(self, key):
        return self[key].value if key in self else None


class Running:
    def __init__(self, port, store=None, **broker):
        self.items = Items()
        settings = Settings(
            broker=Broker(host=broker.pop("host", "127.0.0.1"), port=port, **broker),
            store=store or Store(),
        )
        self.bridge = make_bridge(settings, self.items)

    def __enter__(self):
        self.bridge.start()
        return self

    def __exit__(self, *error):
        self.bridge.close()

    def until_online(self, online=1, seconds=20):
        until(
            lambda: self.items.value("voron.online") == online,
            f"voron.online == {online}",
            seconds,
        )


@pytest.fixture(autouse=True)
def quick(monkeypatch, caplog):
    monkeypatch.setattr(link_module, "BACK_OFF", (0.1,))
    monkeypatch.setattr(link_module, "CONNECT_WITHIN", 1.0)
    caplog.set_level(logging.INFO)


def lost_and_back(caplog):
    texts = [record.getMessage() for record in caplog.records]
    lost = [text for text in texts if text.startswith("no connection")]
    back = [text for text in texts if text.endswith("again")]
    return len(lost), len(back)


def test_retained_values_are_there_before_the_bridge_is_ready(broker):
    with ScriptedPrinter(broker.port), Running(broker.port) as running:
        assert running.bridge.ready.wait(10)
        assert running.items.value("voron.rods.used") == 37.5
        assert running.items.value("voron.online") == 1


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_the_bridge_uses_both_versions_of_mqtt(broker, version):
    with ScriptedPrinter(broker.port), Running(broker.port, version=version) as running:
        running.until_online()


def test_the_bridge_reconnects_to_a_killed_broker_that_has_lost_everything(
    tmp_path, caplog
):
    broker = Mosquitto(tmp_path).start()
    with ScriptedPrinter(broker.port), Running(broker.port) as running:
        running.until_online()
        broker.kill()
        running.until_online(0)
        assert running.items.value("voron.rods.used") == 37.5, "the values stay"
        again = Mosquitto(tmp_path, port=broker.port).start()
        running.until_online()
        again.kill()
        running.until_online(0)
    assert lost_and_back(caplog) == (2, 1)


def test_the_bridge_connects_to_a_broker_that_starts_later(tmp_path, caplog):
    port = free_port()
    with Running(port) as running:
        until(lambda: lost_and_back(caplog) == (1, 0), "the one line")
        broker = Mosquitto(tmp_path, port=port).start()
        with ScriptedPrinter(port):
            running.until_online()
        broker.kill()


def test_the_bridge_leaves_a_broker_that_accepts_and_never_answers(tmp_path, caplog):
    hung = socket.create_server(("127.0.0.1", 0))
    port = hung.getsockname()[1]
    with Running(port) as running:
        until(lambda: "does not answer" in caplog.text, "why there is no connection")
        hung.close()
        broker = Mosquitto(tmp_path, port=port).start()
        with ScriptedPrinter(port):
            running.until_online()
        broker.kill()


def test_messages_in_flight_are_at_most_what_the_broker_accepts():
    strict = Strict(most=2)
    with Running(strict.port, version="5") as running:
        until(lambda: running.bridge.link.connected, "the greeting")
        for number in range(5):
            running.bridge.link.publish(f"t/{number}", b"", print)
        until(lambda: "t/4" in strict.taken, "all messages")
    assert [each for each in strict.taken if each.startswith("t/")] == [
        f"t/{number}" for number in range(5)
    ]
    assert strict.at_once == 2


def test_a_broker_that_falls_silent_is_noticed(broker):
    """The connection is half-open: nothing is closed, and nothing arrives any more."""
    with (
        ScriptedPrinter(broker.port),
        Relay(broker.port) as relay,
        Running(relay.port, keepalive=1) as running,
    ):
        running.until_online()
        relay.silent.set()
        running.until_online(0)
        relay.silent.clear()
        running.until_online()


def test_refused_credentials_are_tried_again_until_they_are_accepted(tmp_path, caplog):
    programs.require("mosquitto_passwd")
    passwords = tmp_path / "passwords"

    def allow(word):
        passwords.unlink(missing_ok=True)
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", str(passwords), "bridge", word],
            check=True, capture_output=True,
        )  # fmt: skip

    allow("other")
    lines = (f"password_file {passwords}", "allow_anonymous false")
    broker = Mosquitto(tmp_path, *lines).start()
    with Running(broker.port, username="bridge", password="secret") as running:
        until(lambda: "refuses us" in caplog.text, "why there is no connection")
        broker.kill()
        allow("secret")
        again = Mosquitto(tmp_path, *lines, port=broker.port).start()
        assert running.bridge.ready.wait(10)
        again.kill()
    assert "secret" not in caplog.text


def test_an_unknown_host_is_tried_again(caplog):
    with Running(1, host="no-such-host.invalid") as running:
        until(lambda: "no connection to mqtt://no-such-host" in caplog.text, "a line")
        assert not running.bridge.ready.is_set()


def test_a_host_name_that_is_unknown_for_a_while_is_tried_again(
    tmp_path, caplog, monkeypatch
):
    """DNS fails with the broker and works later than it.

    The log has one loss and one return.
    """
    is_known, requests, look_up = threading.Event(), [], socket.getaddrinfo

    def name_service(host, *question, **more):
        if host != "broker.example":
            return look_up(host, *question, **more)
        requests.append(is_known.is_set())
        if not is_known.is_set():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
        return look_up("127.0.0.1", *question, **more)

    monkeypatch.setattr(socket, "getaddrinfo", name_service)
    is_known.set()
    broker = Mosquitto(tmp_path).start()
    with (
        ScriptedPrinter(broker.port),
        Running(broker.port, host="broker.example") as running,
    ):
        running.until_online()
        is_known.clear()
        broker.kill()
        again = Mosquitto(tmp_path, port=broker.port).start()
        until(lambda: requests.count(False) > 3, "some failed look-ups")
        assert running.items.value("voron.online") == 0
        is_known.set()
        running.until_online()
        assert lost_and_back(caplog) == (1, 1)
        again.kill()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_expired_certificate_is_refused_until_it_is_renewed(tmp_path, caplog):
    authority = Authority(tmp_path)
    authority.sign(days=-1)
    lines = (
        f"cafile {authority.ca}",
        f"certfile {authority.certificate}",
        f"keyfile {authority.key}",
    )
    broker = Mosquitto(tmp_path, *lines).start()
    with Running(broker.port, tls=Tls(ca=str(authority.ca))) as running:
        until(lambda: "certificate has expired" in caplog.text, "why")
        broker.kill()
        authority.sign(days=1)
        again = Mosquitto(tmp_path, *lines, port=broker.port).start()
        assert running.bridge.ready.wait(10)
        again.kill()


@pytest.mark.parametrize("printers", [(), ("voron", "ender")])
def test_messages_go_on_after_a_subscription_is_requested_again(broker, printers):
    """If a printer lacks a task, the bridge subscribes again, and messages go on."""
    store = Store(printers=printers)
    with ScriptedPrinter(broker.port) as voron, ScriptedPrinter(broker.port, "ender"):
        info = m.info("rods", "belts").encode()
        voron.say("info", info)
        with Running(broker.port, store=store) as running:
            running.until_online()
            until(lambda: running.bridge.settling.missing, "that a task is missing")
            assert running.bridge.ready.wait(30)
            voron.change(limits=(m.limit(used=99.0),))
            until(lambda: running.items.value("voron.rods.used") == 99.0, "the state")
            voron.say("info", m.info("rods", model="Trident").encode())
            until(lambda: running.items.value("voron.model") == "Trident", "the info")


def test_retained_messages_that_the_broker_dropped_are_requested_again(broker):
    """mosquitto drops retained messages that exceed its queue for one subscription."""
    many = 4000
    with ScriptedPrinter(broker.port) as printer:
        for number in range(many // 4):
            slug = f"p{number}"
            for topic, payload in _tiny(slug).items():
                printer.client.publish(topic, payload, qos=1, retain=True)
        last = printer.client.publish("last", b"", qos=1)
        until(last.is_published, "the broker has all messages", 60)
        with Running(broker.port) as running:
            assert running.bridge.ready.wait(60)
            printers = running.bridge.fleet.printers.values()
            assert sum(not each.missing for each in printers) == many // 4 + 1


def test_without_the_right_to_write_a_mark_a_busy_farm_becomes_ready(
    tmp_path, caplog, monkeypatch
):
    """The bridge is ready when no more retained messages come, whatever else comes."""
    monkeypatch.setattr(marks, "QUIET", 0.5)
    acl = tmp_path / "acl"
    acl.write_text(f"topic read {m.BASE}/#\ntopic write {m.BASE}/voron/#\n")
    broker = Mosquitto(tmp_path, f"acl_file {acl}").start()
    over = threading.Event()

    def talk():
        while not over.wait(0.05):
            printer.change()

    with ScriptedPrinter(broker.port) as printer:
        talker = threading.Thread(target=talk)
        talker.start()
        try:
            with Running(broker.port) as running:
                assert running.bridge.ready.wait(10)
                assert running.items.value("voron.rods.used") == 37.5
        finally:
            over.set()
            talker.join()
    broker.kill()
    warnings = [each for each in caplog.messages if "_bridge/" in each]
    assert len(warnings) == 1


def test_requests_in_flight_end_when_the_broker_ends(tmp_path):
    broker = Mosquitto(tmp_path).start()
    with ScriptedPrinter(broker.port) as printer, Running(broker.port) as running:
        running.until_online()
        arrived = threading.Event()
        printer.answer = lambda command, task: arrived.set()
        requests = [done(running) for _ in range(50)]
        assert arrived.wait(10)
        broker.kill()

        for future in requests:
            assert isinstance(future.exception(10), TimeoutError)
        late = done(running)
        assert isinstance(late.exception(10), RuntimeError)
        assert "no connection" in str(late.exception())


def test_the_requests_to_a_printer_end_when_it_goes_offline(broker):
    with ScriptedPrinter(broker.port) as printer, Running(broker.port) as running:
        running.until_online()
        printer.answer = lambda command, task: printer.say("availability", b"offline")

        assert "went offline" in str(done(running).exception(10))
        assert "is offline" in str(done(running).exception(10))


def test_a_printer_that_does_not_answer_is_an_error(broker):
    with ScriptedPrinter(broker.port) as printer, Running(broker.port) as running:
        running.bridge.commands.transactions.answer_within = 0.2
        running.until_online()
        printer.answer = lambda command, task: None

        assert "within 0.2 s" in str(done(running).exception(10))


def test_the_result_comes_after_the_changed_state(broker):
    with ScriptedPrinter(broker.port) as printer, Running(broker.port) as running:
        running.until_online()
        future = done(running)

        assert future.result(10).ok
        assert running.items.value("voron.rods.used") == 0.0
        assert printer.commands[0].by == "anna"


def test_the_bridge_ends_within_two_seconds_whatever_the_broker_does(broker):
    with ScriptedPrinter(broker.port), Relay(broker.port) as relay:
        running = Running(relay.port)
        with running:
            running.until_online()
            relay.silent.set()
            begin = time.monotonic()
        assert time.monotonic() - begin < 2.5, (
            "it has two seconds, and half a second more on a busy machine"
        )


def done(running):
    return running.bridge.ask(
        "voron", "rods", lambda record, ident: Command("done", ident, by="anna")
    )


def _tiny(slug):
    payloads = m.printer(slug)
    del payloads[m.topic(slug, "summary")]
    return payloads


class Relay:
    """Passes bytes on to a broker, or holds them back while `silent` is set."""

    def __init__(self, port):
        self.silent = threading.Event()
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._threads = []
        self._sockets = []

    def __enter__(self):
        self._begin(self._accept)
        return self

    def __exit__(self, *error):
        for each in (self._server, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _begin(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [here, there]
                self._begin(self._pass, here, there)
                self._begin(self._pass, there, here)

    def _pass(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.silent.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Authority:
    """Signs the broker's certificate with openssl."""

    def __init__(self, folder):
        programs.require("openssl")
        self.folder = folder
        self.ca, self.ca_key = folder / "ca.pem", folder / "ca.key"
        self.certificate, self.key = folder / "broker.pem", folder / "broker.key"
        self._run(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
            "-subj", "/CN=Test CA", "-keyout", self.ca_key, "-out", self.ca,
        )  # fmt: skip

    def sign(self, days):
        """Sign a certificate that ends *days* from now. If negative, it has expired."""
        request, extra = self.folder / "request", self.folder / "extra"
        extra.write_text("subjectAltName=IP:127.0.0.1\n")
        self._run(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1",
            "-keyout", self.key, "-out", request,
        )  # fmt: skip
        now = datetime.now(UTC)
        (self.folder / "index.txt").write_text("")
        config = self.folder / "ca.cnf"
        config.write_text(
            "[ca]\ndefault_ca=d\n[d]\n"
            f"dir={self.folder}\ndatabase={self.folder}/index.txt\n"
            f"new_certs_dir={self.folder}\nrand_serial=yes\ndefault_md=sha256\n"
            "policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        self._run(
            "ca", "-batch", "-config", config, "-cert", self.ca,
            "-keyfile", self.ca_key, "-in", request, "-out", self.certificate,
            "-notext", "-extfile", extra,
            "-startdate", f"{now - timedelta(days=10):%Y%m%d%H%M%SZ}",
            "-enddate", f"{now + timedelta(days=days):%Y%m%d%H%M%SZ}",
        )  # fmt: skip

    def _run(self, *arguments):
        subprocess.run(
            ["openssl", *map(str, arguments)], check=True, capture_output=True
        )
