"""The bridge on every broker receives everything, or reports what is missing."""

from __future__ import annotations

import contextlib
import logging
import threading

import pytest

from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.broker import link
from mqtt_bridge.broker.packets import MAX_BODY
from mqtt_bridge.contract import Command
from mqtt_bridge.settings import Broker, Settings, Store
from tests import forks
from tests.brokers import BROKERS, Rules, ScriptedBroker, start
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.processes import Community
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Items
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PRINTERS, TASKS = 12, 10
# RabbitMQ sends retained messages only for exact topics.
NAMED = tuple(f"p{number}" for number in range(PRINTERS))
# The other brokers, in the versions that are installed, know only MQTT 3.1.1.
VERSIONS = [
    *((name, "3.1.1") for name in BROKERS),
    *((name, "5") for name in ("mosquitto", "scripted")),
]
# The scripted broker sends no wills.
WITH_WILLS = [name for name in BROKERS if name != "scripted"]


@pytest.fixture(autouse=True)
def quick(monkeypatch, caplog):
    monkeypatch.setattr(link, "BACK_OFF", (0.1,))
    caplog.set_level(logging.INFO)


@contextlib.contextmanager
def bridge(port, printers=(), **broker):
    settings = Settings(
        broker=Broker(host="127.0.0.1", port=port, **broker),
        store=Store(printers=tuple(printers)),
    )
    made = make_bridge(settings, Items())
    made.commands.transactions.answer_within = 30.0  # for a busy machine
    made.start()
    try:
        yield made
    finally:
        made.close()


def farm():
    states = tuple(m.state(f"t{number}") for number in range(TASKS))
    messages = {}
    for slug in NAMED:
        messages |= m.printer(slug, states)
    return messages


def retain(port, messages):
    """Publish *messages* as printers do, and wait until the broker has stored them.

    amqtt acknowledges a message before it has stored it, and drops the last ones of a
    client that leaves. So the last message must come back, not only be acknowledged.
    """
    stored = threading.Event()
    with ScriptedPrinter(port, "publisher") as printer:
        client = printer.client
        client.message_callback_add("end", lambda *_: stored.set())
        client.subscribe("end", 1)
        for topic, payload in messages.items():
            client.publish(topic, payload, qos=1, retain=True)
        for topic in m.printer("publisher"):
            client.publish(topic, b"", qos=1, retain=True)
        client.publish("end", b"end", qos=1)
        assert stored.wait(60), "the last message never came back"


def done(made, slug="voron"):
    return made.ask(slug, "rods", lambda _, ident: Command("done", ident, by="anna"))


def whole(made):
    printers = made.fleet.printers
    return [slug for slug in NAMED if slug in printers and not printers[slug].missing]


# Every broker


@pytest.mark.parametrize(("any_broker", "version"), VERSIONS, indirect=["any_broker"])
def test_every_retained_message_arrives(any_broker, version):
    retain(any_broker.port, farm())
    printers = NAMED if any_broker.name == "rabbitmq" else ()
    with bridge(any_broker.port, printers, version=version) as made:
        assert made.ready.wait(60)
        until(lambda: len(whole(made)) == PRINTERS, "all printers are complete")
        assert made.settling.missing == {}


def test_a_command_is_carried_out_and_its_change_can_be_read(any_broker):
    """No other test leaves newer messages of this printer at the broker."""
    printers = ("prusa",) if any_broker.name == "rabbitmq" else ()
    with (
        ScriptedPrinter(any_broker.port, "prusa") as printer,
        bridge(any_broker.port, printers) as made,
    ):
        assert made.ready.wait(60)
        until(lambda: "rods" in made.fleet.printers["prusa"].tasks, "the task")
        until(lambda: made.fleet.printers["prusa"].online, "it is online")
        assert done(made, "prusa").result(20).ok
        assert made.fleet.printers["prusa"].tasks["rods"].named()["used"] == 0.0
        assert printer.commands[-1].by == "anna"


