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


def count(home) -> int:
    done: int = home.attributes(FILTER)["done_count"]
    return done


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
        {"action": f"KLIPPER_UPKEEP_DONE:{FILTER}:{count(home)}", "title": "Done"},
        {"action": f"KLIPPER_UPKEEP_LATER:{FILTER}:{count(home)}", "title": "Later"},
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


def test_a_task_is_told_once_whatever_is_reloaded_meanwhile(home, automate, phone, due):
    """Home Assistant takes the sensor for a new one after a reload of MQTT."""
    notify(home, automate, phone)
    due()
    told = phone.notified()

    home.reload("mqtt")
    home.wait(FILTER, "on")
    home.call("automation.reload")
    home.call("button.press", "button.voron_filter_done")

    # The next that the phone hears of is that it is over.
    gone = phone.notified()
    assert gone["message"] == "clear_notification"
    assert gone["data"]["tag"] == told["data"]["tag"]


def test_a_tap_on_an_old_notification_says_so_and_changes_nothing(
    home, automate, phone, due, voron
):
    notify(home, automate, phone)
    due()
    told = phone.notified()
    voron.done("filter")
    assert phone.notified()["message"] == "clear_notification"
    before = count(home)

    phone.tap(told["data"]["actions"][0]["action"])

    assert "this was done before" in phone.notified()["message"]
    assert count(home) == before


def test_a_tap_while_the_printer_is_off_is_answered(home, automate, phone, due, voron):
    notify(home, automate, phone)
    due()
    told = phone.notified()
    voron.kill()
    home.wait("binary_sensor.voron_connected", "off")

    phone.tap(told["data"]["actions"][0]["action"])

    assert "the printer is off" in phone.notified()["message"]
    voron.start()
    home.wait("binary_sensor.voron_connected", "on")
    home.wait(FILTER, "on")


def test_a_phone_that_is_lost_keeps_no_other_from_being_told(
    home, automate, phone, due
):
    lost = Phone(home, f"lost {phone.name}"[:40])
    phones = [home.device(each.name)["id"] for each in (lost, phone)]
    (entry,) = [
        each
        for each in home.ask("config_entries/get")
        if each["domain"] == "mobile_app" and each["title"] == lost.name
    ]
    automate("reminder", "notify", tasks=[FILTER], phones=phones, later=12)
    lost.close()
    path = f"/api/config/config_entries/entry/{entry['entry_id']}"
    home.ask("config_entries/disable", entry_id=entry["entry_id"], disabled_by="user")

    due()

    assert phone.notified()["message"].startswith("Carbon filter")
    home.http("DELETE", path)
    home.forget_log()


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
    assert "klipper_upkeep_print_start_voron" not in home.notifications()
    home.call("input_boolean.turn_off", printing)

    due()
    home.wait("binary_sensor.voron_maintenance_due", "on")
    home.call("input_boolean.turn_on", printing)

    told = until(lambda: home.notifications().get("klipper_upkeep_print_start_voron"))
    home.wait(printing, "off")
    assert told["title"] == "Voron: maintenance is due"
    assert "Carbon filter" in told["message"]


def test_a_scanned_tag_marks_the_task_done(home, automate, phone, due):
    home.ask("tag/create", tag_id="filter-box", name="Filter box")
    until(lambda: "tag.filter_box" in home.states(), "the tag")
    automate("scan", "tag_done", tag="tag.filter_box", task=FILTER, note="New carbon")
    due()

    before = count(home)

    phone.scan("another")
    phone.scan("filter-box")
    phone.scan("filter-box")

    home.wait(FILTER, "off")
    assert last_by(home) == "Anna"
    assert count(home) == before + 1


def test_what_home_keeper_completes_by_itself_is_not_done_at_the_printer(
    home, automate, due, voron
):
    """Its task follows our sensor, which recovers when ours is snoozed."""
    automate("companion", "home_keeper", task=FILTER, name="Replace carbon")
    due()
    before = count(home)
    event = "/api/events/home_keeper_task_completed"
    told = {"name": "Replace carbon", "origin": "home_keeper_sensor_recover"}

    home.http("POST", event, told)
    home.http("POST", event, dict(told, origin="home_keeper_tag_scan", who="Ben"))

    home.wait(FILTER, "off")
    assert count(home) == before + 1
    assert last_by(home) == "Ben"


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
