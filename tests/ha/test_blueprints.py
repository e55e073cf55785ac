"""Each blueprint is imported, made into an automation, and does what it promises."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from klippy_extra import contract
from tests.ha.home_assistant import ROOT, DistantPhone, Phone, until
from tests.ha.printer import Paper

FILTER = "binary_sensor.voron_filter_due"


@pytest.fixture
def due(wear_out):
    return wear_out


@pytest.fixture
def phone(home, automate, request):
    phone = Phone(home, f"phone {request.node.name}"[:40])
    yield phone
    # At a Done, an automation clears its notification on the phone.
    automate.end()
    phone.close()


def last_by(home) -> str:
    by: str = home.attributes(FILTER)["last_by"]
    return by


def count(home) -> int:
    done: int = home.attributes(FILTER)["done_count"]
    return done


def notify(home, automate, *phones, **inputs) -> None:
    devices = [home.device(each.name)["id"] for each in phones]
    inputs = {"tasks": [FILTER], "phones": devices, "later": 12, **inputs}
    automate("reminder", "notify", **inputs)


def remembers(message) -> bool:
    """Whether the automation remembers what it has sent."""
    return message.topic == MEMORY and bool(message.payload) and not message.retained


MEMORY = f"klipper_upkeep_told/automation.reminder/{FILTER}"


def test_a_phone_gets_due_tasks_and_how_they_are_done(home, automate, phone, due):
    notify(home, automate, phone)

    due()

    notification = phone.notified()
    assert notification["title"] == "Voron"
    assert notification["message"] == "Carbon filter: Replace the carbon."
    assert notification["data"]["actions"] == [
        {"action": f"KLIPPER_UPKEEP_DONE:{FILTER}:{count(home)}", "title": "Done"},
        {"action": f"KLIPPER_UPKEEP_LATER:{FILTER}:{count(home)}", "title": "Later"},
        {"action": "URI", "title": "Guide", "uri": "https://example.org/filter"},
    ]


def test_a_tap_on_done_reaches_the_printer_with_the_users_name(
    home, automate, phone, due, voron
):
    notify(home, automate, phone)
    due()
    notification = phone.notified()

    phone.tap(notification["data"]["actions"][0]["action"])

    home.wait(FILTER, "off")
    assert last_by(home) == "Anna"
    assert "Anna" in voron.log_of("filter")
    gone = phone.notified()
    assert gone["message"] == "clear_notification"
    assert gone["data"]["tag"] == notification["data"]["tag"]


def test_a_tap_on_later_snoozes_the_task(home, automate, phone, due):
    notify(home, automate, phone)
    due()
    notification = phone.notified()

    phone.tap(notification["data"]["actions"][1]["action"])

    home.wait("sensor.voron_filter_status", "snoozed")
    assert phone.notified()["message"] == "clear_notification"


def test_a_task_is_notified_once_over_any_reload(home, automate, phone, due):
    """After a reload of MQTT, Home Assistant takes the sensor for a new one."""
    notify(home, automate, phone)
    due()
    notification = phone.notified()

    home.reload("mqtt")
    home.wait(FILTER, "on")
    home.call("automation.reload")
    home.call("button.press", "button.voron_filter_done")

    # The next notification that the phone gets clears the first.
    gone = phone.notified()
    assert gone["message"] == "clear_notification"
    assert gone["data"]["tag"] == notification["data"]["tag"]


def test_a_tap_on_an_old_notification_is_answered_and_changes_nothing(
    home, automate, phone, due, voron
):
    notify(home, automate, phone)
    due()
    notification = phone.notified()
    voron.done("filter")
    assert phone.notified()["message"] == "clear_notification"
    before = count(home)

    phone.tap(notification["data"]["actions"][0]["action"])

    assert "this was done before" in phone.notified()["message"]
    assert count(home) == before


def test_a_tap_while_the_printer_is_off_is_answered(home, automate, phone, due, voron):
    notify(home, automate, phone)
    due()
    notification = phone.notified()
    voron.kill()
    home.wait("binary_sensor.voron_connected", "off")

    phone.tap(notification["data"]["actions"][0]["action"])

    assert "the printer is off" in phone.notified()["message"]
    voron.start()
    home.wait("binary_sensor.voron_connected", "on")
    home.wait(FILTER, "on")


def test_a_lost_phone_does_not_delay_the_others(home, automate, phone, due):
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
    automate.end()  # Until then it may log that it did not reach the other one.
    home.forget_log()


@pytest.fixture
def distant(home, automate, request):
    phone = DistantPhone(home, f"distant {request.node.name}"[:40])
    yield phone
    automate.end()
    phone.close()


def test_a_task_that_became_due_without_home_assistant_is_notified_at_its_start(
    home, automate, distant, due, voron
):
    notify(home, automate, distant)
    home.stop()
    voron.wear_out("filter", 60)

    home.start()

    notification = distant.notified(timeout=60)
    assert notification["message"] == "Carbon filter: Replace the carbon."
    home.wait(FILTER, "on")
    home.restart()
    home.wait(FILTER, "on")
    voron.done("filter")
    # It was notified once: the next notification clears it.
    assert distant.notified()["message"] == "clear_notification"


@pytest.fixture
def silent(home, listener):
    """A printer that is off, and whose limit in days has passed since."""
    limit = contract.Limit("time", "h", 720.0, 719.0, 1.0, 99.9)
    long_ago = time.time() - 7200.0
    belts = contract.State(1, long_ago, "belts", "Belts", (limit,), "time", contract.OK)
    info = contract.Info("511e470000000000000000000000000", "Silent", ("belts",), {})
    paper = Paper(listener, info, [belts])
    home.wait("sensor.silent_belts_status", "ok")
    home.wait("binary_sensor.silent_connected", "off")
    yield "binary_sensor.silent_belts_due"
    paper.clear()
    until(lambda: home.device("Silent") is None, "the printer to go")


def test_a_limit_in_days_that_passes_while_the_printer_is_off_is_notified(
    home, automate, phone, silent
):
    notify(home, automate, phone, tasks=[silent])

    home.trigger("reminder")

    assert phone.notified()["message"] == "Belts"


def clock(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%H:%M:%S")


def test_a_task_that_becomes_due_in_quiet_hours_is_notified_when_they_end(
    home, automate, phone, due, listener
):
    notify(home, automate, phone, quiet_from=clock(-1), quiet_to=clock(1))
    due()
    home.trigger("reminder")
    assert not [message for message in listener.messages if remembers(message)]

    notify(home, automate, phone, quiet_from=clock(1), quiet_to=clock(2))
    home.trigger("reminder")

    assert phone.notified()["message"].startswith("Carbon filter")


def test_a_task_that_is_still_due_later_is_notified_again_and_to_others(
    home, automate, phone, distant, due, listener
):
    other = home.device(distant.name)["id"]
    notify(home, automate, phone, again=24, others=[other])
    due()
    assert phone.notified()["message"] == "Carbon filter: Replace the carbon."
    message = listener.wait(remembers)
    word, occasion, moment = message.payload.decode().split()
    assert word == "told"
    day_before = f"told {occasion} {int(moment) - 24 * 3600}"

    listener.publish(MEMORY, day_before, retain=True)
    home.trigger("reminder")
    home.trigger("reminder")

    again = "Carbon filter is still due: Replace the carbon."
    for each in (phone, distant):
        assert each.notified()["message"] == again
    home.call("button.press", "button.voron_filter_done")
    for each in (phone, distant):
        assert each.notified()["message"] == "clear_notification"


@pytest.fixture
def speaker(home, listener):
    """A notify entity that publishes its messages on a topic."""
    topic = "homeassistant/notify/upkeep_speaker/config"
    config = {
        "name": "Speaker",
        "uniq_id": "upkeep_speaker",
        "obj_id": "speaker",
        "def_ent_id": "notify.speaker",
        "cmd_t": "speaker/say",
    }
    listener.publish(topic, config, retain=True)
    until(lambda: "notify.speaker" in home.states(), "the speaker")
    yield "notify.speaker"
    listener.publish(topic, "", retain=True)
    until(lambda: "notify.speaker" not in home.states(), "the speaker to go")


def test_notify_entities_get_a_text(home, automate, due, listener, speaker):
    notify(home, automate, entities=[speaker])

    due()

    listener.wait_for("speaker/say", b"Carbon filter: Replace the carbon.")


def test_assist_tells_the_due_tasks_of_all_printers_or_of_one(home, automate, due):
    automate("assist", "ask")
    assert home.converse("What is due?").startswith("Nothing is due. Next: ")

    due()

    assert home.converse("What is due?") == "Due: Carbon filter."
    assert home.converse("What is due on the Voron?") == "Due: Carbon filter."
    assert home.converse("what does the ender need") == (
        "There is no printer with this name."
    )


def german(first: str) -> dict[str, Any]:
    """Return the inputs in the docs that have *first* among them."""
    page = (ROOT / "docs" / "home-assistant.md").read_text()
    blocks = [each.split("```")[0] for each in page.split("```yaml\n")[1:]]
    inputs: list[dict[str, Any]] = [yaml.safe_load(each) for each in blocks]
    (wanted,) = [each for each in inputs if first in each]
    return wanted


def test_a_phone_gets_german_texts_with_the_inputs_of_the_docs(
    home, automate, phone, due, voron
):
    notify(home, automate, phone, **german("word_done"))
    due()
    notification = phone.notified()
    actions = [each["title"] for each in notification["data"]["actions"]]
    assert actions == ["Erledigt", "Später", "Anleitung"]
    voron.done("filter")
    assert phone.notified()["message"] == "clear_notification"

    phone.tap(notification["data"]["actions"][0]["action"])

    assert phone.notified()["message"].startswith(
        "Carbon filter: Das wurde schon erledigt, von "
    )


def test_assist_answers_in_german_with_the_inputs_of_the_docs(home, automate):
    automate("assist", "ask", **german("sentences"))

    assert home.converse("Was ist fällig?").startswith(
        "Es ist nichts fällig. Als Nächstes: "
    )
    assert home.converse("Was ist beim Ender fällig?") == (
        "Einen Drucker mit diesem Namen gibt es nicht."
    )


def test_the_weekly_summary_lists_due_tasks(home, automate, due):
    automate("weekly", "weekly_summary", weekday="sun", at="10:00:00")
    home.call("automation.trigger", "automation.weekly")
    home.call("automation.trigger", "automation.weekly")
    assert "klipper_upkeep_weekly" not in home.notifications()

    due()
    home.call("automation.trigger", "automation.weekly")

    notification = until(lambda: home.notifications().get("klipper_upkeep_weekly"))
    assert notification["message"] == "- Voron: Carbon filter"


def test_a_limit_in_days_that_passed_without_the_printer_is_listed_and_told(
    home, automate, silent
):
    automate("weekly", "weekly_summary", weekday="sun", at="10:00:00")
    automate("assist", "ask")

    home.call("automation.trigger", "automation.weekly")

    notification = until(lambda: home.notifications().get("klipper_upkeep_weekly"))
    assert notification["message"] == "- Silent: Belts"
    assert home.converse("What is due?") == "Due: Silent Belts."


def test_a_print_is_stopped_while_a_task_is_due_and_otherwise_goes_on(
    home, automate, silent, due
):
    """There are two printers, and the one with the due task is named."""
    printing = "input_boolean.maintained"  # It takes the place of a printer's state.
    stop = {"action": "input_boolean.turn_off", "target": {"entity_id": printing}}
    automate(
        "start",
        "print_start",
        printing=printing,
        started="on",
        due=[silent, "binary_sensor.voron_maintenance_due"],
        block=[stop],
    )

    home.call("input_boolean.turn_on", printing)
    home.wait(printing, "on")
    assert "klipper_upkeep_print_start_voron" not in home.notifications()
    home.call("input_boolean.turn_off", printing)

    due()
    home.wait("binary_sensor.voron_maintenance_due", "on")
    home.call("input_boolean.turn_on", printing)

    notification = until(
        lambda: home.notifications().get("klipper_upkeep_print_start_voron")
    )
    home.wait(printing, "off")
    assert notification["title"] == "Voron: maintenance is due"
    assert "Carbon filter" in notification["message"]


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


# The events of other integrations when somebody completes the task Belts there.
ELSEWHERE = {
    "tag_done": ({"tag": "tag.spare_box"}, "tag_scanned", {"tag_id": "spare-box"}),
    "home_keeper": (
        {"name": "Belts"},
        "home_keeper_task_completed",
        {"name": "Belts", "origin": "manual"},
    ),
    "maintenance_supporter": (
        {"object": "Silent", "name": "Belts"},
        "maintenance_supporter_task_completed",
        {"object_name": "Silent", "task_name": "Belts"},
    ),
}


def test_a_completion_elsewhere_while_the_printer_is_off_is_answered_and_not_sent(
    home, automate, listener, silent
):
    home.ask("tag/create", tag_id="spare-box", name="Spare box")
    until(lambda: "tag.spare_box" in home.states(), "the tag")

    for blueprint, (inputs, event, fields) in ELSEWHERE.items():
        automate("elsewhere", blueprint, task=silent, **inputs)
        home.http("POST", f"/api/events/{event}", fields)
        about = f"klipper_upkeep_{blueprint.removesuffix('_done')}_{silent}"
        answer = until(lambda about=about: home.notifications().get(about), about)
        assert answer["title"] == "Silent"
        assert 'The printer is off, so "Belts" was not marked done' in answer["message"]

    assert not [each for each in listener.messages if each.topic.endswith("/command")]


def test_a_task_that_home_keeper_completes_by_itself_is_not_done_at_the_printer(
    home, automate, due, voron
):
    """Its task follows our sensor, which recovers when ours is snoozed."""
    automate("companion", "home_keeper", task=FILTER, name="Replace carbon")
    due()
    before = count(home)
    event = "/api/events/home_keeper_task_completed"
    completion = {"name": "Replace carbon", "origin": "home_keeper_sensor_recover"}

    home.http("POST", event, completion)
    completion.update(origin="home_keeper_tag_scan", who="person.anna")
    home.http("POST", event, completion)

    home.wait(FILTER, "off")
    assert count(home) == before + 1
    assert last_by(home) == "Anna"


@pytest.mark.parametrize(
    ("blueprint", "inputs", "completion", "by"),
    [
        (
            "home_keeper",
            {"name": "Replace carbon"},
            {"name": "Replace carbon", "who": "person.anna", "note": "all of it"},
            "Anna",
        ),
        (
            "maintenance_supporter",
            {"object": "Voron", "name": "Replace carbon"},
            {"object_name": "Voron", "task_name": "Replace carbon", "notes": None},
            "Maintenance Supporter",
        ),
    ],
)
def test_a_task_completed_in_a_companion_is_done_at_the_printer(
    home, automate, due, blueprint, inputs, completion, by
):
    automate("companion", blueprint, task=FILTER, **inputs)
    due()
    event = f"/api/events/{blueprint}_task_completed"

    before = home.attributes(FILTER)["done_count"]

    home.http("POST", event, dict.fromkeys(completion, "something else"))
    home.http("POST", event, completion)

    home.wait(FILTER, "off")
    assert last_by(home) == by
    assert home.attributes(FILTER)["done_count"] == before + 1
