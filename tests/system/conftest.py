"""Fixtures of the system tests: a printer on either back end, and a broker."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.fakes.mosquitto import BINARY, MISSING, Mosquitto
from tests.system.klippy import (
    PRINT,
    BackEnd,
    Klippy,
    Printer,
    Virtual,
    klippy_from_environment,
    linked_extra,
)
from tests.system.listener import Listener

KLIPPY = klippy_from_environment()
MakePrinter = Callable[..., Printer]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on both back ends; one that is marked klipper, on Klippy only."""
    if "back_end" not in metafunc.fixturenames:
        return
    virtual = [] if metafunc.definition.get_closest_marker("klipper") else ["virtual"]
    marks = [pytest.mark.klipper, pytest.mark.timeout(2 * PRINT)]
    if isinstance(KLIPPY, str):
        marks.append(pytest.mark.skip(KLIPPY))
    real = [pytest.param("klippy", marks=marks)]
    if virtual and isinstance(KLIPPY, str):
        real = []
    metafunc.parametrize("back_end", virtual + real, indirect=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if isinstance(KLIPPY, str):
        terminalreporter.write_line(f"not run against a real Klippy: {KLIPPY}")


@pytest.fixture(scope="session")
def klippy() -> Iterator[Klippy]:
    assert isinstance(KLIPPY, Klippy)
    with linked_extra(KLIPPY.checkout):
        yield KLIPPY


@pytest.fixture
def back_end(request: pytest.FixtureRequest) -> BackEnd:
    """The virtual printer and, where the environment names one, the real Klippy."""
    if request.param == "klippy":
        return request.getfixturevalue("klippy")
    return Virtual()


@pytest.fixture
def make_printer(back_end: BackEnd) -> Iterator[MakePrinter]:
    """Makes printers that are gone after the test; their logs' ends stay."""
    with contextlib.ExitStack() as stack:

        def make(sections: str = "", **options: str) -> Printer:
            printer = Printer(back_end, sections, **options)
            stack.callback(printer.close)
            stack.callback(lambda: sys.stdout.write(printer.log()[-6000:]))
            return printer

        yield make


@pytest.fixture
def broker(tmp_path) -> Iterator[Mosquitto]:
    if BINARY is None:
        pytest.skip(MISSING)
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.kill()


@pytest.fixture
def listen() -> Iterator[Callable[[Mosquitto], Listener]]:
    with contextlib.ExitStack() as stack:
        yield lambda broker: stack.enter_context(Listener(broker.port))
