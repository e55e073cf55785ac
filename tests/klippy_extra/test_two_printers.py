"""Two printers with one name at a real broker: the newcomer is silent and tells why."""

from __future__ import annotations

import paho.mqtt.client as paho
import pytest

from tests.fakes.virtual_printer import VirtualPrinter

pytestmark = [
    pytest.mark.system,
]


@pytest.fixture
def start(broker, tmp_path):
    started = []

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        config = (
            f"[maintain]\nstore: {folder}/store\nprinter_name: voron\n"
            f"mqtt_host: 127.0.0.1\nmqtt_port: {broker.port}\n"
            f"[maintain {name}]\ntrigger: print_time\nthreshold: 150\n"
        )
        printer = VirtualPrinter(config, folder)
        started.append(printer)
        return printer

    yield make
    for printer in started:
        printer.close()


def publisher(printer):
    return printer.lookup("maintain").life.connection.publisher


def complains(printer):
    return any("Another printer" in line for line in printer.console)


def live(printer):
    """Whether its snapshot is published.

    Some of the printer's time has to pass for that.
    """
    printer.advance(0.1)
    return publisher(printer).live


def is_online(broker):
    """Whether the broker has retained `online` for this name."""
    payloads = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda c, u, message: payloads.append(message.payload)
    # Its answer comes after the retained messages of the first subscription.
    client.on_subscribe = lambda c, *_: c.unsubscribe("none")
    client.on_unsubscribe = lambda c, *_: c.disconnect()
    client.connect("127.0.0.1", broker.port)
    client.subscribe("klipper_upkeep/voron/availability")
    client.loop_forever()
    return payloads == [b"online"]


def test_the_newcomer_publishes_nothing_and_tells_why(start, broker):
    first = start("first")
    # A message that is only sent does not own the name until the broker has it.
    first.wait_for(lambda: live(first) and is_online(broker))

    newcomer = start("newcomer")
    newcomer.wait_for(lambda: complains(newcomer))
    first.advance(1)
    newcomer.advance(1)

    assert publisher(newcomer).silent
    assert "'printer_name'" in newcomer.status("maintain")["problem"]
    assert publisher(first).live
    assert not complains(first)


def test_a_printer_that_comes_after_the_first_has_left_gets_the_name(start):
    first = start("first")
    first.wait_for(lambda: live(first))
    first.close()

    second = start("second")
    second.wait_for(lambda: live(second))

    assert not complains(second)


def test_of_two_printers_that_meet_at_a_new_broker_one_stays(start, broker):
    printers = [start("first"), start("second")]
    broker.kill()
    broker.start()

    def settled():
        states = [(live(printer), publisher(printer).silent) for printer in printers]
        return sorted(states) == [(False, True), (True, False)]

    printers[0].wait_for(settled, "one that is live and one that is silent", 30)
