"""Our advice and our blueprint with Maintenance Supporter itself.

MAINTENANCE_SUPPORTER names a checkout of it. Without one this file is not collected:
see conftest.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from klippy_extra import contract
from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.printer import Paper
from tests.ha.test_blueprints import FILTER, count, last_by

METER = "sensor.counted_print_time"
OBJECT = "Machine"
TASK = "sensor.machine_replace_carbon"
EVERY = 10.0  # hours printed
pytestmark = pytest.mark.parametrize("channel", ["latest"], indirect=True)


@pytest.fixture(scope="module")
def supporter(homes) -> HomeAssistant:
    """Maintenance Supporter itself, in the newest Home Assistant."""
    home = homes["latest"]
    name = "custom_components/maintenance_supporter"
    checkout = Path(os.environ["MAINTENANCE_SUPPORTER"])
    shutil.copytree(checkout / name, home.folder / name)
    home.restart()
    home.flow("maintenance_supporter", {})
    return home


@pytest.fixture
def counted(home, listener) -> Iterator[Paper]:
    """A printer whose hours a test can set."""
    meters = {"print_time": contract.Meter("h", "Print time")}
    info = contract.Info("c0117ed0000000000000000000000000", "Counted", (), meters)
    paper = Paper(listener, info)
    paper.read(print_time=100.0)
    home.wait(METER, "100.0")
    yield paper
    paper.clear()
    until(lambda: home.device("Counted") is None, "the printer to go")


@pytest.fixture
def task(supporter, home, counted) -> Iterator[str]:
    """The advice of our page: a counter of hours printed, in delta mode."""
    made = home.ask("maintenance_supporter/object/create", name=OBJECT)
    counter = {
        "type": "counter",
        "entity_id": METER,
        "trigger_target_value": EVERY,
        "trigger_delta_mode": True,
    }
    home.ask(
        "maintenance_supporter/task/create",
        entry_id=made["entry_id"],
        name="Replace carbon",
        schedule_type="sensor_based",
        trigger_config=counter,
    )
    home.wait(TASK, "ok")
    yield TASK
    home.ask("maintenance_supporter/object/delete", entry_id=made["entry_id"])
    home.wait(TASK, None)


def test_it_counts_printed_hours_and_starts_again_when_completed(
    home, counted, task, automate
):
    counted.read(print_time=109.0)
    home.wait(METER, "109.0")
    assert home.state(task) == "ok"
    counted.read(print_time=111.0)
    home.wait(task, "triggered")
    home.restart()
    home.wait(task, "triggered")  # It has the value at which it started to count.

    complete(home, task)

    home.wait(task, "ok")
    counted.read(print_time=120.0)
    home.wait(METER, "120.0")
    assert home.state(task) == "ok"
    counted.read(print_time=121.5)
    home.wait(task, "triggered")


def test_a_completion_there_is_done_at_the_printer_and_a_skip_is_not(
    home, counted, task, automate, wear_out, voron
):
    automate(
        "companion",
        "maintenance_supporter",
        task=FILTER,
        object=OBJECT,
        name="Replace carbon",
    )
    wear_out()
    before = count(home)

    call(home, "skip", entity_id=task, reason="not today")
    complete(home, task, notes="all of it")

    home.wait(FILTER, "off")
    assert (count(home), last_by(home)) == (before + 1, "Maintenance Supporter")
    assert "all of it" in voron.log_of("filter")


def complete(home: HomeAssistant, task: str, **more: str) -> None:
    call(home, "complete", entity_id=task, **more)


def call(home: HomeAssistant, action: str, **data: str) -> None:
    home.ask(
        "call_service",
        domain="maintenance_supporter",
        service=action,
        service_data=data,
    )
