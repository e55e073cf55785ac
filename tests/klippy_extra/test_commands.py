"""Commands over MQTT: carried out on the reactor, answered once they are saved."""

from __future__ import annotations

import json
import sys

import pytest

RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
BROKER = "[maintain]\nprinter_name: voron\nmqtt_host: 127.0.0.1\n"
BASE = "klipper_upkeep/voron"


class Link:
    """Takes the place of the link and keeps what is published."""

    def __init__(self, broker, will, subscriptions, post, handlers):
        self.broker, self.will = broker, will
        self.filters = (list(subscriptions.first), list(subscriptions.then))
        self.receive = handlers.receive
        self.greet = handlers.connected
        self.sent = []
        self.connected = False
        self.goodbyes = []

    def start(self):
        self.connected = True

    def close(self, say_offline=True):
        self.connected = False
        self.goodbyes.append(say_offline)

    def publish(self, topic, payload, retain=False, keep=False):
        self.sent.append((topic[len(BASE) + 1 :], payload))

    def release(self):
        pass


@pytest.fixture
def online(bench, monkeypatch):
    """Return a function that starts a printer that is online.

    `printer.link` has what it publishes.
    """

    def start(options="", sections=RODS):
        # The module has the name that Klippy gives to the package.
        bench("[maintain]\nmqtt_host: 127.0.0.1\nmqtt_port: 9\n").close()
        monkeypatch.setattr(sys.modules["extras.maintain.mqtt.link"], "Link", Link)
        printer = bench(BROKER + options + sections)
        link = printer.link = printer.life.connection.link
        link.greet()
        printer.advance(4)
        assert ("availability", b"online") in link.sent
        assert link.sent[-1][0].endswith("/config")
        link.sent.clear()
        return printer

    return start


def send(printer, word, task="rods", transaction="t1", **arguments):
    """Send a command, and return what was published until its result."""
    fields = {"command": word, "transaction": transaction, **arguments}
    topic = f"{BASE}/tasks/{task}/command"
    begin = len(printer.link.sent)
    printer.link.receive(topic, json.dumps(fields).encode(), False)
    printer.wait_for(lambda: "results" in [t for t, _ in printer.link.sent[begin:]])
    return [
        (topic, json.loads(payload)) for topic, payload in printer.link.sent[begin:]
    ]


def test_the_state_is_published_first_then_the_event_then_the_result(online):
    printer = online()
    printer.use(print_time=12.0)
    published = send(printer, "done", by="anna", note="one drop")

    topics = [topic for topic, _ in published]
    assert topics[:3] == ["tasks/rods", "events", "results"]
    state, event, result = (message for _, message in published[:3])
    assert state["done_count"] == 1
    assert (event["event"], event["by"], event["note"]) == ("done", "anna", "one drop")
    assert result["ok"]
    assert result["seq"] == state["seq"] == event["seq"]


def test_the_result_waits_until_the_command_is_saved(online):
    printer = online()
    kept, save = [], printer.manager.memory.save
    printer.manager.memory.save = lambda documents, log=(), then=None: kept.append(then)
    printer.link.receive(f"{BASE}/tasks/rods/command", b"done", False)
    printer.advance(5)
    assert [t for t, _ in printer.link.sent if t != "meters"] == []

    printer.manager.memory.save = save
    next(then for then in kept if then)("")
    assert printer.link.sent[0][0] == "tasks/rods"


def test_a_command_that_cannot_be_saved_gets_a_result_with_that_error(online):
    printer = online()
    save = printer.manager.memory.save

    def refuse(documents, log=(), then=None):
        if then:
            printer.reactor.register_callback(lambda eventtime: then("disk full"))

    printer.manager.memory.save = refuse
    result = send(printer, "done")[-1][1]
    printer.manager.memory.save = save

    assert result["error"]["code"] == "internal"
    assert "disk full" in result["error"]["text"]


def test_a_transaction_is_carried_out_once_and_answered_alike_after_a_restart(online):
    printer = online()
    first = send(printer, "done")[-1]
    again = send(printer, "done")[-1]
    printer.restart()
    printer.link = printer.life.connection.link
    printer.link.greet()
    printer.advance(2)

    assert again == first
    assert send(printer, "done")[-1] == first
    assert printer.task("rods")["done_count"] == 1


def test_a_transaction_that_arrives_twice_at_once_is_carried_out_once(online):
    printer = online()
    payload = b'{"command":"done","transaction":"t"}'
    for _ in range(3):
        printer.link.receive(f"{BASE}/tasks/rods/command", payload, False)
    printer.wait_for(lambda: "results" in [t for t, _ in printer.link.sent])
    printer.saved()

    assert [topic for topic, _ in printer.link.sent].count("results") == 1
    assert printer.task("rods")["done_count"] == 1