@pytest.mark.parametrize("any_broker", WITH_WILLS, indirect=True)
def test_a_printer_that_dies_is_reported_offline(any_broker):
    printers = ("ender",) if any_broker.name == "rabbitmq" else ()
    with (
        ScriptedPrinter(any_broker.port, "ender") as printer,
        bridge(any_broker.port, printers) as made,
    ):
        assert made.ready.wait(60)
        until(lambda: made.fleet.printers["ender"].online, "it is online")
        printer.leave()
        until(lambda: not made.fleet.printers["ender"].online, "it is offline")


def checked(community, broker, *flags):
    """Return what `check` prints about *broker*, and its exit code."""
    words = ["check"]
    for flag in ("broker.host=127.0.0.1", f"broker.port={broker.port}", *flags):
        words += ["--set", flag]
    done = forks.run("mqtt_bridge", *words, env=community.env, timeout=120)
    return done.stdout, done.returncode


def test_check_finds_no_fault_where_the_bridge_works(any_broker, tmp_path):
    """There are two printers, one of which other tests have left at the broker."""
    flags = ["store.registry=true"]
    if any_broker.name == "rabbitmq":
        flags.append("store.printers=voron,prusa")
    retain(any_broker.port, m.printer() | m.printer("prusa"))
    with Community(tmp_path) as community:
        text, code = checked(community, any_broker, *flags)
    assert code == 0, text


def test_check_tells_how_to_use_rabbitmq(tmp_path):
    """RabbitMQ sends retained messages only for exact topics, and none for a "+"."""
    broker = start("rabbitmq", tmp_path)
    try:
        retain(broker.port, m.printer())
        with Community(tmp_path) as community:
            text, code = checked(community, broker)
            assert "FAIL wildcards" in text, text
            assert text.count("FAIL") == 1, text
            assert "Name the printers in store.printers" in text
            assert code == 1
            text, code = checked(community, broker, "store.printers=voron")
            assert "all retained messages of voron arrived" in text, text
            assert "1 of 1 arrived only for their exact topics" in text
            assert code == 0
    finally:
        broker.kill()


# mosquitto with its limits


@pytest.fixture
def mosquitto(tmp_path):
    with contextlib.ExitStack() as stack:

        def make(*lines):
            broker = start("mosquitto", tmp_path, *lines)
            stack.callback(broker.kill)
            return broker

        yield make


@pytest.mark.parametrize("most", [10, 100, 1000])
def test_everything_arrives_from_a_broker_with_a_short_queue(mosquitto, most, caplog):
    """It drops most retained messages and our own mark. This is no missing right."""
    broker = mosquitto("max_inflight_messages 1", f"max_queued_messages {most}")
    with bridge(broker.port) as filler:
        assert filler.ready.wait(30)
    retain(broker.port, farm())
    with bridge(broker.port) as made:
        assert made.ready.wait(90)
        assert len(whole(made)) == PRINTERS
    assert "the right to write" not in caplog.text


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_with_a_short_keepalive_keeps_the_connection(
    mosquitto, version, caplog
):
    """With MQTT 5 the server's keepalive replaces the client's."""
    broker = mosquitto("max_keepalive 20")
    with bridge(broker.port, version=version, keepalive=30) as made:
        assert made.ready.wait(30)
    assert "no connection" not in caplog.text


# What only cloud brokers do


def test_a_subscribe_packet_has_at_most_eight_filters():
    """AWS IoT Core accepts eight filters, and ends the connection at more."""
    with ScriptedBroker(Rules(most_filters=8)) as broker:
        broker.retain(farm())
        with bridge(broker.port, NAMED) as made:
            assert made.ready.wait(30)
            assert len(whole(made)) == PRINTERS
    assert max(map(len, broker.subscribes)) == 8


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_refused_subscription_costs_only_its_own_messages(version, caplog):
    rules = Rules(refuses=lambda each: 0x87 if each.endswith("/events") else 0)
    with ScriptedBroker(rules) as broker:
        broker.retain(farm())
        with bridge(broker.port, version=version) as made:
            assert made.ready.wait(30)
            assert len(whole(made)) == PRINTERS
            assert made.link.left_out == [m.topic("+", "events")]
    [line] = [each for each in caplog.messages if "/events" in each]
    assert "the events that it sends to people" in line
    assert len(broker.connects) == 1


