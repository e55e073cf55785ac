"""The extra's link with limited brokers, and what people are told about them."""

from __future__ import annotations

import socket
import threading

import pytest

from klippy_extra.broker import Broker
from tests.brokers import Rules, ScriptedBroker
from tests.fakes.certificate import write_certificate
from tests.fakes.links import Reactor, make_link
from tests.fakes.mosquitto import Mosquitto, free_port

pytestmark = pytest.mark.system

# Properties of CONNACK (MQTT 5, section 3.2.2.3)
SMALL = b"\x27" + (200).to_bytes(4, "big")  # Maximum Packet Size
NO_RETAIN = b"\x25\0"
QOS_0 = b"\x24\0"
NO_WILDCARDS = b"\x28\0"
OFTEN = b"\x13\0\1"  # Server Keep Alive of 1 s
NOT_AUTHORISED, TAKEN_OVER = 0x87, 0x8E
TASKS = [f"p/t{number}/command" for number in range(20)]


@pytest.fixture
def reactor(monkeypatch):
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT", 0.0)
    monkeypatch.setattr("klippy_extra.mqtt.link.BACK_OFF", (0.02,) * 6)
    return Reactor()


@pytest.fixture
def links(reactor):
    made = []

    def make(port, **more):
        subscriptions = {
            name: more.pop(name) for name in ("then", "instead") if name in more
        }
        where = Broker("127.0.0.1", "test-client", port, **more)
        made.append(make_link(reactor, where, **subscriptions))
        return made[-1]

    yield make
    for link in made:
        link.close()


@pytest.fixture
def scripted():
    made = []

    def make(**rules):
        made.append(ScriptedBroker(Rules(**rules)))
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


def arrives(broker, topic):
    broker.wait_for(lambda: any(each == topic for each, _ in broker.published))


def test_a_message_that_is_too_large_is_left_out_and_named(scripted, links, reactor):
    broker = scripted(properties=SMALL)
    link = links(broker.port, version="5")
    reactor.until("connected")
    link.publish("p/large", b"x" * 200)
    link.publish("p/small", b"x")

    arrives(broker, "p/small")
    assert "p/large" not in [topic for topic, _ in broker.published]
    assert "up to 200 bytes. The one to p/large" in reactor.until("notice")[1]


def test_a_broker_without_retained_messages_gets_none(scripted, links, reactor):
    broker = scripted(properties=NO_RETAIN)
    link = links(broker.port, version="5")
    assert "keeps no retained messages" in reactor.until("notice")[1]
    reactor.until("connected")
    link.publish("p/state", b"x", retain=True)

    arrives(broker, "p/state")
    assert broker.retained == {}


def test_a_broker_that_knows_only_qos_0_gets_everything_once(scripted, links, reactor):
    broker = scripted(properties=QOS_0)
    link = links(broker.port, version="5")
    reactor.until("connected")
    for number in range(100):
        link.publish(f"p/{number}", b"x")

    arrives(broker, "p/99")
    assert "QoS 0" in reactor.until("notice")[1]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_without_wildcards_each_topic_has_its_own_subscription(
    scripted, links, reactor, version
):
    """A property or a refusal tells it.

    There are at most eight filters in one packet.
    """
    rules = {"refuses": lambda each: 0xA2 if "+" in each else 0, "most_filters": 8}
    if version == "5":
        rules["properties"] = NO_WILDCARDS
    broker = scripted(**rules)
    links(broker.port, version=version, instead={"p/+/command": TASKS})
    reactor.until("connected")

    subscribed = [each for filters in broker.subscribes for each in filters]
    assert set(TASKS) <= set(subscribed)
    assert max(map(len, broker.subscribes)) == 8
    assert ("+" in "".join(subscribed)) is (version == "3.1.1")
    broker.publish("p/t7/command", b"done")
    assert reactor.until("message")[1] == "p/t7/command"


def test_the_servers_keepalive_is_used(scripted, links, reactor):
    broker = scripted(properties=OFTEN)
    links(broker.port, version="5", keepalive=600)
    reactor.until("connected")

    broker.wait_for(lambda: broker.pings > 0)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_refused_subscription_costs_only_its_own_messages(
    scripted, links, reactor, version
):
    broker = scripted(refuses=lambda each: 0x87 if each == "home/status" else 0)
    link = links(broker.port, version=version, then=("p/+/command", "home/status"))
    reactor.until("connected")
    assert "subscription to home/status" in reactor.until("notice")[1]
    link.publish("p/state", b"x")

    arrives(broker, "p/state")
    assert len(broker.connects) == 1


def test_a_subscription_that_ends_the_connection_is_left_out(scripted, links, reactor):
    """EMQX may do so when it denies a subscription."""
    broker = scripted(cuts=lambda each: each == "home/status")
    links(broker.port, then=("p/+/command", "home/status"))
    reactor.until("connected")

    assert "ends the connection at home/status" in reactor.until("notice")[1]
    broker.publish("p/t7/command", b"done")
    assert reactor.until("message")[1] == "p/t7/command"


