"""What Home Assistant shows of a printer with MQTT alone."""

from __future__ import annotations

from typing import Any

import pytest

from klippy_extra.mqtt.components import object_id
from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.printer import TASKS, retained

PRINTER = "binary_sensor.voron_maintenance_due"
FIELDS = {
    "binary_sensor": ("due",),
    "sensor": ("status", "percent", "due_at", "last_done"),
    "button": ("done", "snooze"),
    "switch": ("enabled",),
    "event": ("event",),
}
# Entities besides these: the meter, and the end of the sensors' names.
LIMITS = {
    "rods": ("print_time_", "time_"),
    "nozzle": ("",),
    "filter": ("",),
    "cutter": ("",),
    "belts": ("travel_x_", "print_time_"),
}
# The entities of a task and of a printer that are enabled by default.
SHOWN = {"binary_sensor": ("due",), "sensor": ("status", "remaining")}
OF_THE_PRINTER = {
    "binary_sensor.voron_maintenance_due",
    "binary_sensor.voron_connected",
    "sensor.voron_due_now",
    "sensor.voron_tasks_due",
    "sensor.voron_next_task",
    "sensor.voron_next_due_at",
}
METERS = {"print_time", "filament", "jobs_completed"}


def shown() -> set[str]:
    names = OF_THE_PRINTER | {f"sensor.voron_{meter}" for meter in METERS}
    for task in TASKS:
        names.add(f"button.voron_{task}_done")
        for platform, fields in SHOWN.items():
            names |= {f"{platform}.voron_{task}_{field}" for field in fields}
    return names


def promised() -> set[str]:
    names = set(OF_THE_PRINTER)
    for task in TASKS:
        for platform, fields in FIELDS.items():
            names |= {f"{platform}.voron_{task}_{field}" for field in fields}
        names.add(f"sensor.voron_{task}_remaining")
        for meter in LIMITS[task]:
            names |= {
                f"sensor.voron_{task}_{meter}{field}" for field in ("remaining", "used")
            }
        names |= {f"number.voron_{task}_{m}threshold" for m in LIMITS[task]}
    return names


def test_the_printer_is_one_device_with_its_name_model_version_and_web_page(home):
    device = until(lambda: home.device("Voron"), "the device")

    assert device["model"] == "Voron 2.4"
    assert device["sw_version"].startswith("Klipper v")
    assert device["configuration_url"] == "http://127.0.0.1/"


def test_every_promised_entity_exists_under_its_name(home):
    """There are no others but the meters."""
    known = home.entities_of("Voron")
    entities = {each["entity_id"] for each in known.values()}
    meters = {
        each["entity_id"] for unique, each in known.items() if "_meter." in unique
    }

    assert entities - meters == promised()
    assert "sensor.voron_print_time" in meters


@pytest.mark.usefixtures("plain")
def test_a_task_shows_four_entities_and_the_others_are_disabled(home):
    disabled = {
        each["entity_id"]: each["disabled_by"]
        for each in home.entities_of("Voron").values()
    }

    assert {entity for entity, by in disabled.items() if by is None} == shown()
    assert set(disabled.values()) <= {None, "integration", "user"}


def test_each_due_task_is_one_problem(home):
    problems = {
        entity
        for entity, state in home.states().items()
        if state["attributes"].get("device_class") == "problem"
    }
    assert problems == {f"binary_sensor.voron_{task}_due" for task in TASKS}


def apart(home: HomeAssistant, published: dict[str, Any]) -> list[Any]:
    """Return where states differ from what the printer published.

    Every entity exists and has a state.
    """
    states = home.states()
    differences = []
    for task, state in published.items():
        status = states[f"sensor.voron_{task}_status"]
        pairs = [("status", status["state"], state["status"])]
        pairs += [
            (name, status["attributes"].get(name), state[name])
            for name in (
                *("label", "percent", "remaining", "unit", "due_at", "last_done"),
                *("last_by", "guide", "message"),
            )
        ]
        due = states[f"binary_sensor.voron_{task}_due"]["state"]
        pairs.append(("due", due, "on" if state["status"] == "due" else "off"))
        remaining = states[f"sensor.voron_{task}_remaining"]["state"]
        pairs.append(("remaining", remaining, as_read(state)))
        differences += [(task, *each) for each in pairs if each[1] != each[2]]
    return differences


