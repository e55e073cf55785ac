"""The extra at a real broker: who is there, what is told, what commands do."""

from __future__ import annotations

import uuid

import pytest

from klippy_extra.mqtt.discovery import MIGRATE
from tests.system import parts
from tests.system.klippy import until
from tests.system.sections import BASE, MAINTAIN, RODS

pytestmark = pytest.mark.system

NOZZLE = """
[maintain nozzle]
trigger: filament
threshold: 5
"""


@pytest.fixture
def hears(broker, listen):
    return listen(broker)


@pytest.fixture
def printer(make_printer, broker, hears):
    """A printer that is online, its greetings heard."""
    printer = make_printer(MAINTAIN.format(port=broker.port) + RODS + NOZZLE)
    assert printer.start() == ("ready", "Printer is ready")
    hears.wait_for("/availability", b"online")
    return printer


def command(hears, word, task="rods", transaction=None, **arguments):
    """Send a command; returns its result and the number of what was heard before."""
    transaction = transaction or uuid.uuid4().hex
    before = len(hears.heard)
    hears.publish(
        f"{BASE}/tasks/{task}/command",
        {"command": word, "transaction": transaction, **arguments},
    )
    result = hears.wait(
        lambda told: (
            told.topic == f"{BASE}/results" and told.json["transaction"] == transaction
        ),
        since=before,
    )
    return result.json, before


def test_online_comes_after_every_state_and_home_assistant_hears_last(printer, hears):
    hears.wait_for("/task-rods/config")
    topics = hears.topics()
    online = topics.index(f"{BASE}/availability")

    for topic in ("info", "meters", "summary", "tasks/rods", "tasks/nozzle"):
        assert topics.index(f"{BASE}/{topic}") < online
    assert not any(t.startswith("homeassistant/") for t in topics[:online])


def test_discovery_is_handed_over_to_the_integration_and_comes_back(
    printer, broker, hears
):
    hears.wait_for("/task-rods/config")
    sections = MAINTAIN.format(port=broker.port)
    since = len(hears.heard)

    printer.configure(sections + "home_assistant: integration\n" + RODS + NOZZLE)
    printer.restart()

    info = hears.wait_for("/info", since=since)
    assert info.json["home_assistant"] == "integration"
    hears.wait_for("/task-rods/config", b"", since)
    hears.wait_for("/printer/config", b"", since)
    told = [each.payload for each in hears.heard[since:] if is_rods(each)]
    assert told == [MIGRATE, b""]

    since = len(hears.heard)
    printer.configure(sections + RODS + NOZZLE)
    printer.restart()

    assert "home_assistant" not in hears.wait_for("/info", since=since).json
    assert hears.wait_for("/task-rods/config", since=since).json["cmps"]


def is_rods(told):
    return told.topic.endswith("/task-rods/config")


def test_a_newcomer_finds_everything_retained(printer, broker, listen):
    newcomer = listen(broker)

    newcomer.wait_for("/availability", b"online")
    state = newcomer.wait_for("/tasks/rods")

    assert state.retained
    assert state.json["label"] == "Oil the rods"
    assert state.json["schema"] == 1


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_the_broker_says_that_the_printer_is_gone(printer, hears, end):
    before = len(hears.heard)

    getattr(printer, end)()

    assert hears.wait_for("/availability", b"offline", since=before)


@pytest.mark.pace(1)
def test_a_restart_is_offline_and_online_again(printer, hears):
    before = len(hears.heard)

    printer.restart()

    hears.wait_for("/availability", b"online", since=before)
    told = [t.payload for t in hears.heard[before:] if "availability" in t.topic]
    assert told == [b"offline", b"online"]


def test_done_is_answered_after_the_state_that_shows_it(printer, hears):
    result, before = command(hears, "done", by="anna", note="one drop each")

    assert result["ok"]
    told = [t for t in hears.heard[before:] if t.topic.startswith(BASE)]
    states = [t.json for t in told if t.topic.endswith("tasks/rods")]
    assert states[-1]["seq"] == result["seq"]
    assert (states[-1]["done_count"], states[-1]["last_by"]) == (1, "anna")
    assert told[-1].topic.endswith("/results")
    assert printer.task("rods")["done_count"] == 1


def test_a_command_is_on_disk_when_it_is_answered(printer, hears):
    command(hears, "done")
    printer.kill()
    printer.start()

    assert printer.task("rods")["done_count"] == 1


def test_a_transaction_is_done_once_and_answered_again(printer, hears):
    first, _ = command(hears, "done", transaction="t1")
    again, _ = command(hears, "done", transaction="t1")

    assert again == first
    assert printer.task("rods")["done_count"] == 1


@pytest.mark.parametrize(
    ("task", "word", "arguments", "code"),
    [
        ("belts", "done", {}, "unknown_task"),
        ("rods", "adjust", {"used": -1}, "bad_argument"),
        ("rods", "snooze", {"for": "long"}, "bad_argument"),
        ("rods", "explode", {}, "bad_argument"),
    ],
)
def test_a_refusal_says_why(printer, hears, task, word, arguments, code):
    result, _ = command(hears, word, task, **arguments)

    assert not result["ok"]
    assert result["error"]["code"] == code
    assert result["error"]["text"]
    assert printer.state()[0] == "ready"


def test_a_retained_command_is_not_carried_out(printer, hears):
    printer.terminate()
    hears.publish(f"{BASE}/tasks/rods/command", "done", retain=True)
    before = len(hears.heard)
    printer.start()
    hears.wait_for("/availability", b"online", since=before)
    command(hears, "snooze", "nozzle", **{"for": 1})

    assert printer.task("rods")["done_count"] == 0


def test_what_is_no_longer_configured_is_cleared(printer, hears, broker):
    before = len(hears.heard)
    printer.configure(MAINTAIN.format(port=broker.port) + RODS)

    printer.restart()

    assert hears.wait_for("/tasks/nozzle", b"", since=before)
    assert hears.wait_for("/availability", b"online", since=before)
    info = hears.wait_for("/info", since=before)
    assert info.json["tasks"] == ["rods"]


def test_nothing_is_lost_or_counted_twice_while_the_broker_is_away(
    printer, hears, broker
):
    text = parts.rings(layers=12)
    printer.gcode(parts.HEAT)
    printer.print_file(text)
    until(lambda: printer.task("nozzle")["used"] > 0.02, "some filament")

    broker.kill()
    away = printer.task("nozzle")["used"]
    until(lambda: printer.task("nozzle")["used"] > away + 0.01, "more of it")
    before = len(hears.heard)
    broker.start()

    hears.wait_for("/availability", b"online", since=before)
    state = hears.wait_for("/tasks/nozzle", since=before).json
    assert state["used"] >= away - 0.01  # hundredths of a metre are published
    printer.finish_printing()
    filament = parts.path(text).filament / 1000
    hears.wait(
        lambda told: (
            told.topic.endswith("/tasks/nozzle")
            and told.json["used"] == pytest.approx(filament, abs=0.01)
        ),
        since=before,
    )
    printer.gcode("MAINTAIN_STATUS")
    assert printer.task("nozzle")["used"] == pytest.approx(filament, rel=1e-3)
    assert "Traceback" not in printer.log()
