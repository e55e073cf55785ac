"""What Home Assistant shows of a printer, with nothing installed but MQTT."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.printer import TASKS, retained
from tests.system.listener import Listener

PRINTER = "binary_sensor.voron_maintenance_due"
FIELDS = {
    "binary_sensor": ("due",),
    "sensor": ("status", "percent", "due_at", "last_done"),
    "button": ("done", "snooze"),
    "switch": ("enabled",),
    "event": ("event",),
}
# Beside those: of which meter, and how the sensors are called behind it.
AMOUNTS = {
    "rods": ("", "print_time_", "time_"),
    "nozzle": ("",),
    "filter": ("",),
    "cutter": ("",),
    "belts": ("travel_x_", "print_time_"),
}
THRESHOLDS = {**AMOUNTS, "rods": ("print_time_", "time_")}


def promised() -> set[str]:
    names = {
        "binary_sensor.voron_maintenance_due",
        "sensor.voron_tasks_due",
        "sensor.voron_next_task",
        "sensor.voron_next_due_at",
    }
    for task in TASKS:
        for platform, fields in FIELDS.items():
            names |= {f"{platform}.voron_{task}_{field}" for field in fields}
        for meter in AMOUNTS[task]:
            names |= {
                f"sensor.voron_{task}_{meter}{field}" for field in ("remaining", "used")
            }
        names |= {f"number.voron_{task}_{m}threshold" for m in THRESHOLDS[task]}
    return names


def test_the_printer_is_one_device_with_its_name_model_version_and_page(home):
    device = home.device("Voron")

    assert device["model"] == "Voron 2.4"
    assert device["sw_version"].startswith("Klipper v")
    assert device["configuration_url"] == "http://127.0.0.1/"


def test_every_promised_entity_is_there_under_its_name(home):
    """And no other, but for the meters."""
    entities = {each["entity_id"] for each in home.entities().values()}
    meters = {
        each["entity_id"]
        for unique, each in home.entities().items()
        if "_meter." in unique
    }

    assert entities - meters == promised()
    assert "sensor.voron_print_time" in meters


def test_the_rarely_wanted_meters_wait_disabled(home):
    disabled = {
        each["entity_id"]: each["disabled_by"] for each in home.entities().values()
    }

    assert disabled["sensor.voron_print_time"] is None
    assert disabled["sensor.voron_filament"] is None
    assert disabled["sensor.voron_travel_x"] is None  # a task counts by it
    assert disabled["sensor.voron_busy_time"] == "integration"
    assert disabled["sensor.voron_time"] == "integration"
    assert set(disabled.values()) == {None, "integration"}


SHOWN = {
    "sensor.{}_status": "status",
    "sensor.{}_percent": "percent",
    "sensor.{}_due_at": "due_at",
    "sensor.{}_last_done": "last_done",
    "sensor.{}_remaining": "remaining",
    "sensor.{}_used": "used",
    "number.{}_threshold": "threshold",
    "switch.{}_enabled": "enabled",
}


def same(shown: str, told: Any) -> bool:
    """Whether a state says what the printer's field says."""
    if told is None:
        return shown == "unknown"
    if isinstance(told, bool):
        return shown == ("on" if told else "off")
    if isinstance(told, (int, float)):
        return float(shown) == told
    if told.endswith("Z"):
        return datetime.fromisoformat(shown) == datetime.fromisoformat(told)
    return shown == told


def apart(home: HomeAssistant, told: dict[str, Any]) -> list[Any]:
    """Where a state is not what the printer says; each is there and none is idle."""
    states = home.states()
    found = []

    def compare(entity: str, value: Any) -> None:
        if not same(states[entity]["state"], value):
            found.append((entity, states[entity]["state"], value))

    for task, state in told.items():
        for pattern, field in SHOWN.items():
            entity = pattern.format(f"voron_{task}")
            if entity in promised():
                compare(entity, state[field])
        compare(f"binary_sensor.voron_{task}_due", state["status"] == "due")
        for limit in state["limits"] if len(state["limits"]) > 1 else ():
            name = f"voron_{task}_{limit['meter']}"
            for field in ("remaining", "used"):
                compare(f"sensor.{name}_{field}", limit[field])
            compare(f"number.{name}_threshold", limit["threshold"])
    return found


def test_every_state_is_what_the_printer_says(home, hears):
    """Read by another subscriber of the same broker."""
    told = retained(hears, "tasks")
    assert set(told) == set(TASKS)

    def latest() -> dict[str, Any]:
        for message in hears.heard:
            if "/tasks/" in message.topic and message.topic.count("/") == 3:
                told[message.topic.rsplit("/", 1)[-1]] = message.json
        return told

    def agree() -> bool:
        drain(hears)
        return not apart(home, latest())

    until(agree, f"{apart(home, latest())}")


def drain(hears: Listener) -> None:
    """Take in what has arrived."""
    while not hears._arrived.empty():
        hears.heard.append(hears._arrived.get())


def test_meters_read_what_the_printer_counts(home, hears):
    readings = retained(hears, "meters")["meters"]
    states = home.states()

    assert float(states["sensor.voron_print_time"]["state"]) == readings["print_time"]
    attributes = states["sensor.voron_filament"]["attributes"]
    assert attributes["unit_of_measurement"] == "m"
    assert attributes["device_class"] == "distance"
    assert attributes["state_class"] == "total_increasing"


def test_a_due_task_shows_as_a_problem_and_on_the_printer(home, voron):
    voron.wear_out("filter", 50)

    home.wait("binary_sensor.voron_filter_due", "on")
    home.wait(PRINTER, "on")
    home.wait("sensor.voron_tasks_due", "1")
    home.wait("sensor.voron_next_task", "Carbon filter")
    attributes = home.attributes("binary_sensor.voron_filter_due")
    assert attributes["device_class"] == "problem"
    assert attributes["message"] == "Replace the carbon."
    assert home.attributes(PRINTER)["due_tasks"] == ["Carbon filter"]

    voron.done("filter")
    home.wait("binary_sensor.voron_filter_due", "off")
    home.wait(PRINTER, "off")


def test_an_automation_starts_by_a_device_trigger(home, voron):
    device = home.device("Voron")["id"]
    triggers = [
        trigger
        for trigger in home.ask("device_automation/trigger/list", device_id=device)
        if trigger["domain"] == "mqtt"
    ]
    kinds = {(each["subtype"], each["type"]) for each in triggers}
    assert kinds == {(t, w) for t in TASKS for w in ("due", "due soon", "done")}
    trigger = next(
        t for t in triggers if (t["subtype"], t["type"]) == ("cutter", "done")
    )
    trigger.pop("metadata", None)
    notify = {
        "action": "persistent_notification.create",
        "data": {"notification_id": "seen", "message": "The cutter is new."},
    }
    home.automation("seen", {"triggers": [trigger], "actions": [notify]})

    voron.done("cutter")

    until(lambda: "seen" in home.notifications(), "the automation")
    home.forget_automation("seen")
