"""A broker, a virtual printer with the real extra, and both Home Assistants.

`HA_STABLE` and `HA_LATEST` name what `tests/ha/install` made. Both watch the same
printer, so that it is started once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import mosquitto
from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.printer import Voron
from tests.system.listener import Listener

DUE = "binary_sensor.voron_maintenance_due"
ENVIRONMENTS = {"stable": "HA_STABLE", "latest": "HA_LATEST"}
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.ha)
            item.add_marker(pytest.mark.timeout(420))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ha")


@pytest.fixture(scope="session")
def broker(folder: Path) -> Iterator[mosquitto.Mosquitto]:
    broker = mosquitto.Mosquitto(folder).start()
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def voron(broker: mosquitto.Mosquitto) -> Iterator[Voron]:
    voron = Voron(broker.port)
    voron.start()
    yield voron
    voron.close()


@pytest.fixture
def hears(broker: mosquitto.Mosquitto) -> Iterator[Listener]:
    with Listener(broker.port) as listener:
        yield listener


@pytest.fixture(scope="session")
def homes(
    folder: Path, broker: mosquitto.Mosquitto, voron: Voron
) -> Iterator[dict[str, HomeAssistant]]:
    """Those that are here, by channel."""
    homes = {
        channel: HomeAssistant(Path(os.environ[name]), folder / channel, broker.port)
        for channel, name in ENVIRONMENTS.items()
        if os.environ.get(name)
    }
    try:
        for home in homes.values():
            home.launch()
        for home in homes.values():
            home.ready()
            home.forget_log()
        yield homes
    finally:
        for home in homes.values():
            home.stop()


@pytest.fixture(params=ENVIRONMENTS)
def channel(request: pytest.FixtureRequest) -> str:
    channel: str = request.param
    name = ENVIRONMENTS[channel]
    if not os.environ.get(name):
        pytest.skip(f"{name} names no Home Assistant: see tests/ha/install")
    return channel


def there(state: str | None) -> bool:
    return state in ("on", "off")


@pytest.fixture
def everything(home: HomeAssistant) -> None:
    """Somebody has enabled all that a printer has."""
    waiting = until(home.disabled, "entities that wait") if not home.woken else []
    if waiting:
        home.show(waiting)
        home.woken = waiting
        home.wait(DUE, there)
        until(lambda: all(each in home.states() for each in waiting), "all of them")


@pytest.fixture
def plain(home: HomeAssistant) -> None:
    """As it is when nobody has enabled anything."""
    home.show(home.woken, shown=False)
    home.woken = []
    home.wait(DUE, there)


@pytest.fixture
def home(channel: str, homes: dict[str, HomeAssistant]) -> Iterator[HomeAssistant]:
    """A Home Assistant that knows the printer, and whose log stays empty."""
    home = homes[channel]
    home.wait(DUE, there)
    yield home
    logged = home.logged()
    home.forget_log()
    assert logged == []
