"""A real Klippy on the virtual board, among the printers of a Home Assistant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ha.home_assistant import until
from tests.ha.printer import TASKS, Voron
from tests.system.klippy import Klippy, klippys_from_environment

FILTER = "binary_sensor.kalico_filter_due"


@pytest.fixture
def kalico(home, broker, listener) -> Iterator[Voron]:
    """A Klippy that runs in real time, as Home Assistant does.

    It ends with the test.
    """
    sources = klippys_from_environment()
    if isinstance(sources, str):
        pytest.skip(sources)
    back_end = Klippy(next(iter(sources.values())), speed=1.0)
    printer = Voron(broker.port, "Kalico", {"filter": TASKS["filter"]}, back_end)
    printer.start()
    yield printer
    printer.close()
    listener.wait_for("/kalico/availability", b"offline")
    for message in list(listener.messages):
        if "/kalico/" in message.topic or b'"Kalico"' in message.payload:
            listener.publish(message.topic, "", retain=True)
    until(lambda: home.device("Kalico") is None, "the printer to go")


def test_a_real_klippy_is_a_device_and_its_button_works(home, kalico):
    home.wait("sensor.kalico_filter_status", "ok", timeout=60)
    assert home.device("Kalico")["sw_version"].startswith("Klipper ")

    kalico.wear_out("filter", 60)
    home.wait(FILTER, "on")
    home.call("button.press", "button.kalico_filter_done")

    home.wait(FILTER, "off")
    assert "Anna" in kalico.log_of("filter")
