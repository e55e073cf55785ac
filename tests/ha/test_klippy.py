"""A real Klippy on the virtual board, among the printers of a Home Assistant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ha.home_assistant import until
from tests.ha.printer import TASKS, Voron
from tests.system.klippy import Klippy, klippys_from_environment

FILTER = "binary_sensor.kalico_filter_due"


@pytest.fixture
def kalico(home, broker, hears) -> Iterator[Voron]:
    """It lives at the pace of life, as Home Assistant does, and goes in the end."""
    sources = klippys_from_environment()
    if isinstance(sources, str):
        pytest.skip(sources)
    back_end = Klippy(next(iter(sources.values())), speed=1.0)
    printer = Voron(broker.port, "Kalico", {"filter": TASKS["filter"]}, back_end)
    printer.start()
    yield printer
    printer.close()
    hears.wait_for("/kalico/availability", b"offline")
    for told in list(hears.heard):
        if "/kalico/" in told.topic or b'"Kalico"' in told.payload:
            hears.publish(told.topic, "", retain=True)
    until(lambda: home.device("Kalico") is None, "the printer to go")


def test_a_real_klippy_is_a_device_whose_button_reaches_it(home, kalico):
    home.wait("sensor.kalico_filter_status", "ok", timeout=60)
    assert home.device("Kalico")["sw_version"].startswith("Klipper ")

    kalico.wear_out("filter", 60)
    home.wait(FILTER, "on")
    home.call("button.press", "button.kalico_filter_done")

    home.wait(FILTER, "off")
    assert "Anna" in kalico.log_of("filter")
