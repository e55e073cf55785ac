"""Our blueprint with Home Keeper itself, if HOME_KEEPER names a checkout of it.

Without a checkout this file is not collected: see conftest.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.test_blueprints import FILTER, count, last_by


@pytest.fixture(scope="module")
def keeper(homes) -> HomeAssistant:
    """Home Keeper itself in the newest Home Assistant.

    Returns the folder of its checkout.
    """
    home = homes["latest"]
    name = "custom_components/home_keeper"
    shutil.copytree(Path(os.environ["HOME_KEEPER"]) / name, home.folder / name)
    home.restart()
    home.flow("home_keeper", {})
    return home


@pytest.mark.parametrize("channel", ["latest"], indirect=True)
def test_home_keeper_and_the_printer_have_the_same_state(
    keeper, home, automate, wear_out, voron
):
    """Its task follows our sensor. A task that is snoozed here is not done there."""
    automate("companion", "home_keeper", task=FILTER, name="Replace carbon")
    sensor = {"entity_id": FILTER, "mode": "state", "state": "on"}
    sensor["clear_on_recover"] = True
    wanted = {"name": "Replace carbon", "recurrence_type": "sensor", "sensor": sensor}
    task = keeps(home, "add_task", **wanted)["task_id"]
    before = count(home)

    wear_out()
    until(lambda: kept(home, task)["next_due"], "Home Keeper to see that it is due")
    home.ask(
        "call_service",
        domain="mqtt",
        service="publish",
        service_data={
            "topic": home.attributes(FILTER)["command_topic"],
            "payload": '{"command": "snooze", "for": 1}',
        },
    )
    home.wait(FILTER, "off")
    until(lambda: not kept(home, task)["next_due"], "Home Keeper to complete it")
    assert count(home) == before

    voron.done("filter")
    wear_out()
    until(lambda: kept(home, task)["next_due"], "Home Keeper to see that it is due")
    before = count(home)
    home.ask(
        "call_service",
        domain="home_keeper",
        service="complete_task",
        service_data={"task_id": task, "who": "person.anna", "note": "all of it"},
    )
    home.wait(FILTER, "off")
    assert count(home) == before + 1
    assert last_by(home) == "Anna"


def keeps(home, action, **data) -> Any:
    """Return the response of one of Home Keeper's actions."""
    answer = home.ask(
        "call_service",
        domain="home_keeper",
        service=action,
        service_data=data,
        return_response=True,
    )
    return answer["response"]


def kept(home, task) -> dict[str, Any]:
    """Return a task as Home Keeper has it."""
    (kept_task,) = [
        each for each in keeps(home, "list_tasks")["tasks"] if each["id"] == task
    ]
    return dict(kept_task)
