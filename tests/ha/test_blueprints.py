"""Each blueprint is imported, made into an automation, and does what it says."""

from __future__ import annotations

import pytest

from tests.ha.home_assistant import Phone, until

FILTER = "binary_sensor.voron_filter_due"


@pytest.fixture
def due(home, voron):
    """Make the carbon filter due, and done in the end."""

    def wear_out() -> None:
        voron.wear_out("filter", 60)
        home.wait(FILTER, "on")

    yield wear_out
    voron.done("filter")
    home.wait(FILTER, "off")


@pytest.fixture
def automate(home):
    """Automations that go when the test is over."""
    names = []

    def automate(name, blueprint, /, **inputs):
        names.append(name)
        home.automate(name, blueprint, **inputs)

    yield automate
    for name in names:
        home.forget_automation(name)


@pytest.fixture
def phone(home, request):
    phone = Phone(home, f"phone {request.node.name}"[:40])
    yield phone
    phone.close()


def last_by(home) -> str:
    by: str = home.attributes(FILTER)["last_by"]
    return by


def notify(home, automate, phone) -> None:
    device = home.device(phone.name)["id"]
    automate("reminder", "notify", tasks=[FILTER], phones=[device], later=12)


def test_a_phone_is_told_what_is_due_and_how_it_is_done(home, automate, phone, due):
    notify(home, automate, phone)

    due()

    told = phone.notified()
    assert told["title"] == "Voron"
    assert told["message"] == "Carbon filter: Replace the carbon."
    assert told["data"]["actions"] == [
        {"action": f"KLIPPER_UPKEEP_DONE:{FILTER}", "title": "Done"},
        {"action": f"KLIPPER_UPKEEP_LATER:{FILTER}", "title": "Later"},
        {"action": "URI", "title": "Guide", "uri": "https://example.org/filter"},
    ]


def test_a_tap_on_done_reaches_the_printer_in_the_name_of_who_tapped(
    home, automate, phone, due, voron
):
    notify(home, automate, phone)
    due()
    told = phone.notified()

    phone.tap(told["data"]["actions"][0]["action"])

    home.wait(FILTER, "off")
    assert last_by(home) == "Anna"
    assert "Anna" in voron.log_of("filter")
    gone = phone.notified()
    assert gone["message"] == "clear_notification"
    assert gone["data"]["tag"] == told["data"]["tag"]


def test_a_tap_on_later_lets_the_printer_snooze(home, automate, phone, due):
    notify(home, automate, phone)
    due()
    told = phone.notified()

    phone.tap(told["data"]["actions"][1]["action"])

    home.wait("sensor.voron_filter_status", "snoozed")
    assert phone.notified()["message"] == "clear_notification"


def test_the_weekly_summary_lists_what_is_due(home, automate, due):
    automate("weekly", "weekly_summary", weekday="sun", at="10:00:00")
    home.call("automation.trigger", "automation.weekly")
    home.call("automation.trigger", "automation.weekly")
    assert "klipper_upkeep_weekly" not in home.notifications()

    due()
    home.call("automation.trigger", "automation.weekly")

    told = until(lambda: home.notifications().get("klipper_upkeep_weekly"))
    assert told["message"] == "- Voron: Carbon filter"


def test_a_print_is_stopped_while_something_is_due_and_goes_on_otherwise(
    home, automate, due
):
    printing = "input_boolean.maintained"  # stands for a printer's state
    stop = {"action": "input_boolean.turn_off", "target": {"entity_id": printing}}
    automate(
        "start",
        "print_start",
        printing=printing,
        started="on",
        due=["binary_sensor.voron_maintenance_due"],
        block=[stop],
    )

    home.call("input_boolean.turn_on", printing)
    home.wait(printing, "on")
    assert "klipper_upkeep_print_start" not in home.notifications()
    home.call("input_boolean.turn_off", printing)

    due()
    home.wait("binary_sensor.voron_maintenance_due", "on")
    home.call("input_boolean.turn_on", printing)

    told = until(lambda: home.notifications().get("klipper_upkeep_print_start"))
    home.wait(printing, "off")
    assert told["title"] == "Voron: maintenance is due"
    assert "Carbon filter" in told["message"]


def test_a_scanned_tag_marks_the_task_done(home, automate, phone, due):
    home.ask("tag/create", tag_id="filter-box", name="Filter box")
    until(lambda: "tag.filter_box" in home.states(), "the tag")
    automate("scan", "tag_done", tag="tag.filter_box", task=FILTER, note="New carbon")
    due()

    phone.scan("another")
    phone.scan("filter-box")

    home.wait(FILTER, "off")
    assert last_by(home) == "Anna"


@pytest.mark.parametrize(
    ("blueprint", "inputs", "told", "by"),
    [
        (
            "home_keeper",
            {"name": "Replace carbon"},
            {"name": "Replace carbon", "who": "Ben", "note": "all of it"},
            "Ben",
        ),
        (
            "maintenance_supporter",
            {"object": "Voron", "name": "Replace carbon"},
            {"object_name": "Voron", "task_name": "Replace carbon", "notes": None},
            "Maintenance Supporter",
        ),
    ],
)
def test_what_is_completed_in_a_companion_is_done_at_the_printer(
    home, automate, due, blueprint, inputs, told, by
):
    automate("companion", blueprint, task=FILTER, **inputs)
    due()
    event = f"/api/events/{blueprint}_task_completed"

    before = home.attributes(FILTER)["done_count"]

    home.http("POST", event, dict.fromkeys(told, "something else"))
    home.http("POST", event, told)

    home.wait(FILTER, "off")
    assert last_by(home) == by
    assert home.attributes(FILTER)["done_count"] == before + 1
