"""Fixtures of the system tests: a printer on both back ends, and a broker."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.klippy import Source
from tests.brokers import BROKERS, Broker, ScriptedBroker, start
from tests.fakes.mosquitto import Mosquitto
from tests.mqtt_bridge.processes import Community
from tests.system.forks import ForkServer, KlippyServer
from tests.system.klippy import (
    PRINT,
    SPEED,
    BackEnd,
    Klippy,
    Printer,
    Virtual,
    klippys_from_environment,
)
from tests.system.listener import Listener

KLIPPYS = klippys_from_environment()
MakePrinter = Callable[..., Printer]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on both back ends.

    A test marked klipper runs only on real Klippys.
    """
    if "back_end" not in metafunc.fixturenames:
        return
    virtual = [] if metafunc.definition.get_closest_marker("klipper") else ["virtual"]
    marks = [pytest.mark.klipper, pytest.mark.timeout(PRINT)]
    if isinstance(KLIPPYS, str):
        real = [pytest.param("", marks=[*marks, pytest.mark.skip(KLIPPYS)])]
    else:
        real = [pytest.param(name, marks=marks) for name in KLIPPYS]
    metafunc.parametrize("back_end", virtual + real, indirect=True)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[Callable[[Source], ForkServer]]:
    """Return a function that returns the server that forks this Klippy."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def of(source: Source) -> ForkServer:
            server = KlippyServer(source)
            stack.callback(server.close)
            return server

        yield of


@pytest.fixture
def back_end(request: pytest.FixtureRequest) -> BackEnd:
    """The virtual printer, or one of the real Klippys."""
    if request.param == "virtual":
        return Virtual()
    assert isinstance(KLIPPYS, dict)
    pace = request.node.get_closest_marker("pace")
    speed = SPEED if pace is None else min(SPEED, pace.args[0])
    source = KLIPPYS[request.param]
    server = request.getfixturevalue("fork_server")(source)
    return Klippy(source, speed=speed, server=server)


@pytest.fixture
def community(tmp_path: Path) -> Iterator[Community]:
    """A registry, and the bridges and mKTL clients that a test starts."""
    with Community(tmp_path) as made:
        yield made


@pytest.fixture
def make_printer(back_end: BackEnd) -> Iterator[MakePrinter]:
    """Return a function that starts printers. They end with the test.

    The end of each log is in the test's output.
    """
    with contextlib.ExitStack() as stack:

        def make(sections: str = "", **options: str) -> Printer:
            printer = Printer(back_end, sections, **options)
            stack.callback(printer.close)
            stack.callback(lambda: sys.stdout.write(printer.log()[-6000:]))
            return printer

        yield make


@pytest.fixture
def broker(tmp_path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.kill()


@pytest.fixture(scope="module", params=BROKERS)
def any_broker(request, tmp_path_factory) -> Iterator[Broker | ScriptedBroker]:
    """Each of the six brokers, one after the other."""
    broker = start(request.param, tmp_path_factory.mktemp("broker"))
    yield broker
    broker.kill()


@pytest.fixture
def listen() -> Iterator[Callable[[Mosquitto], Listener]]:
    with contextlib.ExitStack() as stack:
        yield lambda broker: stack.enter_context(Listener(broker.port))