def test_a_message_that_ends_the_connection_is_left_out_the_second_time(
    scripted, links, reactor, monkeypatch
):
    """MQTT 3.1.1 has no other way to refuse a message."""
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT", 60.0)
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT_BACK_OFF", (0.02,))
    broker = scripted(most_packet=1000)
    link = links(broker.port)

    def snapshot():
        reactor.until("connected")
        for topic in ("p/before", "p/large", "p/after"):
            link.publish(topic, b"x" * (2000 if topic == "p/large" else 1))

    snapshot()
    reactor.until("lost")
    snapshot()
    assert "ends the connection at p/large" in reactor.until("notice")[1]
    snapshot()
    arrives(broker, "p/after")


def test_a_refused_publication_is_reported_with_its_reason(scripted, links, reactor):
    broker = scripted(denies=lambda topic: NOT_AUTHORISED if topic == "p/x" else 0)
    link = links(broker.port, version="5")
    reactor.until("connected")
    link.publish("p/x", b"x")

    assert reactor.until("notice")[1] == (
        "The MQTT broker refuses what is published to p/x: it does not authorise us:"
        " look at 'credentials' and at the broker's rights."
    )


def test_a_link_that_another_client_takes_over_waits_longer(
    scripted, links, reactor, monkeypatch
):
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT", 30.0)
    broker = scripted(kick=TAKEN_OVER)
    links(broker.port, version="5")

    assert "a copied card, or 'mqtt_client_id'" in reactor.until("trouble")[1]
    reactor.until("taken over")
    with pytest.raises(AssertionError):
        broker.wait_for(lambda: len(broker.connects) > 1, seconds=3.0)


def test_two_links_with_one_client_id_report_a_take_over(
    tmp_path, links, reactor, monkeypatch
):
    """MQTT 3.1.1 does not tell why a connection ends, but several ends in a row do."""
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT", 30.0)
    monkeypatch.setattr("klippy_extra.mqtt.link.SHORT_BACK_OFF", (0.02,))
    broker = Mosquitto(tmp_path).start()
    try:
        links(broker.port)
        links(broker.port)
        reactor.until("taken over")
    finally:
        broker.kill()


def test_a_link_that_leaves_ends_by_itself_and_publishes_no_offline(
    scripted, links, reactor
):
    broker = scripted()
    link = links(broker.port)
    reactor.until("connected")
    [thread] = (t for t in threading.enumerate() if t.name == "maintain-link")
    link.leave()
    thread.join(15)
    assert not thread.is_alive()
    assert ("p/availability", b"offline") not in broker.published


# What people are told of a broker that does not work


def trouble(reactor):
    text = reactor.until("trouble")[1]
    assert text.startswith("The MQTT broker 127.0.0.1:")
    assert "nspecified" not in text
    return text


def test_if_no_broker_runs_the_options_are_named(links, reactor):
    links(free_port())

    assert "look at 'mqtt_host' and 'mqtt_port'" in trouble(reactor)


def test_a_lost_broker_is_reported_once_and_again_when_it_works(
    tmp_path, links, reactor
):
    later = Mosquitto(tmp_path)
    links(later.port)
    trouble(reactor)
    later.start()
    reactor.until("connected")
    assert reactor.until("trouble") == ("trouble", "")
    later.kill()


def test_a_web_server_is_reported_as_no_broker(links, reactor):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        links(server.getsockname()[1])
        assert "does not answer as an MQTT broker" in trouble(reactor)
        thread.join(5)


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for the name `other.example`."""
    write_certificate(tmp_path, "other.example", "DNS:other.example")
    return tmp_path


@pytest.fixture
def secure(certificate):
    broker = Mosquitto(
        certificate, f"certfile {certificate}/crt", f"keyfile {certificate}/key"
    ).start()
    yield broker
    broker.kill()


def test_a_tls_port_without_tls_is_reported_so(secure, links, reactor):
    links(secure.port)

    assert "without 'mqtt_tls'" in trouble(reactor)


# Paho drops the socket of a failed handshake without closing it.
FAILED_HANDSHAKE = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@FAILED_HANDSHAKE
@pytest.mark.logs_errors
def test_tls_on_a_plain_port_is_reported_so(tmp_path, links, reactor):
    plain = Mosquitto(tmp_path).start()
    links(plain.port, tls=True)
    text = trouble(reactor)
    plain.kill()

    assert "'mqtt_tls'" in text or "does not answer as an MQTT broker" in text


@FAILED_HANDSHAKE
def test_a_certificate_with_another_name_is_reported_and_can_be_named(
    secure, certificate, links, reactor
):
    ca = str(certificate / "crt")
    links(secure.port, tls=True, ca=ca)
    assert "look at 'mqtt_server_name'" in trouble(reactor)

    links(secure.port, tls=True, ca=ca, server_name="other.example")
    reactor.until("connected")


def test_a_refused_password_names_the_option(tmp_path, links, reactor):
    closed = Mosquitto(tmp_path, "allow_anonymous false").start()
    links(closed.port, username="anna", password="wrong")
    text = trouble(reactor)
    closed.kill()

    assert "look at 'credentials'" in text


def test_the_link_can_use_a_websocket(tmp_path, links, reactor):
    port = free_port()
    broker = Mosquitto(
        tmp_path, f"listener {port} 127.0.0.1", "protocol websockets"
    ).start()
    link = links(port, path="/mqtt")
    reactor.until("connected")
    link.publish("p/info", b"hello")
    assert reactor.until("message")[1:3] == ("p/info", b"hello")
    broker.kill()
