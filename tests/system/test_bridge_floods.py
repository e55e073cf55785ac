"""While one client or printer sends a flood, the others are served."""

from __future__ import annotations

import threading

import pytest
import zmq

from mqtt_bridge import contract
from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.broker import buffered_socket, inbox
from mqtt_bridge.settings import Broker as BrokerSettings
from mqtt_bridge.settings import Settings
from tests.brokers import ScriptedBroker
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Items
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

FLOOD = 20_000  # SETs of one client that wait at once


class Client:
    """A bare mKTL client that sends SETs and reads the replies as they arrive."""

    def __init__(self, context, port):
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.RCVHWM, 0)
        self.socket.rcvtimeo, self.socket.linger = 60_000, 0
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.number = 0

    def set(self, key, value, user="anna"):
        self.number += 1
        payload = f'{{"value": {value}, "_user": "{user}"}}'.encode()
        target = f"upkeep.{key}".encode()
        ident = b"%d" % self.number
        self.socket.send_multipart([b"a", ident, b"SET", target, b"", payload])

    def read(self):
        """Return the payload of the next message if it is a REP, or None."""
        frames = self.socket.recv_multipart()
        return bytes(frames[5]) if frames[2] == b"REP" else None

    def reply(self):
        """Return the payload of the next REP."""
        while (payload := self.read()) is None:
            pass
        return payload


class Flood:
    """A client that keeps `FLOOD` SETs waiting, and counts its replies."""

    def __init__(self, client, key, value):
        self._client, self._key, self._value = client, key, value
        self.answers = []

    def fill(self):
        """Read the replies, and send as many SETs again."""
        while self._client.socket.poll(0):
            self._read()
        while self._client.number - len(self.answers) < FLOOD:
            self._client.set(self._key, self._value)

    def reply_to(self, other):
        """Return the next REP of *other*, and how many replies arrive before it."""
        before, payload = len(self.answers), None
        poller = zmq.Poller()
        for socket in (self._client.socket, other.socket):
            poller.register(socket, zmq.POLLIN)
        while payload is None:
            ready = dict(poller.poll(60_000))
            assert ready, "neither is answered"
            if other.socket in ready:
                payload = other.read()
            elif self._client.socket in ready:
                self._read()
        return payload, len(self.answers) - before

    def _read(self):
        payload = self._client.read()
        if payload is not None:
            self.answers.append(payload)


def port_of(community):
    [file] = (community.folder / "mktl/daemon/port/upkeep").glob("*.req")
    return int(file.read_text())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("voron.rods.threshold", -1.0),  # refused at once
        ("voron.rods.threshold", 100.0),  # some hundred wait for a printer
        ("gone.rods.done", 1),  # a printer that is offline
    ],
    ids=["refused", "waiting", "offline"],
)
def test_a_set_does_not_wait_for_another_clients_flood(community, broker, key, value):
    """It once stalled the bridge: for a minute with 60,000 SETs."""
    with (
        ScriptedPrinter(broker.port) as deaf,
        ScriptedPrinter(broker.port, "ender") as printer,
        ScriptedPrinter(broker.port, "gone") as gone,
        zmq.Context() as context,
    ):
        bridge = community.bridge(broker.port, verbose=False)
        deaf.answer = lambda *request: None
        gone.say("availability", contract.OFFLINE)
        flooder, other = (Client(context, port_of(community)) for _ in range(2))
        until(lambda: not community.get("gone.online"), "it is offline")
        flood = Flood(flooder, key, value)
        try:
            for number in range(5):
                flood.fill()
                other.set("ender.rods.threshold", 100.0 + number, "bo")
                reply, before = flood.reply_to(other)
                assert b"true" in reply
                # Of 20,000 that were sent before: in their order it would be all.
                assert before < FLOOD / 2
        finally:
            other.socket.close()
            flooder.socket.close()
        assert [each.by for each in printer.commands] == ["bo"] * 5
        assert "Traceback" not in bridge.log
        assert not any(b"Traceback" in each or b"/" in each for each in flood.answers)
        assert "no connection" not in bridge.log


def test_a_printer_that_sends_a_flood_does_not_delay_commands(community, broker):
    over = threading.Event()

    def flood(printer):
        while not over.is_set():
            for _ in range(200):
                printer.change(limits=(m.limit(used=printer.seq % 100),))
                printer.happen("due")

    with (
        ScriptedPrinter(broker.port) as wild,
        ScriptedPrinter(broker.port, "ender"),
        zmq.Context() as context,
    ):
        bridge = community.bridge(broker.port, verbose=False)
        other = Client(context, port_of(community))
        thread = threading.Thread(target=flood, args=(wild,))
        thread.start()
        try:
            for number in range(5):
                # The bridge itself ends a command that takes five seconds.
                other.set("ender.rods.threshold", 100.0 + number)
                assert b"true" in other.reply()
        finally:
            over.set()
            thread.join()
            other.socket.close()
        assert "no connection" not in bridge.log


def test_the_messages_that_wait_are_limited_and_none_is_lost(monkeypatch):
    """Beyond the limit the bridge stops reading, and TCP makes the broker wait."""
    monkeypatch.setattr(inbox, "FULL", 100_000)
    with ScriptedBroker() as source:
        bridge = make_bridge(
            Settings(broker=BrokerSettings(host="127.0.0.1", port=source.port)), Items()
        )
        bridge.start()
        try:
            assert bridge.ready.wait(30)
            # From now on the bridge reads no states.
            monkeypatch.setattr(inbox, "PORTION", 0)
            printers = [f"p{number}" for number in range(2000)]
            for slug in printers:
                for topic, payload in m.printer(slug).items():
                    source.publish(topic, payload)
            until(lambda: bridge.inbox.full, "it is full")
            most = inbox.FULL + buffered_socket.READ * 2
            assert bridge.inbox.size < most
            monkeypatch.setattr(inbox, "PORTION", 100)
            until(lambda: len(bridge.fleet.printers) == len(printers), "all printers")
            assert bridge.link.connects == 1
        finally:
            bridge.close()