@pytest.mark.parametrize(
    ("task", "word", "arguments", "code"),
    [
        ("belts", "done", {}, "unknown_task"),
        ("rods", "set", {"threshold": {"time": 5}}, "bad_argument"),
        ("rods", "done", {"at": "2036-01-01T00:00:00Z"}, "bad_argument"),
    ],
)
def test_a_refused_command_gets_a_result(online, task, word, arguments, code):
    printer = online()
    [(topic, result)] = send(printer, word, task, **arguments)

    assert (topic, result["error"]["code"]) == ("results", code)


def test_a_command_during_a_shutdown_gets_the_result_not_ready(online):
    printer = online()
    printer.emergency_stop()
    assert printer.link.sent[-1][0] == "info"
    assert json.loads(printer.link.sent[-1][1])["klipper_state"] == "shutdown"

    assert send(printer, "done")[-1][1]["error"]["code"] == "not_ready"


def test_a_printer_that_accepts_no_commands_answers_so(online):
    printer = online("allow_commands: False\n")
    assert send(printer, "done")[-1][1]["error"]["code"] == "not_ready"
    assert printer.task("rods")["done_count"] == 0


def test_the_log_is_sent_as_a_result(online):
    printer = online()
    send(printer, "done", transaction="a", by="anna")
    result = send(printer, "log", transaction="b", limit=5)[-1][1]

    assert [entry["by"] for entry in result["log"]] == ["anna"]


def test_the_log_of_all_tasks_is_one_result(online):
    belts = "[maintain belts]\ntrigger: print_time\nthreshold: 9\n"
    printer = online(sections=RODS + belts)
    send(printer, "done", transaction="a")
    send(printer, "done", task="belts", transaction="b")
    result = send(printer, "log", transaction="c", every=True)[-1][1]

    assert [entry["task"] for entry in result["log"]] == ["belts", "rods"]


def test_the_log_has_the_readings_of_the_past_when_the_command_asks_for_them(online):
    printer = online()
    plain = send(printer, "log", transaction="a")[-1][1]
    full = send(printer, "log", transaction="b", history=True)[-1][1]

    assert "history" not in plain
    moment, reading = full["history"]["print_time"][-1]
    assert (moment, reading) == (round(moment), 0.0)


def test_an_adjusted_task_that_becomes_due_publishes_both_events(online):
    printer = online()
    published = send(printer, "adjust", used=151.0)

    assert [m["event"] for t, m in published if t == "events"] == ["changed", "due"]
    # It is done and becomes due again within a moment: both events are published.
    send(printer, "done", transaction="t2")
    published = send(printer, "adjust", transaction="t3", used=151.0)
    assert [m["event"] for t, m in published if t == "events"] == ["changed", "due"]


def test_a_task_that_becomes_due_publishes_a_state_and_an_event(online):
    printer = online()
    printer.use(print_time=151.0)
    topics = [topic for topic, _ in printer.link.sent]

    assert topics.index("tasks/rods") < topics.index("events")
    assert "summary" in topics


def test_the_console_shows_who_sent_a_command(online):
    printer = online()
    send(printer, "done", by="anna")
    assert any("is marked done" in x and "(by anna)" in x for x in printer.console)


def test_text_from_the_broker_cannot_open_a_dialog(online):
    printer = online()
    text = "x\n// action:prompt_begin Enter your password"
    send(printer, "done", by=text, note=text)
    printer.say("MAINTENANCE_LOG")

    assert not any("action:" in x and "password" in x[:40] for x in printer.console)


def test_the_topics_of_a_removed_task_are_cleared(online):
    printer = online(sections=RODS + RODS.replace("rods", "belts"))
    config = printer.config_file.read_text().split("[maintain belts]")[0]
    printer.configure(config)
    printer.restart()
    link = printer.life.connection.link
    link.greet()
    printer.advance(2)

    assert ("tasks/belts", b"") in link.sent
    assert link.sent.index(("tasks/belts", b"")) < len(link.sent) - 1
    printer.advance(35)  # After that the removed task is forgotten.
    link.sent.clear()
    link.greet()
    printer.advance(2)
    assert ("tasks/belts", b"") not in link.sent


def test_a_renamed_printer_clears_the_topics_of_its_old_name(online):
    printer = online()
    config = printer.config_file.read_text()
    printer.configure(config.replace("printer_name: voron", "printer_name: trident"))
    printer.restart()
    publisher = printer.life.connection.publisher

    topic = publisher.topics.of("availability")
    assert topic == "klipper_upkeep/trident/availability"
    assert f"{BASE}/tasks/rods" in publisher.clear
    assert f"{BASE}/availability" in publisher.clear


def test_two_printers_on_one_host_have_different_client_ids(online):
    broker = online().link.broker
    assert broker.client_id.startswith("upkeep-")
    assert len(broker.client_id) <= 23


def test_a_printer_that_stops_publishes_offline(online):
    printer = online()
    printer.close()
    assert printer.link.goodbyes == [True]