def test_a_subscription_that_ends_the_connection_is_left_out(caplog):
    """EMQX does this with deny_action = disconnect.

    The bridge once repeated the subscription for ever.
    """
    rules = Rules(cuts=lambda each: each.endswith("/summary"))
    with ScriptedBroker(rules) as broker:
        broker.retain(farm())
        with bridge(broker.port) as made:
            assert made.ready.wait(30)
            assert len(whole(made)) == PRINTERS
            assert made.link.left_out == [m.topic("+", "summary")]
    assert len(broker.connects) == 4
    assert caplog.text.count("ends the connection at") == 1


def test_a_refused_command_fails_after_one_round_trip():
    """MQTT 5's PUBACK reports the refusal.

    Waiting for the printer would take five seconds.
    """
    rules = Rules(denies=lambda topic: 0x87 if topic.endswith("/command") else 0)
    with ScriptedBroker(rules) as broker:
        broker.retain(m.printer())
        with bridge(broker.port, version="5") as made:
            assert made.ready.wait(30)
            made.commands.transactions.answer_within = 600.0
            error = done(made).exception(60)
    assert isinstance(error, RuntimeError)
    assert "Not authorized" in str(error)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_command_at_which_the_broker_ends_the_connection_is_not_repeated(
    version, caplog
):
    """MQTT 3.1.1 has no other refusal, and each attempt disconnects all users."""
    rules = Rules(ends_at=lambda topic: topic.startswith(m.topic("voron", "tasks")))
    with ScriptedBroker(rules) as broker:
        broker.retain(m.printer() | m.printer("ender"))
        with bridge(broker.port, version=version) as made:
            assert made.ready.wait(30)
            for connects in (1, 2):
                until(lambda: made.link.connected, "a connection")
                until(lambda: made.fleet.printers["voron"].online, "it is online")
                error = done(made).exception(10)
                assert isinstance(error, TimeoutError)
                broker.wait_for(lambda: len(broker.connects) > connects)  # noqa: B023
            until(lambda: made.fleet.printers["voron"].online, "it is online again")
            error = done(made).exception(10)
            assert isinstance(error, RuntimeError)
            assert "ends the connection at a message to" in str(error)
            done(made, "ender")
            broker.wait_for(lambda: "ender" in broker.published[-1][0])
            assert made.link.connected
    assert len(broker.connects) == 3
    assert caplog.text.count("ends the connection at a message to") == 1


def test_a_mark_at_which_the_broker_ends_the_connection_is_not_repeated(caplog):
    with ScriptedBroker(Rules(ends_at=lambda topic: "/_bridge/" in topic)) as broker:
        broker.retain(farm())
        with bridge(broker.port) as made:
            assert made.ready.wait(60)
            assert len(whole(made)) == PRINTERS
    assert len(broker.connects) == 3
    assert caplog.text.count("ends the connection at a message to") == 1


def test_a_packet_longer_than_the_broker_accepts_is_not_sent():
    """MQTT 5's CONNACK tells the Maximum Packet Size."""
    with ScriptedBroker(Rules(b"\x27\0\0\0\x80", most_packet=128)) as broker:
        broker.retain(m.printer())
        with bridge(broker.port, version="5") as made:
            assert made.ready.wait(30)
            request = made.ask(
                "voron", "rods", lambda _, t: Command("done", t, note="x" * 500)
            )
            assert "no message of more than 128 bytes" in str(request.exception(10))
            assert made.link.connected
            assert len(broker.connects) == 1


def test_the_bridge_tells_the_broker_its_own_maximum_packet_size():
    with ScriptedBroker() as broker, bridge(broker.port, version="5") as made:
        assert made.ready.wait(30)
    limit = b"\x27" + MAX_BODY.to_bytes(4, "big")
    assert limit in broker.connects[0]["properties"]


