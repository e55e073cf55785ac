"""The page of one printer: a real Klippy, a real Moonraker, a real browser."""

from __future__ import annotations

import pytest

from tests.fakes.chromium import Tab, until
from tests.page.page import (
    DESK,
    PHONE,
    complaints,
    keep_picture,
    needs_axe,
    needs_chromium,
)
from tests.system.moonraker import OPEN, Moonraker, needs_moonraker

pytestmark = [
    pytest.mark.system,
    pytest.mark.klipper,
    pytest.mark.pace(1),
    needs_moonraker,
]

TASKS = """
[maintain]
store: {folder}/upkeep.sqlite

[maintain rails]
label: Oil the linear rails
trigger: print_time, time
threshold: 150, 720
message: Wipe, then one drop of oil on each carriage.
guide: https://example.org/rails

[maintain belts]
label: Check the belts
trigger: power_on
threshold: 300
"""


@pytest.fixture
def printer(make_printer):
    printer = make_printer(TASKS)
    assert printer.start() == ("ready", "Printer is ready")
    return printer


@pytest.fixture
def moonraker(printer):
    with Moonraker(printer, "[upkeep]\nname: Voron\n") as made:
        yield made


def make_due(moonraker):
    command = {"command": "adjust", "used": {"print_time": 160.0}}
    moonraker.ask("/server/upkeep/command", {"task": "rails", "command": command})


def bell(moonraker):
    entries = moonraker.ask("/server/announcements/list")["entries"]
    return [each["title"] for each in entries if each["feed"].startswith("maintenance")]


def status_of(moonraker, task):
    tasks = moonraker.ask("/server/upkeep/status")["tasks"]
    return next((each["status"] for each in tasks if each["task"] == task), None)


@needs_chromium
@needs_axe
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_somebody_marks_a_task_done_in_a_browser(printer, moonraker, tmp_path, size):
    make_due(moonraker)
    with Tab() as tab:
        tab.resize(*size)
        tab.open(moonraker.url + "/server/upkeep/")
        tab.wait_for("Voron", "Oil the linear rails", "Due 1")
        assert complaints(tab) == []
        keep_picture(tab, f"page-printer-{size[0]}", tmp_path)

        tab.click("Oil the linear rails")
        tab.wait_for("Wipe, then one drop of oil", "Mark as done")
        assert complaints(tab) == []
        tab.fill("input[name=note]", "two drops")
        tab.click("Mark as done")
        tab.wait_for("is marked done")
        until(lambda: "Due 0" in tab.text(), "the list to follow")

    assert "two drops" in printer.console("MAINTENANCE_LOG NAME=rails")
    assert printer.task("rails")["done_count"] == 1


@needs_chromium
def test_the_page_follows_klippy_and_moonraker_through_their_restarts(
    printer, moonraker
):
    with Tab() as tab:
        tab.resize(*DESK)
        tab.open(moonraker.url + "/server/upkeep/")
        tab.wait_for("Due 0")
        make_due(moonraker)
        tab.wait_for("Due 1")

        printer.terminate()
        tab.wait_for("The printer is not ready.", "Oil the linear rails")
        printer.start()
        until(lambda: "not ready" not in tab.text(), "Klippy on the page")
        tab.wait_for("Due 1")

        moonraker.stop()
        tab.wait_for("The connection is lost.")
        moonraker.start()
        until(lambda: "is lost" not in tab.text(), "Moonraker on the page")
        tab.wait_for("Due 1")


def test_a_due_task_is_on_the_bell_until_it_is_done(printer, moonraker):
    assert bell(moonraker) == []
    make_due(moonraker)
    until(lambda: bell(moonraker), "the bell")
    assert bell(moonraker) == ["Maintenance is due: Oil the linear rails"]

    moonraker.stop()
    moonraker.start()
    assert status_of(moonraker, "rails") == "due", "as it stood last"
    assert len(bell(moonraker)) == 1, "once, over a restart too"

    printer.gcode("UPDATE_MAINTENANCE NAME=rails")
    until(lambda: not bell(moonraker), "the bell to be silent")


def test_the_bells_snooze_is_a_snooze_of_the_task(printer, moonraker):
    make_due(moonraker)
    until(lambda: bell(moonraker), "the bell")
    entries = moonraker.ask("/server/announcements/list")["entries"]
    entry = next(e for e in entries if e["feed"] == "maintenance-rails")

    body = {"entry_id": entry["entry_id"], "wake_time": 7200}
    moonraker.ask("/server/announcements/dismiss", body)

    until(lambda: status_of(moonraker, "rails") == "snoozed", "the snooze")
    assert "by bell" in printer.console("MAINTENANCE_LOG NAME=rails")
    until(lambda: not bell(moonraker), "the bell to be silent")


@needs_chromium
def test_who_is_logged_in_is_who_did_it(printer):
    access = OPEN + "force_logins: True\n"
    with Moonraker(printer, "[upkeep]\n", access=access) as moonraker, Tab() as tab:
        user = {"username": "anna", "password": "one-two-three"}
        moonraker.ask("/access/user", user)
        tab.resize(*DESK)
        tab.open(moonraker.url + "/server/upkeep/")
        tab.wait_for("Moonraker wants to know who you are.")
        tab.fill("input[name=username]", user["username"])
        tab.fill("input[name=password]", user["password"])
        tab.click("Log in")
        tab.wait_for("Check the belts")
        tab.click("Check the belts")
        tab.click("Mark as done")
        tab.wait_for("is marked done")
    assert "by anna" in printer.console("MAINTENANCE_LOG NAME=belts")


@needs_chromium
def test_a_german_printer_speaks_german_on_console_bell_and_page(make_printer):
    german = make_printer(TASKS.replace("[maintain]\n", "[maintain]\nlanguage: de\n"))
    assert german.start() == ("ready", "Printer is ready")
    with Moonraker(german, "[upkeep]\nname: Voron\nlanguage: de\n") as server:
        make_due(server)
        until(lambda: bell(server), "the bell")
        assert bell(server) == ["Wartung fällig: Oil the linear rails"]
        assert "ist fällig: 160 h von 150 h sind verbraucht, 10 h zu viel" in (
            german.console("MAINTAIN_STATUS")
        )
        with Tab() as tab:
            tab.resize(*DESK)
            tab.open(server.url + "/server/upkeep/")
            tab.wait_for("Fällig 1", "10 h darüber")
    answer = german.console("SNOOZE_MAINTENANCE NAME=rails HOURS=1.5")
    assert "ist für 1,5 Stunden verschoben." in answer
