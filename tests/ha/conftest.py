"""A broker, a virtual printer with the real extra, and both Home Assistants.

`HA_STABLE` and `HA_LATEST` name the folders that `tests/ha/install` has made. If a run
has both, both use the same printer.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from klippy_extra import contract
from tests.fakes import mosquitto
from tests.ha.browser import Browser, Gallery
from tests.ha.home_assistant import Forks, HomeAssistant, until
from tests.ha.printer import TASKS, Paper, Voron
from tests.ha.upkeep import TODO, set_up
from tests.system.forks import ForkServer
from tests.system.listener import Listener

DUE = "binary_sensor.voron_maintenance_due"
FILAMENT = "sensor.voron_filament"
BACKUP = "sensor.backup_print_time"
RESTORED = (1500.0, 1300.0, 1310.0)  # hours
ENVIRONMENTS = {"stable": "HA_STABLE", "latest": "HA_LATEST"}
HERE = Path(__file__).parent
SERVER = HERE / "fork_server.py"
# Each of these tests needs a checkout of that integration, and the newest Home
# Assistant.
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
    """The folder of a Home Assistant, if the environment names it."""
    return os.environ.get(ENVIRONMENTS[channel], "")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "newest: needs what the stable Home Assistant does not have"
    )


def pytest_report_header() -> list[str]:
    return [
        f"{name}: {'not set with HA_LATEST: not run' if name in MISSING else 'runs'}"
        for name in COMPANIONS
    ]


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Mark these tests, and deselect on the stable version what it does not have."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.ha)
            item.add_marker(pytest.mark.timeout(420))
    absent = [
        item
        for item in items
        if item.get_closest_marker("newest") and "[stable]" in item.name
    ]
    if absent:
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]


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
def listener(broker: mosquitto.Mosquitto) -> Iterator[Listener]:
    with Listener(broker.port) as listener:
        yield listener


@pytest.fixture(scope="session")
def forks(folder: Path) -> Iterator[Forks]:
    """Return a function that returns the server that forks this version."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def of(environment: Path) -> ForkServer:
            # A thread would be lost in a fork.
            variables = {"SHARED": str(folder), "OPENBLAS_NUM_THREADS": "1"}
            server = ForkServer(environment / "python", SERVER, **variables)
            stack.callback(server.close)
            return server

        yield of


@pytest.fixture(scope="session")
def homes(
    folder: Path, broker: mosquitto.Mosquitto, voron: Voron, forks: Forks
) -> Iterator[dict[str, HomeAssistant]]:
    """The Home Assistants of this run, by channel."""
    homes = {
        channel: HomeAssistant(
            Path(named(channel)), folder / channel, broker.port, forks
        )
        for channel in ENVIRONMENTS
        if named(channel)
    }
    try:
        for home in homes.values():
            home.launch_as_users_do()
        for home in homes.values():
            home.ready()
            assert home.missing() == [], "tests/ha/install has to install them"
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
    """A printer whose store is replaced by a backup while all run.

    It had 1500 hours.
    """
    meters = {"print_time": contract.Meter("h", "Print time")}
    info = contract.Info("ba0c0000000000000000000000000000", "Backup", (), meters)
    with Listener(broker.port) as listener:
        paper = Paper(listener, info)
        for hours in RESTORED:
            paper.read(print_time=hours)
            for home in homes.values():
                home.wait(BACKUP, f"{hours}")
        yield
        paper.clear()


@pytest.fixture(scope="session")
def printed(homes: dict[str, HomeAssistant], voron: Voron) -> float:
    """Print a file while all run, and return the filament meter's value.

    It comes first, because Home Assistant makes statistics every five minutes.
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
    """Return the meter's state, if it has not changed in the last two seconds."""
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
    """A user has enabled all entities of a printer."""
    waiting = until(home.disabled, "entities that wait") if not home.woken else []
    if waiting:
        home.show(waiting)
        home.woken = waiting
        home.wait(DUE, there)
        until(lambda: all(each in home.states() for each in waiting), "all of them")


@pytest.fixture
def plain(home: HomeAssistant) -> None:
    """No user has enabled any entity."""
    home.show(home.woken, shown=False)
    home.woken = []
    home.wait(DUE, there)


@pytest.fixture
def home(
    channel: str, homes: dict[str, HomeAssistant], printed: float, restored: None
) -> Iterator[HomeAssistant]:
    """A Home Assistant that has the printer, and whose log has to stay empty."""
    home = homes[channel]
    home.wait(DUE, there)
    yield home
    logged = home.logged()
    home.forget_log()
    assert logged == []


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests: each new one would have to compile every page."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(home: HomeAssistant, browser: Browser) -> Iterator[Browser]:
    with browser.visit(home) as page:
        yield page


@pytest.fixture
def gallery(page: Browser, channel: str) -> Gallery:
    return Gallery(page, channel)


@pytest.fixture
def upkeep(home: HomeAssistant) -> HomeAssistant:
    """A Home Assistant whose integration has the printer."""
    set_up(home)
    return home


@pytest.fixture
def due(upkeep: HomeAssistant, voron: Voron) -> Iterator[HomeAssistant]:
    """A Home Assistant with a due filter in the integration's list."""
    voron.wear_out("filter", 51.5)
    upkeep.wait(TODO, "1")
    yield upkeep
    voron.done("filter")
    # None means that it was deleted.
    upkeep.wait(TODO, lambda state: state in ("0", None))


@pytest.fixture
def wear_out(home, voron):
    """Make the carbon filter due, and at the end mark it done."""

    def wear_out() -> None:
        voron.wear_out("filter", 60)
        home.wait("binary_sensor.voron_filter_due", "on")

    yield wear_out
    voron.done("filter")
    home.wait("binary_sensor.voron_filter_due", "off")


class Automations:
    """Makes automations from blueprints, and ends them."""

    def __init__(self, home: HomeAssistant) -> None:
        self._home = home
        self._names: set[str] = set()

    def __call__(self, name: str, blueprint: str, /, **inputs: Any) -> None:
        if name in self._names:
            # After a reload this sensor is "on" all the time.
            self._home.forget_automation(name)
        self._names.add(name)
        self._home.automate(name, blueprint, **inputs)

    def end(self) -> None:
        while self._names:
            self._home.forget_automation(self._names.pop())


@pytest.fixture
def automate(home):
    """Make automations, which end with the test, or before a phone leaves."""
    automations = Automations(home)
    yield automations
    automations.end()
