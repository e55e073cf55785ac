"""Ways to a broker: WebSockets, IPv6, and a certificate with another name."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import pytest

from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.cli.check import results
from mqtt_bridge.cli.probe import Probe
from mqtt_bridge.contract import Command
from mqtt_bridge.settings import Broker, Settings, Tls
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.mqtt_bridge.processes import Community
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Authority, Items
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def command(**broker):
    """Let a bridge send a command, and return how often the task was done."""
    bridge = make_bridge(Settings(broker=Broker(**broker)), Items())
    bridge.commands.transactions.answer_within = 30.0  # for a busy machine
    bridge.start()
    try:
        assert bridge.ready.wait(30), "the bridge did not become ready"
        request = bridge.ask("voron", "rods", lambda _, ident: Command("done", ident))
        assert request.result(30).ok
        return bridge.fleet.printers["voron"].tasks["rods"].named()["done_count"]
    finally:
        bridge.close()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_bridge_uses_mqtt_over_websockets(tmp_path, version, tls):
    port, lines, more = free_port(), ["protocol websockets"], {}
    if tls:
        authority = Authority(tmp_path)
        authority.sign(days=1)
        lines += [f"certfile {authority.certificate}", f"keyfile {authority.key}"]
        more = {"tls": Tls(ca=str(authority.ca))}
    broker = Mosquitto(tmp_path, f"listener {port} 127.0.0.1", *lines).start()
    with ScriptedPrinter(broker.port):
        there = {"host": "127.0.0.1", "port": port, "version": version,
                 "transport": "websockets", **more}  # fmt: skip
        assert command(**there) == 1
        with Probe(Broker(**there), 20) as probe:
            assert probe.refused == ""
    broker.kill()


@pytest.mark.logs_errors
def test_a_web_server_that_is_no_broker_is_reported(tmp_path, caplog, broker):
    """The MQTT port of mosquitto does not answer HTTP."""
    settings = Broker(host="127.0.0.1", port=broker.port, transport="websockets")
    bridge = make_bridge(Settings(broker=settings), Items())
    bridge.start()
    try:
        until(lambda: "no connection to ws://127.0.0.1" in caplog.text, "why", 30)
        assert not bridge.ready.is_set()
    finally:
        bridge.close()


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback")
def test_the_bridge_connects_to_an_ipv6_address(tmp_path):
    port = free_port()
    broker = Mosquitto(tmp_path, f"listener {port} ::1").start()
    with ScriptedPrinter(broker.port):
        assert command(host="::1", port=port) == 1
    assert Broker(host="::1", port=port).address == f"mqtt://[::1]:{port}"
    broker.kill()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_certificate_with_another_name_is_accepted_if_the_settings_name_it(
    tmp_path, caplog
):
    authority = Authority(tmp_path)
    authority.sign(days=1)
    port = free_port()
    broker = Mosquitto(
        tmp_path, f"listener {port} 127.0.0.1", f"certfile {authority.certificate}",
        f"keyfile {authority.key}",
    ).start()  # fmt: skip
    tls = Tls(ca=str(authority.ca))
    with ScriptedPrinter(broker.port):
        # The certificate is for 127.0.0.1, and the client connects by the name.
        there = {"host": "localhost", "port": port, "tls": tls}
        assert command(**there, server_name="127.0.0.1") == 1
        with Probe(Broker(**there), 20) as probe:
            assert "localhost" in probe.refused
        named = Broker(**there, server_name="127.0.0.1")
        with Probe(named, 20) as probe:
            assert probe.refused == ""
        [checked] = [each for each in results(Settings(broker=named))
                     if each.what == "TLS"]  # fmt: skip
        assert checked.fix == ""
    broker.kill()


def test_the_bridge_starts_a_registry_where_there_is_none(tmp_path, broker):
    with Community(tmp_path) as community, ScriptedPrinter(broker.port):
        community.registry.stop()
        bridge = community.bridge(broker.port, "store.registry=true")
        assert community.get("voron.rods.used") == 37.5
        bridge.stop()
        assert community.mk("get", "upkeep.voron.rods.used").returncode != 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can do so")
def test_the_registry_of_a_killed_bridge_ends_with_it(tmp_path, broker):
    with Community(tmp_path) as community:
        community.registry.stop()
        bridge = community.bridge(broker.port, "store.registry=true")
        children = Path(f"/proc/{bridge.pid}/task/{bridge.pid}/children").read_text()
        [registry] = map(int, children.split())
        bridge.kill()

        def has_ended():
            try:
                return "State:\tZ" in Path(f"/proc/{registry}/status").read_text()
            except FileNotFoundError:
                return True

        until(has_ended, "the registry's end")


def test_no_registry_is_started_where_one_answers(tmp_path, broker):
    with Community(tmp_path) as community, ScriptedPrinter(broker.port):
        bridge = community.bridge(broker.port, "store.registry=true")
        assert "a registry answers already" in bridge.log
        bridge.stop()
        assert community.registry.ended is None


def test_a_bridge_that_is_started_again_has_what_the_registry_remembers(
    tmp_path, broker
):
    """The bridge was killed, so the registry does not know that it is gone."""
    with Community(tmp_path) as community, ScriptedPrinter(broker.port):
        for name in ("first", "again"):
            bridge = community.bridge(broker.port, "store.registry=true", name=name)
            assert "on the air with 1 printers" in bridge.log
            assert community.get("voron.rods.used") == 37.5
            bridge.kill()


def test_a_registry_on_loopback_is_announced_at_its_address(tmp_path, broker):
    """A client with another home folder finds the bridge through it, reads and sets."""
    with Community(tmp_path) as community, ScriptedPrinter(broker.port):
        community.registry.stop()
        del community.env["MKTL_INTERFACE"]  # as for a user who sets nothing
        bridge = community.bridge(broker.port, "store.registry=true")
        community.env["MKTL_HOME"] = str(tmp_path / "somebody")
        assert community.get("voron.rods.used") == 37.5
        assert community.set("voron.rods.threshold=120") == ""
        bridge.stop()


def test_the_bridge_reads_and_commands_printers_under_several_base_topics(broker):
    """Each printer is under one of the base topics.

    Topics under others are not read.
    """
    with contextlib.ExitStack() as stack:
        halls = {"farm/hall-1": "voron", "farm/hall-2": "ender", "farm/hall-3": "prusa"}
        for base, slug in halls.items():
            stack.enter_context(ScriptedPrinter(broker.port, slug, base=base))
        settings = Settings(
            broker=Broker(
                host="127.0.0.1", port=broker.port, bases=("farm/hall-1", "farm/hall-2")
            )
        )
        bridge = make_bridge(settings, Items())
        bridge.commands.transactions.answer_within = 30.0  # for a busy machine
        bridge.start()
        stack.callback(bridge.close)
        assert bridge.ready.wait(30)
        assert set(bridge.fleet.printers) == {"voron", "ender"}
        for slug in ("voron", "ender"):
            until(lambda: bridge.fleet.printers[slug].online, "it is online")  # noqa: B023
            request = bridge.ask(slug, "rods", lambda _, ident: Command("done", ident))
            assert request.result(30).ok
