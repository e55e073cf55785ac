"""How few messages a printer sends: what brokers carry and recorders keep in a day."""

from __future__ import annotations

import json
import sys

import jinja2
import pytest

from tests.klippy_extra.test_commands import Link

HOURS = 1.0
STEP = 30.0  # seconds between two steps
MOST_A_DAY = 15_000  # changes of state in Home Assistant

# 25 tasks of all kinds, each somewhere between two completions. In each hour the
# printer prints all the time, with 8 m of filament and 250 m of travel.
KINDS = (
    ("print_time", 150, {"print_time": 1.0}),
    ("print_time, time", 0, {}),
    ("filament", 3000, {"filament": 8.0}),
    ("time", 2160, {}),
    ("travel_x", 200_000, {"travel_x": 250.0}),
    ("jobs_completed", 500, {"jobs_completed": 0.5}),
    ("print_time", 1000, {}),
)
USE = {meter: rate for *_, rates in KINDS for meter, rate in rates.items()}
TASKS = "".join(
    f"[maintain task {number}]\nlabel: Task number {number}\n"
    f"trigger: {KINDS[number % len(KINDS)][0]}\n"
    f"threshold: {KINDS[number % len(KINDS)][1] or '200, 720'}\n"
    for number in range(25)
)
BROKER = "[maintain]\nmqtt_host: 127.0.0.1\nmqtt_port: 9\nprinter_name: Voron\n"


class Broker(Link):
    """Keeps all messages with their whole topics."""

    def publish(self, topic, payload, retain=False, keep=False):
        self.sent.append((topic, payload))


class Recorder:
    """Counts the states that Home Assistant would write: a new value or attribute."""

    def __init__(self, components):
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
        environment.filters["to_json"] = json.dumps
        self._entities = []
        for each in components:
            readers = [
                (each[topic], environment.from_string(each[template]))
                for topic, template in (
                    ("stat_t", "val_tpl"),
                    ("json_attr_t", "json_attr_tpl"),
                )
                if topic in each and template in each
            ]
            if readers and each.get("en", True):
                self._entities.append((readers, {}))
        self.states = 0

    def take(self, topic, payload):
        given = {"value_json": json.loads(payload)}
        for readers, known in self._entities:
            shown = {
                number: template.render(given)
                for number, (reads, template) in enumerate(readers)
                if reads == topic
            }
            self.states += any(known.get(key) != text for key, text in shown.items())
            known.update(shown)


@pytest.fixture
def day(bench, monkeypatch):
    """Let a printer print for some hours.

    Returns the number of new states in Home Assistant, and the topics of all messages.
    """
    bench(BROKER).close()
    monkeypatch.setattr(sys.modules["extras.maintain.mqtt.link"], "Link", Broker)
    printer = bench(BROKER + TASKS)
    link = printer.life.connection.link
    link.greet()
    printer.advance(30)
    used = {kind: 0.37 * threshold for kind, threshold, _ in KINDS if threshold}
    for number in range(25):
        kind = KINDS[number % len(KINDS)][0]
        if kind in used:
            name = f"task {number}"
            printer.gcode(f'ADJUST_MAINTENANCE NAME="{name}" USED={used[kind]}')
    printer.advance(30)
    described = [
        component
        for topic, payload in link.sent
        if topic.endswith("/config") and payload
        for component in json.loads(payload)["cmps"].values()
    ]
    recorder = Recorder(described)
    for topic, payload in link.sent:
        if topic.startswith("klipper_upkeep/") and payload[:1] == b"{":
            recorder.take(topic, payload)
    recorder.states = 0
    link.sent.clear()
    share = STEP / 3600.0
    for _ in range(int(HOURS / share)):
        printer.life.upkeep.counting.add({m: rate * share for m, rate in USE.items()})
        printer.advance(STEP)
    for topic, payload in link.sent:
        recorder.take(topic, payload)
    return recorder.states, [topic for topic, _ in link.sent]


def test_a_printer_with_25_tasks_that_prints_all_day_makes_few_states(day):
    states, topics = day

    assert 0 < states * 24.0 / HOURS <= MOST_A_DAY
    tasks = [topic for topic in topics if "/tasks/" in topic]
    assert len(tasks) >= 25
    assert len(tasks) * 24.0 / HOURS <= MOST_A_DAY / 2