def as_read(state: dict[str, Any]) -> str:
    """Return the state of the remaining amount, with its unit if units differ."""
    if len(state["limits"]) == 1:
        return str(state["remaining"])
    if state["trigger"] == "time":
        return f"{state['remaining'] / 24:.3g} d"
    return f"{state['remaining']:.10g} {state['unit']}".strip()


def test_every_state_is_what_the_printer_published(home, listener):
    """Another subscriber of the same broker reads the messages."""
    published = retained(listener, "tasks")
    assert set(published) == set(TASKS)

    def latest() -> dict[str, Any]:
        for message in listener.messages:
            if "/tasks/" in message.topic and message.topic.count("/") == 3:
                published[message.topic.rsplit("/", 1)[-1]] = message.json
        return published

    def agree() -> bool:
        return not apart(home, latest())

    until(agree, f"{apart(home, latest())}")


def test_a_name_is_spelt_as_home_assistant_spells_it(home):
    """The names have letters that are no accented Latin ones."""
    for text in ("Großer Würfel", "Øyvinds Ærlige", "Łódź", "Þór Ðe Œuvre", "ıŋħŧđ"):
        shown = home.http(
            "POST", "/api/template", {"template": "{{ '" + text + "' | slugify }}"}
        )
        assert object_id(text) == shown


def is_number(state):
    return state is not None and state.replace(".", "", 1).isdigit()


def test_meters_show_the_printers_readings(home, listener):
    home.wait("sensor.voron_print_time", is_number)
    readings = retained(listener, "meters")["meters"]
    states = home.states()

    assert float(states["sensor.voron_print_time"]["state"]) == readings["print_time"]
    attributes = states["sensor.voron_filament"]["attributes"]
    assert attributes["unit_of_measurement"] == "m"
    assert attributes["device_class"] == "distance"
    assert attributes["state_class"] == "total"


def test_a_due_task_is_shown_as_a_problem_and_on_the_printer(home, voron):
    voron.wear_out("filter", 50)

    home.wait("binary_sensor.voron_filter_due", "on")
    home.wait(PRINTER, "on")
    home.wait("sensor.voron_tasks_due", "1")
    home.wait("sensor.voron_due_now", "Carbon filter")
    assert home.attributes("sensor.voron_due_now")["count"] == 1
    home.wait("sensor.voron_next_task", "Carbon filter")
    attributes = home.attributes("binary_sensor.voron_filter_due")
    assert attributes["device_class"] == "problem"
    assert attributes["message"] == "Replace the carbon."
    assert home.attributes(PRINTER)["due_tasks"] == ["Carbon filter"]

    voron.done("filter")
    home.wait("binary_sensor.voron_filter_due", "off")
    home.wait(PRINTER, "off")
    home.wait("sensor.voron_due_now", "Nothing")


def test_an_automation_can_use_a_trigger_that_the_device_offers(home, voron):
    """Home Assistant makes them for the due sensors, which are of class problem."""
    device = home.device("Voron")["id"]
    (cutter,) = [
        each
        for unique, each in home.entities_of("Voron").items()
        if unique.endswith("_task.cutter.due")
    ]
    (trigger,) = [
        trigger
        for trigger in home.ask("device_automation/trigger/list", device_id=device)
        if trigger["type"] == "problem"
        and trigger["entity_id"] in (cutter["id"], cutter["entity_id"])
    ]
    trigger.pop("metadata", None)
    notify = {
        "action": "persistent_notification.create",
        "data": {"notification_id": "seen", "message": "The cutter is worn."},
    }
    home.automation("seen", {"triggers": [trigger], "actions": [notify]})

    voron.wear_out("cutter", 3000)

    until(lambda: "seen" in home.notifications(), "the automation")
    home.forget_automation("seen")
    voron.done("cutter")
    home.wait("binary_sensor.voron_cutter_due", "off")
