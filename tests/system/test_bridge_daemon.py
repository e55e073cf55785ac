"""The bridge's daemon in this process: what it keeps, and what it lets go."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest

from mktl_daemon import Daemon, RefusedError
from mqtt_bridge.daemon import BridgeDaemon
from mqtt_bridge.settings import Broker, Settings
from tests.mktl_daemon.conftest import free_udp
from tests.mktl_daemon.core.conftest import forget
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.processes import until
from tests.mqtt_bridge.scripted import ScriptedPrinter

pytestmark = pytest.mark.system

TWO = (m.limit(), m.limit("filament", "m", 100.0, 1000.0, 50.0))


@pytest.fixture
def start(tmp_path, monkeypatch, broker):
    monkeypatch.setenv("MKTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MKTL_INTERFACE", "127.0.0.1")
    monkeypatch.setenv("MKTL_DISCOVERY", f"{free_udp()},{free_udp()}")
    forget()
    started = []

    def begin():
        settings = Settings(broker=Broker(host="127.0.0.1", port=broker.port))
        options = SimpleNamespace(settings=settings)
        started.append(BridgeDaemon("upkeep", "mqtt", False, options))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.cleanup()
    gc.unfreeze()
    forget()


def test_items_that_are_described_anew_keep_their_values_meanwhile(start, broker):
    """When another limit decides the unit changes: a GET between is answered."""
    with ScriptedPrinter(broker.port, "voron", m.state(limits=TWO)) as printer:
        daemon = start()
        item = daemon.store["voron.rods.used"]
        seen = []
        change = daemon.change
        daemon.bridge._sink = SimpleNamespace(
            change=lambda removed, placed: (
                change(removed, placed),
                seen.append((daemon.store["voron.rods.used"], item.value)),
            ),
            publish=daemon.publish,
        )
        printer.change(trigger="filament")
        until(lambda: item.value == 100.0, "the other limit")

    assert seen == [(item, 37.5)]
    assert daemon.catalog.description("voron.rods.used")["units"] == "meter"


def test_a_bridge_that_is_refused_leaves_nothing_behind(start, broker, monkeypatch):
    """It is tried again every five seconds, with a fleet that may be large."""
    left = []

    def refuse(daemon):
        left.append(weakref.ref(daemon.bridge.fleet))
        return [RefusedError("another one has them")]

    monkeypatch.setattr(Daemon, "_announce", refuse)
    with ScriptedPrinter(broker.port):
        for _ in range(3):
            with pytest.raises(RefusedError):
                start()
            assert gc.isenabled()
        assert [each() is None for each in left[:2]] == [True, True]

        monkeypatch.setattr(Daemon, "_announce", lambda daemon: [])
        daemon = start()
        until(lambda: "voron.rods.used" in daemon.store, "the printer")
        assert left[2]() is None
        assert gc.isenabled()