def test_a_broker_that_knows_only_qos_0_gets_qos_0():
    """MQTT 5's CONNACK tells the Maximum QoS."""
    with ScriptedBroker(Rules(b"\x24\0")) as broker:
        broker.retain(m.printer())
        with bridge(broker.port, version="5") as made:
            assert made.ready.wait(30)
            done(made)
            broker.wait_for(lambda: broker.published[-1][0].endswith("/command"))
            assert made.link.connected


def test_without_wildcards_the_named_printers_are_complete(caplog):
    """MQTT 5's CONNACK tells Wildcard Subscription Available."""
    with ScriptedBroker(Rules(b"\x28\0")) as broker:
        broker.retain(farm())
        with bridge(broker.port, NAMED, version="5") as made:
            assert made.ready.wait(30)
            until(lambda: len(whole(made)) == PRINTERS, "all are complete")
            state = m.state("t0", seq=9, limits=(m.limit(used=40.0),)).encode()
            broker.publish(m.topic("p0", "tasks/t0"), state)
            until(
                lambda: made.fleet.printers["p0"].tasks["t0"].seq == 9, "a later state"
            )
    assert not [each for part in broker.subscribes for each in part if "+" in each]
    assert caplog.text.count("only the printers that store.printers names") == 1


def test_a_broker_that_retains_nothing_is_reported(caplog):
    """MQTT 5's CONNACK tells Retain Available."""
    with (
        ScriptedBroker(Rules(b"\x25\0", retains=False)) as broker,
        bridge(broker.port, version="5") as made,
    ):
        assert made.ready.wait(30)
        with ScriptedPrinter(broker.port):
            until(lambda: made.fleet.printers, "what it sends live")
            until(lambda: not made.fleet.missing(), "all its messages")
    assert caplog.text.count("it retains no messages") == 1


def test_the_bridge_waits_for_retained_messages_that_follow_its_mark():
    """aedes and EMQX send them so. MQTT promises no order here."""
    with ScriptedBroker(Rules(late=True)) as broker:
        broker.retain(farm())
        with bridge(broker.port) as made:
            assert made.ready.wait(30)
            assert len(whole(made)) == PRINTERS


def test_a_message_that_never_arrives_is_named_and_other_printers_are_served(caplog):
    lost = m.topic("p3", "tasks/t5")
    with ScriptedBroker(Rules(drops=lambda topic, _: topic == lost)) as broker:
        broker.retain(farm())
        with bridge(broker.port) as made:
            assert made.ready.wait(30)
            assert len(whole(made)) == PRINTERS - 1
            assert made.settling.missing == {"p3": [lost]}
    assert "1 topics of 1 printers have not arrived, of p3" in caplog.text


def test_another_client_with_the_same_id_is_reported_and_left_alone(caplog):
    """The broker sends DISCONNECT 0x8E, session taken over."""
    with (
        ScriptedBroker(Rules(kick=0x8E)) as broker,
        bridge(broker.port, version="5", client_id="same"),
    ):
        until(lambda: "has the same broker.client_id" in caplog.text, "what it may be")
    assert "taken over" in caplog.text
    assert "broker.client_id ('same')" in caplog.text
    assert {each["client_id"] for each in broker.connects} == {"same"}


def test_a_broker_that_restarts_again_and_again_is_reported(tmp_path, caplog):
    """The broker has chosen our client id, so no other client can have it."""
    port = free_port()
    with bridge(port) as made:
        for number in range(link.SHORT_ONES):
            broker = Mosquitto(tmp_path, port=port).start()
            until(lambda: made.link.connects > number, "a connection")  # noqa: B023
            broker.kill()
        until(lambda: "within 10 s each" in caplog.text, "what it may be")
    assert "it is started again and again" in caplog.text
    assert "client_id" not in caplog.text
    assert "Unspecified error" not in caplog.text
