"""The fleet is complete when its messages have arrived, not when a mark has."""

from __future__ import annotations

import pytest

from mqtt_bridge import settling
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Changes
from mqtt_bridge.settling import AGAIN, NEW, PORTIONS, QUIET, Settling
from tests.mqtt_bridge import messages as m


class Broker:
    """Retains *messages*, and answers a request with at most *most* of them."""

    def __init__(self, messages, most=10**9):
        self.messages = messages
        self.most = most
        self.fleet = Fleet()
        self.now = 0.0
        self.settled = 0
        self.connected, self.wildcards, self.last_retained = True, True, 0.0
        self.sizes, self.kept = [], []
        self.answer = None
        self.hold = False  # Answers to requests are held back.
        self.lost_marks = False
        self.settling = Settling(self.fleet, self, [], self.note_settled)

    def note_settled(self):
        self.settled += 1

    def send(self, topics):
        for topic in list(topics)[: self.most]:
            if topic in self.messages:
                self.fleet.receive(topic, self.messages[topic], 0.0, Changes())
                self.last_retained = self.now

    def request(self, filters, then, *, qos, keep):
        if qos == 0:
            self.sizes.append("all")
            filters = self.messages
        else:
            self.sizes.append(len(filters))
        self.kept.append(keep)
        self.answer = (filters, then)

    def connect(self, first=None):
        self.send(self.messages if first is None else first)
        self.settling.marked(self.now)

    def run(self, seconds):
        """Let time pass in the bridge's steps."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.25
            if self.answer is not None and not self.hold:
                (topics, then), self.answer = self.answer, None
                self.send(topics)
                then()
            self.settling.tick(self.now)


def farm(count, tasks=2):
    states = tuple(m.state(f"t{number}") for number in range(tasks))
    messages = {}
    for number in range(count):
        messages |= m.printer(f"p{number}", states)
    return messages


def test_nothing_is_requested_if_everything_arrived():
    broker = Broker(farm(3))
    broker.connect()
    broker.run(QUIET + 0.5)
    assert (broker.settled, broker.sizes, broker.settling.missing) == (1, [], {})


def test_messages_that_arrive_after_the_mark_are_waited_for():
    """aedes sends retained messages after later messages: the mark was number 131."""
    messages = farm(3)
    broker = Broker(messages)
    broker.connect(list(messages)[:5])
    broker.send(messages)
    broker.run(QUIET)
    assert broker.settled == 0
    broker.run(0.5)
    assert (broker.settled, broker.sizes) == (1, [])


def test_dropped_messages_are_requested_by_their_exact_topics():
    messages = farm(4)
    broker = Broker(messages)
    broker.connect(topic for topic in messages if not topic.endswith("tasks/t1"))
    broker.run(5)
    assert (broker.sizes, broker.settled) == ([4], 1)
    assert broker.settling.missing == {}
    assert broker.kept == [False]


def test_requests_become_smaller_until_the_broker_can_answer_them():
    """With max_queued_messages 10 mosquitto drops most messages of an answer."""
    messages = farm(60, tasks=10)
    broker = Broker(messages)
    broker.connect([topic for topic in messages if topic.endswith("/info")])
    broker.most = PORTIONS[-1]
    broker.run(1000)
    assert broker.settling.missing == {}
    assert broker.settled == 1
    assert broker.sizes[0] == PORTIONS[0]
    assert broker.sizes[-1] <= PORTIONS[-1]


@pytest.mark.parametrize("lost", [True, False])
def test_everything_is_requested_once_more_if_a_message_was_dropped(lost):
    """At QoS 0 mosquitto has no queue. Whole printers may be unknown, too."""
    messages = farm(60)
    broker = Broker(messages)
    broker.lost_marks = lost
    broker.settling = Settling(broker.fleet, broker, ["+/+"], broker.note_settled)
    broker.connect([] if lost else [m.topic("p0", "info")])
    broker.run(3)
    assert (broker.sizes, broker.settled) == (["all"], 1)
    assert len(broker.fleet.printers) == 60


def test_missing_messages_are_named_and_requested_again_later(caplog):
    messages = farm(3)
    lost = m.topic("p1", "tasks/t1")
    kept = messages.pop(lost)
    broker = Broker(messages)
    broker.connect()
    broker.run(10)
    assert broker.settled == 1, "other printers do not wait for the missing one"
    assert broker.settling.missing == {"p1": [lost]}
    assert "1 topics of 1 printers have not arrived, of p1" in caplog.text
    requests = len(broker.sizes)
    messages[lost] = kept
    broker.run(AGAIN[0] + 1)
    assert broker.settling.missing == {}
    assert len(broker.sizes) > requests
    assert len(caplog.records) == 1


def test_a_printer_that_appears_later_is_completed():
    """RabbitMQ sends no retained messages for wildcards.

    A live `info` names the tasks.
    """
    messages = farm(2)
    broker = Broker(messages)
    broker.connect([])
    broker.run(1)
    assert broker.settled == 1
    broker.send([m.topic("p1", "info")])
    broker.run(NEW + 3)
    assert broker.settling.missing == {}
    assert "t1" in broker.fleet.printers["p1"].tasks


def test_without_wildcards_the_exact_subscriptions_are_kept():
    messages = farm(1)
    broker = Broker(messages)
    broker.wildcards = False
    broker.connect([m.topic("p0", "info")])
    broker.run(3)
    assert broker.kept == [True]


def test_nothing_is_requested_without_a_connection():
    messages = farm(2)
    broker = Broker(messages)
    broker.connect([m.topic("p0", "info")])
    broker.connected = False
    broker.settling.lost()
    broker.run(5)
    assert (broker.sizes, broker.settled) == ([], 0)


@pytest.mark.parametrize("answered", [True, False])
def test_an_answer_on_a_lost_connection_does_not_count(answered, monkeypatch):
    monkeypatch.setattr(settling, "AGAIN", (1e9,))
    messages = farm(2)
    broker = Broker(messages)
    broker.connect([m.topic("p0", "info")])
    broker.hold = True
    broker.run(1)
    broker.connected = False
    broker.settling.lost()
    if answered:
        _, then = broker.answer
        then()
    broker.answer = None
    broker.run(2)
    assert broker.settled == 0
