"""The bridge's daemon in this process: what it keeps, and what it releases."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from mktl_daemon import RefusedError
from mktl_daemon.server.announcer import Announcer
from mktl_daemon.testing import forget
from mqtt_bridge.broker import link
from mqtt_bridge.daemon import BridgeDaemon
from mqtt_bridge.push.memory import Memory
from mqtt_bridge.settings import Broker, Push, Rule, Settings
from tests.mktl_daemon.conftest import free_udp
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Relay
from tests.system.test_bridge_people import Ntfy
from tests.waiting import until

pytestmark = pytest.mark.system

STOP_WITHIN = 2.0 + 0.5  # two seconds, and half a second more for a busy machine
TWO = (m.limit(), m.limit("filament", "m", 100.0, 1000.0, 50.0))


@pytest.fixture
def start(tmp_path, monkeypatch, broker):
    monkeypatch.setenv("MKTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MKTL_INTERFACE", "127.0.0.1")
    monkeypatch.setenv("MKTL_DISCOVERY", f"{free_udp()},{free_udp()}")
    forget()
    started = []

    def begin(port=broker.port, **more):
        settings = Settings(broker=Broker(host="127.0.0.1", port=port), **more)
        options = SimpleNamespace(settings=settings)
        started.append(BridgeDaemon("upkeep", "mqtt", False, options))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.cleanup()
    gc.unfreeze()
    forget()


def test_items_keep_their_values_while_their_description_changes(start, broker):
    """When another limit decides, the unit changes.

    A GET in between gets the old value.
    """
    with ScriptedPrinter(broker.port, "voron", m.state(limits=TWO)) as printer:
        daemon = start()
        item = daemon.store["voron.rods.used"]
        seen = []
        change = daemon.change
        daemon.change = lambda removed, placed: (
            change(removed, placed),
            seen.append((daemon.store["voron.rods.used"], item.value)),
        )
        printer.change(trigger="filament")
        until(lambda: item.value == 100.0, "the other limit")

    assert seen == [(item, 37.5)]
    assert daemon.catalog.description("voron.rods.used")["units"] == "meter"


def test_a_bridge_that_is_refused_releases_everything(start, broker, monkeypatch):
    """It is tried again every five seconds, perhaps with a large fleet."""
    left = []

    setup_final = BridgeDaemon.setup_final

    def note(daemon):
        left.append(weakref.ref(daemon.bridge.fleet))
        setup_final(daemon)

    def refuse(_):
        return [RefusedError("another one has them")]

    monkeypatch.setattr(BridgeDaemon, "setup_final", note)
    monkeypatch.setattr(Announcer, "announce", refuse)
    with ScriptedPrinter(broker.port):
        for _ in range(3):
            with pytest.raises(RefusedError):
                start()
            assert gc.isenabled()
        assert [each() is None for each in left[:2]] == [True, True]

        monkeypatch.setattr(Announcer, "announce", lambda _: [])
        daemon = start()
        until(lambda: "voron.rods.used" in daemon.store, "the printer")
        assert left[2]() is None
        assert gc.isenabled()


# Apprise loads all its services, and one of them imports an old module.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_the_bridge_stops_within_two_seconds_beside_connections_that_hang(
    start, broker, monkeypatch, tmp_path, request
):
    """A receiver of messages never answers, and a broker accepts no connection."""
    monkeypatch.setattr(link, "BACK_OFF", (0.1,))
    with (
        ScriptedPrinter(broker.port) as printer,
        Ntfy() as ntfy,
        Relay(broker.port) as relay,
    ):
        ntfy.gate.clear()
        request.addfinalizer(ntfy.gate.set)
        push = Push(rules=(Rule(to=(ntfy.address,)),), state=str(tmp_path / "s"))
        daemon = start(relay.port, push=push, metrics=("127.0.0.1", 0))
        until(lambda: daemon.bridge.fleet.printers, "the printer")
        printer.happen("due")
        until(lambda: ntfy.requests, "the message that hangs")
        relay.__exit__()
        with Full(relay.port) as full:
            until(full.is_waited_for, "the connection that hangs")
            begin = time.monotonic()
            daemon.cleanup()
            assert time.monotonic() - begin < STOP_WITHIN
        ntfy.gate.set()
        [left] = (t for t in threading.enumerate() if t.name == "upkeep-link")
        left.join(10)
        daemon.bridge.link.close()  # The bridge left this to the thread that hung.
    kept = Memory(str(tmp_path / "s"))
    [row] = kept.load()["waiting"]
    kept.close()
    assert "rods" in str(row), "the message is sent after the next start"


class Full:
    """A port whose queue of connections is full. The next connection hangs."""

    def __init__(self, port):
        self._port = port

    def __enter__(self):
        self._server = socket.create_server(("127.0.0.1", self._port), backlog=0)
        self._first = socket.create_connection(("127.0.0.1", self._port))
        return self

    def __exit__(self, *error):
        self._first.close()
        self._server.close()

    def is_waited_for(self):
        sockets = Path("/proc/net/tcp").read_text()
        return f":{self._port:04X} 02 " in sockets  # the state SYN_SENT
