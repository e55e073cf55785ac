"""What a person sees. Pictures of each page go to `artifacts/` or to `PICTURES`.

These tests have made the pictures in `docs/images/`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from klippy_extra import contract
from tests.ha.browser import ROOT
from tests.ha.home_assistant import until
from tests.ha.printer import TASKS, Paper, Voron

DASHBOARDS = ROOT / "integration" / "dashboards"

NOW = 1795219200.0
FIRST_ROW = "Sensors\n• Due now\nCarbon filter\nCarbon filter\nProblem"

# Home Assistant writes this in the place of a card that it cannot show.
BROKEN = ("Configuration error", "Unknown type", "Entity not found", "not available")


@pytest.fixture
def worn(home, voron):
    """A printer after some months: one task is due, and one is almost due."""
    voron.wear_out("filter", 51.5)
    voron.wear_out("nozzle", 2800)
    voron.wear_out("cutter", 1234)
    home.wait("binary_sensor.voron_filter_due", "on")
    home.wait("sensor.voron_nozzle_status", "soon")
    yield
    for task in ("filter", "nozzle", "cutter"):
        voron.done(task)
    home.wait("sensor.voron_nozzle_status", "ok")


def history(home) -> None:
    """Two weeks of printing, as statistics from the past."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    meter = {
        "source": "recorder",
        "statistic_id": "sensor.voron_print_time",
        "name": None,
        "unit_of_measurement": "h",
        "has_sum": True,
        "has_mean": False,
    }
    if home.version >= "2026":
        meter.update(mean_type=0, unit_class="duration")
        del meter["has_mean"]
    total, rows = 0.0, []
    for day in range(14, 0, -1):
        total += (day * 5) % 11
        start = (midnight - timedelta(days=day)).isoformat()
        rows.append({"start": start, "state": total, "sum": total})
    home.ask("recorder/import_statistics", metadata=meter, stats=rows)


def dashboard(home, name: str) -> None:
    """Import one of our dashboards as a user does who pastes it."""
    put(home, name, yaml.safe_load((DASHBOARDS / f"{name}.yaml").read_text()))


def put(home, name: str, config) -> None:
    path = f"upkeep-{name}"
    if path not in {each["url_path"] for each in home.ask("lovelace/dashboards/list")}:
        title = config.get("title", name)
        home.ask(
            "lovelace/dashboards/create", url_path=path, title=title, mode="storage"
        )
    home.ask("lovelace/config/save", url_path=path, config=config)


@pytest.mark.usefixtures("plain", "worn")
def test_the_device_page_starts_with_the_due_tasks(home, page, gallery):
    device = home.device("Voron")["id"]
    words = ("Firmware: Klipper v", "Carbon filter remaining", FIRST_ROW)

    path = f"/config/devices/device/{device}"
    gallery.show("device", path, words, (1400, 1500), height=1500)


@pytest.mark.usefixtures("plain")
def test_the_page_of_25_tasks_and_parts_begins_with_what_is_due(
    home, page, gallery, listener
):
    """Some of the labels begin with a digit, and some with a capital A."""
    states = [aged(number) for number in range(25)]
    due = [each for each in states if each.status == contract.DUE]
    meters = {"print_time": contract.Meter("h", "Print time")}
    info = contract.Info("25", "Großer Würfel", (), meters, url="http://127.0.0.1/")
    labels = tuple(each.label for each in due)
    summary = contract.Summary(1, NOW, 2, 0, None, None, None, labels)
    paper = Paper(listener, info, states, contract.ONLINE, summary)
    home.wait("sensor.grosser_wurfel_due_now", "Air filter 6, 0.4 nozzle 15")
    device = home.device("Großer Würfel")["id"]
    first = "Sensors\n• Due now\nAir filter 6, 0.4 nozzle 15\n0.4 nozzle 0\nOK"
    words = (first, "Configuration")

    gallery.show("many", f"/config/devices/device/{device}", words, (1400, 900))

    assert "Controls" not in page.text()
    paper.clear()
    until(lambda: home.device("Großer Würfel") is None, "the printer to go")


LABELS = ("0.4 nozzle", "Air filter", "Belts", "Zahnriemen", "Äußerer Filter")


def aged(number: int) -> contract.State:
    """Return the state of the task with this number. Two of 25 are due."""
    used = 160.0 if number in (6, 15) else 4.0 * number
    status = contract.DUE if used > 150.0 else contract.OK
    limit = contract.Limit("print_time", "h", 150.0, used, 150.0 - used, used / 1.5)
    part = {"kind": "nozzle", "places": ("extruder",)} if number < 10 else {}
    label = f"{LABELS[number % 5]} {number}"
    task = f"t{number}"
    return contract.State(1, NOW, task, label, (limit,), "print_time", status, **part)


@pytest.fixture
def second(home, broker, listener):
    """Another printer, which is removed at the end."""
    two = {name: TASKS[name] for name in ("nozzle", "cutter")}
    printer = Voron(broker.port, "Prusa MK3S", two)
    printer.start()
    printer.wear_out("nozzle", 1900)
    home.wait("sensor.prusa_mk3s_nozzle_remaining", "1100.0")
    yield printer
    printer.close()
    listener.wait_for("/prusa_mk3s/availability", b"offline")
    for topic in {
        t.topic for t in listener.messages if "Prusa MK3S" in str(t.payload)
    } | {t.topic for t in listener.messages if "/prusa_mk3s/" in t.topic}:
        listener.publish(topic, "", retain=True)
    until(lambda: home.device("Prusa MK3S") is None, "the printer to go")


@pytest.mark.usefixtures("plain", "worn", "second")
def test_the_fleet_dashboard_finds_every_printer_and_task(home, page, gallery):
    dashboard(home, "fleet")

    words = ["Check the belts", "103 %\noverdue"]
    gallery.show("fleet", "/upkeep-fleet", words, (1400, 640))
    assert not [words for words in BROKEN if words in page.text()]


@pytest.mark.usefixtures("plain", "worn")
def test_the_printers_dashboard_shows_every_card(home, page, gallery):
    history(home)
    dashboard(home, "printer")

    words = ["Carbon filter", "103"]
    gallery.show("printer", "/upkeep-printer", words, (1400, 900))
    assert not [words for words in BROKEN if words in page.text()]


@pytest.mark.usefixtures("worn")
def test_the_maintenance_page_lists_the_tasks_by_itself(home, channel, gallery):
    if channel == "stable":
        assert "maintenance" not in home.ask("get_panels")
        return
    words = ("Voron Carbon filter\nProblem", "Voron Cutter blade\nOK")

    gallery.show("maintenance", "/maintenance", words, (1280, 340))
