"""A broker, a virtual printer with the real extra, and both Home Assistants.

`HA_STABLE` and `HA_LATEST` name what `tests/ha/install` made. Where one run has both,
both watch the same printer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from klippy_extra import contract
from tests.fakes import mosquitto
from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.printer import TASKS, Paper, Voron
from tests.ha.upkeep import TODO, set_up
from tests.system.listener import Listener

DUE = "binary_sensor.voron_maintenance_due"
FILAMENT = "sensor.voron_filament"
BACKUP = "sensor.backup_print_time"
RESTORED = (1500.0, 1300.0, 1310.0)  # hours
ENVIRONMENTS = {"stable": "HA_STABLE", "latest": "HA_LATEST"}
HERE = Path(__file__).parent
# Each needs a checkout of that integration, and the newest Home Assistant.
COMPANIONS = {
    "HOME_KEEPER": "test_home_keeper.py",
    "MAINTENANCE_SUPPORTER": "test_maintenance_supporter.py",
}
MISSING = {
    name: file
    for name, file in COMPANIONS.items()
    if not (os.environ.get(name) and os.environ.get("HA_LATEST"))
}
collect_ignore = list(MISSING.values())


def named(channel: str) -> str:
    """The folder of a Home Assistant, where the environment names one."""
    return os.environ.get(ENVIRONMENTS[channel], "")


def pytest_report_header() -> list[str]:
    return [
        f"{name}: {'not set with HA_LATEST: not run' if name in MISSING else 'runs'}"
        for name in COMPANIONS
    ]


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
        channel: HomeAssistant(Path(named(channel)), folder / channel, broker.port)
        for channel in ENVIRONMENTS
        if named(channel)
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


@pytest.fixture(params=[each for each in ENVIRONMENTS if named(each)] or ["none"])
def channel(request: pytest.FixtureRequest) -> str:
    channel: str = request.param
    if channel == "none":
        names = " and ".join(ENVIRONMENTS.values())
        pytest.skip(f"{names} name no Home Assistant: see tests/ha/install")
    return channel


@pytest.fixture(scope="session")
def restored(
    homes: dict[str, HomeAssistant], broker: mosquitto.Mosquitto
) -> Iterator[None]:
    """A printer whose store came from a backup while all looked: it had 1500 hours."""
    meters = {"print_time": contract.Meter("h", "Print time")}
    info = contract.Info("ba0c0000000000000000000000000000", "Backup", (), meters)
    with Listener(broker.port) as hears:
        paper = Paper(hears, info)
        for hours in RESTORED:
            paper.read(print_time=hours)
            for home in homes.values():
                home.wait(BACKUP, f"{hours}")
        yield
        paper.clear()


@pytest.fixture(scope="session")
def printed(homes: dict[str, HomeAssistant], voron: Voron) -> float:
    """A file is printed while all look. Tells what the meter says.

    At the beginning, since Home Assistant takes five minutes to make statistics of it.
    """
    for home in homes.values():
        home.wait(FILAMENT, is_number)
    voron.print_something()
    for task in TASKS:
        voron.done(task)
    states = set()
    for home in homes.values():
        home.wait(FILAMENT, lambda state: is_number(state) and float(state) > 0.05)
        states.add(until(lambda home=home: resting(home), "the meter to settle"))
    (state,) = states
    return float(state)


def resting(home: HomeAssistant) -> str | None:
    """The meter's state, if it has not changed in the last two seconds."""
    state = home.states()[FILAMENT]
    changed = datetime.fromisoformat(state["last_changed"])
    old = datetime.now(UTC) - changed > timedelta(seconds=2)
    return str(state["state"]) if old else None


def is_number(state: str | None) -> bool:
    return state is not None and state.replace(".", "", 1).isdigit()


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
def home(
    channel: str, homes: dict[str, HomeAssistant], printed: float, restored: None
) -> Iterator[HomeAssistant]:
    """A Home Assistant that knows the printer, and whose log stays empty."""
    home = homes[channel]
    home.wait(DUE, there)
    yield home
    logged = home.logged()
    home.forget_log()
    assert logged == []


@pytest.fixture
def upkeep(home: HomeAssistant) -> HomeAssistant:
    """With the integration, which knows the printer."""
    set_up(home)
    return home


@pytest.fixture
def due(upkeep: HomeAssistant, voron: Voron) -> Iterator[HomeAssistant]:
    """A filter that is due, in the integration's list."""
    voron.wear_out("filter", 51.5)
    upkeep.wait(TODO, "1")
    yield upkeep
    voron.done("filter")
    upkeep.wait(TODO, lambda state: state in ("0", None))  # None: it was deleted


@pytest.fixture
def wear_out(home, voron):
    """Make the carbon filter due, and done in the end."""

    def wear_out() -> None:
        voron.wear_out("filter", 60)
        home.wait("binary_sensor.voron_filter_due", "on")

    yield wear_out
    voron.done("filter")
    home.wait("binary_sensor.voron_filter_due", "off")


@pytest.fixture
def automate(home):
    """Automations that go when the test is over."""
    names = set()

    def automate(name, blueprint, /, **inputs):
        if name in names:
            home.forget_automation(name)  # what was reloaded reads "on" all the time
        names.add(name)
        home.automate(name, blueprint, **inputs)

    yield automate
    for name in names:
        home.forget_automation(name)
