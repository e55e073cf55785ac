"""The extra at a real broker: availability, published messages, and commands."""

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
def listener(broker, listen):
    return listen(broker)


@pytest.fixture
def printer(make_printer, broker, listener):
    """A printer that is online, whose first messages have arrived."""
    printer = make_printer(MAINTAIN.format(port=broker.port) + RODS + NOZZLE)
    assert printer.start() == ("ready", "Printer is ready")
    listener.wait_for("/availability", b"online")
    return printer


def command(listener, word, task="rods", transaction=None, **arguments):
    """Send a command.

    Returns its result, and the number of messages before it.
    """
    transaction = transaction or uuid.uuid4().hex
    before = len(listener.messages)
    listener.publish(
        f"{BASE}/tasks/{task}/command",
        {"command": word, "transaction": transaction, **arguments},
    )
    result = listener.wait(
        lambda message: (
            message.topic == f"{BASE}/results"
            and message.json["transaction"] == transaction
        ),
        since=before,
    )
    return result.json, before


def test_online_comes_after_every_state_and_discovery_comes_last(printer, listener):
    listener.wait_for("/task-rods/config")
    topics = listener.topics()
    online = topics.index(f"{BASE}/availability")

    for topic in ("info", "meters", "summary", "tasks/rods", "tasks/nozzle"):
        assert topics.index(f"{BASE}/{topic}") < online
    assert not any(t.startswith("homeassistant/") for t in topics[:online])


def test_discovery_is_handed_over_to_the_integration_and_comes_back(
    printer, broker, listener
):
    listener.wait_for("/task-rods/config")
    sections = MAINTAIN.format(port=broker.port)
    since = len(listener.messages)

    printer.configure(sections + "home_assistant: integration\n" + RODS + NOZZLE)
    printer.restart()

    info = listener.wait_for("/info", since=since)
    assert info.json["home_assistant"] == "integration"
    listener.wait_for("/task-rods/config", b"", since)
    listener.wait_for("/printer/config", b"", since)
    payloads = [each.payload for each in listener.messages[since:] if is_rods(each)]
    assert payloads == [MIGRATE, b""]

    since = len(listener.messages)
    printer.configure(sections + RODS + NOZZLE)
    printer.restart()

    assert "home_assistant" not in listener.wait_for("/info", since=since).json
    assert listener.wait_for("/task-rods/config", since=since).json["cmps"]


def is_rods(message):
    return message.topic.endswith("/task-rods/config")


def test_a_new_client_gets_everything_from_retained_messages(printer, broker, listen):
    newcomer = listen(broker)

    newcomer.wait_for("/availability", b"online")
    state = newcomer.wait_for("/tasks/rods")

    assert state.retained
    assert state.json["label"] == "Oil the rods"
    assert state.json["schema"] == 1


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_the_broker_reports_a_printer_that_is_killed(printer, listener, end):
    before = len(listener.messages)

    getattr(printer, end)()

    assert listener.wait_for("/availability", b"offline", since=before)


@pytest.mark.pace(1)
def test_a_restart_publishes_offline_and_online(printer, listener):
    before = len(listener.messages)

    printer.restart()

    listener.wait_for("/availability", b"online", since=before)
    payloads = [
        t.payload for t in listener.messages[before:] if "availability" in t.topic
    ]
    assert payloads == [b"offline", b"online"]


def test_the_result_of_done_comes_after_the_state_that_shows_it(printer, listener):
    result, before = command(listener, "done", by="anna", note="one drop each")

    assert result["ok"]
    messages = [t for t in listener.messages[before:] if t.topic.startswith(BASE)]
    states = [t.json for t in messages if t.topic.endswith("tasks/rods")]
    assert states[-1]["seq"] == result["seq"]
    assert (states[-1]["done_count"], states[-1]["last_by"]) == (1, "anna")
    assert messages[-1].topic.endswith("/results")
    assert printer.task("rods")["done_count"] == 1


def test_a_command_is_saved_when_its_result_is_published(printer, listener):
    command(listener, "done")
    printer.kill()
    printer.start()

    assert printer.task("rods")["done_count"] == 1


def test_a_transaction_is_carried_out_once_and_answered_again(printer, listener):
    first, _ = command(listener, "done", transaction="t1")
    again, _ = command(listener, "done", transaction="t1")

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
def test_a_refusal_tells_why(printer, listener, task, word, arguments, code):
    result, _ = command(listener, word, task, **arguments)

    assert not result["ok"]
    assert result["error"]["code"] == code
    assert result["error"]["text"]
    assert printer.state()[0] == "ready"


def test_a_retained_command_is_not_carried_out(printer, listener):
    printer.terminate()
    listener.publish(f"{BASE}/tasks/rods/command", "done", retain=True)
    before = len(listener.messages)
    printer.start()
    listener.wait_for("/availability", b"online", since=before)
    command(listener, "snooze", "nozzle", **{"for": 1})

    assert printer.task("rods")["done_count"] == 0


def test_topics_of_removed_tasks_are_cleared(printer, listener, broker):
    before = len(listener.messages)
    printer.configure(MAINTAIN.format(port=broker.port) + RODS)

    printer.restart()

    assert listener.wait_for("/tasks/nozzle", b"", since=before)
    assert listener.wait_for("/availability", b"online", since=before)
    info = listener.wait_for("/info", since=before)
    assert info.json["tasks"] == ["rods"]


def test_nothing_is_lost_or_counted_twice_while_the_broker_is_away(
    printer, listener, broker
):
    text = parts.rings(layers=12)
    printer.gcode(parts.HEAT)
    printer.print_file(text)
    until(lambda: printer.task("nozzle")["used"] > 0.02, "some filament")

    broker.kill()
    away = printer.task("nozzle")["used"]
    until(lambda: printer.task("nozzle")["used"] > away + 0.01, "more filament")
    before = len(listener.messages)
    broker.start()

    listener.wait_for("/availability", b"online", since=before)
    state = listener.wait_for("/tasks/nozzle", since=before).json
    assert state["used"] >= away - 0.01  # Published metres have two decimals.
    printer.finish_printing()
    filament = parts.path(text).filament / 1000
    listener.wait(
        lambda message: (
            message.topic.endswith("/tasks/nozzle")
            and message.json["used"] == pytest.approx(filament, abs=0.01)
        ),
        since=before,
    )
    printer.gcode("MAINTAIN_STATUS")
    assert printer.task("nozzle")["used"] == pytest.approx(filament, rel=1e-3)
    assert "Traceback" not in printer.log()
