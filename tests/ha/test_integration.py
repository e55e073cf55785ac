"""The integration in a real Home Assistant: discovered, confirmed, used, removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.ha.home_assistant import until
from tests.ha.test_pages import put
from tests.ha.upkeep import (
    CALENDAR,
    DOMAIN,
    FLOWS,
    STATUS,
    TODO,
    act,
    entries,
    issues,
    offered,
    reload,
    set_options,
)

UPDATE = "update.voron_maintenance_software_of_the_printer"
DATE = "date.voron_maintenance_carbon_filter_last_done_on"
STRATEGY = "custom:klipper-upkeep"
FIXES = "/api/repairs/issues/fix"


def test_a_discovered_printer_is_offered_and_confirmed(home):
    if not entries(home):
        offers = until(lambda: offered(home), "the offer of the integration")
        done = home.http("POST", f"{FLOWS}/{offers[0]['flow_id']}", {})
        assert done["type"] == "create_entry"
    # An earlier test may have confirmed the offer already.
    until(lambda: entries(home)[0]["state"] == "loaded", "the entry")


def test_the_integration_has_its_own_device_below_discoverys_and_doubles_no_entity(
    upkeep,
):
    ours, theirs = upkeep.device("Voron maintenance"), upkeep.device("Voron")
    assert ours["entry_type"] == "service"
    # Discovery is sent after the tasks, so its device may come later.
    until(
        lambda: upkeep.device("Voron maintenance")["via_device_id"] == theirs["id"],
        "the link to MQTT's device",
    )
    made = upkeep.entities(DOMAIN).values()
    shown = sorted(each["entity_id"] for each in made if not each["disabled_by"])
    assert shown == [CALENDAR, TODO, UPDATE]
    assert upkeep.state(UPDATE) == "off"  # both have the same version


def test_a_tick_in_the_list_marks_done_with_the_users_name_and_can_be_undone(
    due, voron
):
    due.call("todo.update_item", TODO, item="filter", status="completed")

    due.wait(TODO, "0")
    due.wait("sensor.voron_filter_remaining", "50.0")
    assert "Anna" in voron.log_of("filter")

    due.call("todo.update_item", TODO, item="filter", status="needs_action")

    due.wait(TODO, "1")
    due.wait("sensor.voron_filter_remaining", "-1.5")


def test_automations_see_a_tick_as_a_completed_item(due, channel):
    if channel == "stable":
        return  # it has no such trigger
    notify = {
        "action": "persistent_notification.create",
        "data": {"notification_id": "ticked", "message": "ticked"},
    }
    completed = {"trigger": "todo.item_completed", "target": {"entity_id": TODO}}
    due.automation("ticked", {"triggers": [completed], "actions": [notify]})

    due.call("todo.update_item", TODO, item="filter", status="completed")

    until(lambda: "ticked" in due.notifications(), "the automation")
    due.forget_automation("ticked")


@pytest.fixture
def repaired(due):
    """Repairs for tasks that are overdue by one percent, which is an option."""
    assert issues(due) == set()
    set_options(due, repairs=True, repairs_margin=1)
    yield due
    set_options(due, repairs=False)


def test_an_overdue_task_is_a_repair_whose_note_is_in_the_printers_log(repaired, voron):
    due = repaired
    (issue,) = until(lambda: issues(due))

    flow = due.http("POST", FIXES, {"handler": DOMAIN, "issue_id": issue})
    done = due.http("POST", f"{FIXES}/{flow['flow_id']}", {"note": "it was black"})

    assert done["type"] == "create_entry"
    until(lambda: not issues(due), "the repair to vanish")
    log = voron.log_of("filter")
    assert "it was black" in log
    assert "Anna" in log


def test_actions_reach_the_printer_and_return_its_log(due):
    act(due, "snooze", task="filter", hours=5, by="Berta")
    due.wait("sensor.voron_filter_status", "snoozed")
    due.wait(TODO, "0")
    act(due, "done", task="filter", note="new carbon", by="Berta")
    due.wait("sensor.voron_filter_status", "ok")
    act(due, "set_threshold", task="filter", threshold=60)
    until(lambda: due.attributes(STATUS)["threshold"] == 60, "the threshold")
    act(due, "set_threshold", task="filter", threshold=50)
    act(due, "adjust", task="filter", used=2)
    due.wait("sensor.voron_filter_remaining", "48.0")

    log = act(due, "get_log", response=True, task="filter", limit=9)["response"]["log"]

    done = next(entry for entry in log if entry["event"] == "done")
    assert (done["by"], done["note"]) == ("Berta", "new carbon")


@pytest.mark.newest
def test_an_automation_can_use_its_own_trigger_and_condition(upkeep, voron):
    notify = {
        "action": "persistent_notification.create",
        "data": {"notification_id": "own", "message": "due"},
    }
    target = {"target": {"entity_id": [STATUS]}}
    upkeep.automation(
        "own",
        {
            "triggers": [{"trigger": f"{DOMAIN}.task_due", **target}],
            "conditions": [{"condition": f"{DOMAIN}.is_due", **target}],
            "actions": [notify],
        },
    )

    voron.wear_out("filter", 51)

    until(lambda: "own" in upkeep.notifications(), "the automation")
    upkeep.forget_automation("own")
    voron.done("filter")
    upkeep.wait(STATUS, "ok")


def test_a_refusal_of_the_printer_is_shown(upkeep):
    with pytest.raises(AssertionError, match="has no task"):
        act(upkeep, "done", task="flux capacitor")


def test_a_completion_is_in_the_calendar(due, voron):
    act(due, "done", task="filter", note="in the calendar")

    def events():
        path = f"/api/calendars/{CALENDAR}"
        window = "start=2020-01-01T00:00:00Z&end=2099-01-01T00:00:00Z"
        return due.http("GET", f"{path}?{window}")

    def sentence():
        return [
            each
            for each in events()
            if each["summary"] == "Voron: ✓ Carbon filter"
            and "in the calendar" in (each["description"] or "")
        ]

    assert until(sentence)


def test_the_logbook_has_a_sentence_for_it(due, voron):
    act(due, "skip", task="filter", note="not today", by="Berta")

    def sentences():
        lines = due.http("GET", "/api/logbook")
        return [line.get("message", "") for line in lines]

    wanted = "Carbon filter was skipped by Berta (not today)"
    assert until(lambda: wanted in sentences())


def test_diagnostics_contain_no_names_of_people(upkeep, voron):
    (entry,) = entries(upkeep)
    diagnostics = upkeep.http(
        "GET", f"/api/diagnostics/config_entry/{entry['entry_id']}"
    )
    assert set(diagnostics["data"]["printers"]["voron"]["tasks"]) >= {"rods", "filter"}
    assert "Anna" not in str(diagnostics["data"])


def test_a_printer_that_is_off_keeps_its_list_and_refuses_with_a_text(due, voron):
    voron.kill()
    due.wait("binary_sensor.voron_connected", "off")
    assert due.state(TODO) == "1"
    with pytest.raises(AssertionError, match="Voron is off"):
        act(due, "done", task="filter")

    voron.start()

    due.wait("binary_sensor.voron_connected", "on")
    due.wait(TODO, "1")


def test_an_action_that_failed_without_the_broker_is_not_done_later(
    due, voron, broker, listener
):
    before = due.attributes(STATUS)["done_count"]
    listener.wait_for("/availability", b"online")
    since = len(listener.messages)
    broker.kill()
    due.wait(TODO, "unavailable")
    with pytest.raises(AssertionError, match="nothing will be sent later"):
        act(due, "done", task="filter")

    broker.start()

    listener.wait_for("/availability", b"online", since)
    due.wait(TODO, "1", timeout=60)

    def is_snoozed():
        try:
            act(due, "snooze", task="filter", hours=1)
        except AssertionError as error:
            if "is off" not in str(error):
                raise
            return False  # It has not received the printer's messages yet.
        return True

    # A command that was on its way would have arrived before this one.
    until(is_snoozed, "the printer's return")
    due.wait(STATUS, "snoozed")
    assert due.attributes(STATUS)["done_count"] == before
    due.forget_log()  # The broker was away.


def test_the_integration_can_be_reloaded(upkeep):
    reload(upkeep)
    upkeep.wait(TODO, "0")


@pytest.fixture
def dated(upkeep):
    """The date of the filter, which is enabled."""

    def enable(by):
        upkeep.ask("config/entity_registry/update", entity_id=DATE, disabled_by=by)
        reload(upkeep)

    enable(None)
    upkeep.wait(DATE, lambda state: state not in (None, "unavailable"))
    yield upkeep
    enable("user")
    upkeep.wait(DATE, None)


def test_a_date_that_is_set_is_the_day_of_the_completion(dated, voron):
    """The filter was done today already, and no earlier day can undo this."""
    today = datetime.now(UTC).date()
    before = dated.attributes(STATUS)["done_count"]
    earlier = str(today - timedelta(days=3))
    with pytest.raises(AssertionError, match=f"refuses .*{earlier} 12:00"):
        dated.call("date.set_value", DATE, date=earlier)

    dated.call("date.set_value", DATE, date=str(today))

    until(lambda: dated.attributes(STATUS)["done_count"] == before + 1, "the count")
    assert dated.state(DATE) == str(today)
    assert "Anna" in voron.log_of("filter").splitlines()[0]


@pytest.mark.usefixtures("due")
def test_the_list_is_a_page_that_can_be_read(page, gallery):
    words = ("Carbon filter", "Voron maintenance")
    page.see(f"/todo?entity_id={TODO}", words, (1100, 520))
    gallery.keep("todo")


PRESS = """
(() => {
  const find = (root, text) => {
    for (const each of root.querySelectorAll("*")) {
      if (each.tagName === "BUTTON" && each.textContent === text) return each;
      const inner = each.shadowRoot && find(each.shadowRoot, text);
      if (inner) return inner;
    }
  };
  const button = find(document, "%s");
  const input = button.parentElement.querySelector("input");
  if (input) input.value = "by the page";
  button.click();
  return true;
})()
"""


def test_a_dashboard_makes_itself_and_done_reaches_the_printer_with_its_note(
    due, voron, page, gallery
):
    title = "Printer maintenance"
    put(due, "strategy", {"title": title, "strategy": {"type": STRATEGY}})
    voron.wear_out("nozzle", 2800)
    words = ["Carbon filter", "103 %", "Replace the nozzle", "93 %", "3 more"]
    gallery.show("strategy", "/upkeep-strategy", words, (1400, 700), height=700)

    page.run(PRESS % "Done")
    page.run(PRESS % "Done")

    due.wait("binary_sensor.voron_filter_due", "off")
    until(lambda: "4 more" in page.text(), "the card to follow")
    assert "by the page" in voron.log_of("filter")
    voron.kill()
    until(lambda: "Voron (off)" in page.text(), "the card to say that it is off")
    gallery.keep("strategy-off")
    voron.start()
    due.wait("binary_sensor.voron_connected", "on")
    voron.done("nozzle")


def test_deleting_the_entry_removes_its_entities_and_repairs(due):
    (entry,) = entries(due)
    due.http("DELETE", f"/api/config/config_entries/entry/{entry['entry_id']}")

    due.wait(TODO, None)
    assert issues(due) == set()
    assert due.device("Voron maintenance") is None
    assert due.state(STATUS) is not None
