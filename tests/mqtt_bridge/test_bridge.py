"""Turns of the bridge without a broker: one printer cannot disturb another."""

from __future__ import annotations

import json
import random
from concurrent.futures import Future

import pytest

from mktl_daemon.core.catalog import check_items
from mqtt_bridge import bridge, events
from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.broker import inbox
from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.contract import Command, Event, Result
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.settings import Settings, Store
from tests.mqtt_bridge import messages as m


class Items(dict):
    """Does what a daemon does, and refuses the items of *bad* printers."""

    def __init__(self):
        self.bad = set()
        self.rows = []

    def change(self, removed, placed):
        for key in removed:
            self.pop(key, None)
        check_items({key: place.description for key, place in placed.items()})
        for key, place in placed.items():
            if key.split(".")[0] in self.bad:
                raise ValueError(f"{key} cannot be")
            self[key] = place

    def publish(self, rows):
        for row in rows:
            assert row[0] in self, row
            self.rows.append(row)

    def connected(self, *, up, when):
        pass


class Link:
    """A broker without a connection. It keeps what is published and requested."""

    def __init__(self):
        self.connected = False
        self.wildcards, self.lost_marks = True, False
        self.last_retained = 0.0
        self.sent = []
        self.refusals = []
        self.requests = []

    def publish(self, topic, payload, refused):
        self.sent.append((topic, payload))
        self.refusals.append(refused)

    def request(self, filters, then, *, qos, keep):
        self.requests.append((filters, then, keep))

    def close(self):
        pass


class Turns:
    """A bridge whose turns a test takes. What it publishes is in `sent`."""

    def __init__(self, settings=None):
        settings = settings or Settings()
        self.items, self.link, messages = Items(), Link(), Inbox()
        fleet = Fleet(settings.broker.bases, settings.store.owns)
        self.bridge = Bridge(settings, fleet, messages, self.link, self.items)
        self.sent = self.link.sent

    def connect(self):
        self.link.connected = True
        self.bridge.inbox.call(self.bridge.on_connected)
        self.turn()

    def lose(self):
        self.link.connected = False
        self.bridge.inbox.call(lambda: self.bridge.on_lost("it went"))
        self.turn()

    def settle(self):
        """Let the mark arrive, and let the requested messages not arrive."""
        self.bridge.inbox.call(self.bridge.on_settled)
        self.turn()
        while self.link.requests:
            _, then, _ = self.link.requests.pop()
            self.bridge.inbox.call(then)
            self.turn()

    def receive(self, payloads):
        for topic, payload in payloads.items():
            self.bridge.inbox.state(topic, payload)
        self.turn()

    def happen(self, slug, rest, payload):
        self.bridge.inbox.message(m.topic(slug, rest), payload)

    def turn(self):
        while True:
            waits = self.bridge.inbox.waiting
            self.bridge.turn()
            if not waits:
                return

    def ask(self, slug="voron", make=lambda record, ident: Command("done", ident)):
        request = self.bridge.ask(slug, "rods", make)
        self.turn()
        return request

    def watch(self):
        """Return a list of all events and due tasks that are reported from now on."""
        reports = []
        self.bridge.events.event_listeners.append(reports.append)
        self.bridge.events.standing_listeners.append(
            lambda printers, standing: reports.append((sorted(printers), standing))
        )
        return reports


@pytest.fixture
def turns():
    made = Turns()
    made.connect()
    yield made
    made.bridge.close()


def test_a_printer_whose_items_are_refused_does_not_affect_others(turns, caplog):
    turns.items.bad.add("bad")
    turns.receive(m.printer("a") | m.printer("bad") | m.printer("z"))

    assert {key.split(".")[0] for key in turns.items} == {"a", "z"}
    assert turns.items["a.rods.used"].value == 37.5
    assert "printer bad is dropped" in caplog.text

    rods = m.state(seq=2, limits=(m.limit(used=40.0),)).encode()
    turns.receive({m.topic(slug, "tasks/rods"): rods for slug in ("a", "bad", "z")})
    assert ("z.rods.used", 40.0, 1000.0) in turns.items.rows

    turns.items.bad.clear()
    turns.receive(m.printer("bad", (m.state(seq=3),)))
    assert turns.items["bad.rods.used"].value == 37.5, (
        "the printer published everything again"
    )


@pytest.mark.logs_errors
def test_events_and_results_are_read_in_a_batch_with_a_bad_printer(turns):
    turns.receive(m.printer())
    request = turns.ask()
    ident = Command.decode(turns.sent[0][1]).transaction
    reports = []
    turns.bridge.events.event_listeners.append(reports.append)

    turns.items.bad.add("bad")
    turns.bridge.inbox.call(lambda: 1 / 0)
    turns.happen("voron", "events", Event(5, 1000.0, "rods", "due").encode())
    turns.happen("voron", "results", Result(ident, "rods", seq=1).encode())
    turns.receive(m.printer("bad"))
    assert request.result(0).ok
    turns.settle()
    assert [each.event.event for each in reports] == ["due"]


@pytest.mark.parametrize(
    "make",
    [
        lambda record, ident: Command("set", ident, threshold=float("nan")),
        lambda record, ident: 1 / 0,
    ],
)
def test_a_command_that_cannot_be_sent_ends_at_once(turns, make):
    turns.receive(m.printer())

    assert isinstance(turns.ask(make=make).exception(0), ValueError | ArithmeticError)
    assert turns.sent == []


def test_an_invalid_result_does_not_drop_the_next_one(turns):
    turns.receive(m.printer())
    request = turns.ask()
    ident = Command.decode(turns.sent[0][1]).transaction
    result = json.loads(Result(ident, "rods", seq=1).encode())
    turns.happen("voron", "results", json.dumps({**result, "log": 5}).encode())
    turns.happen("voron", "results", json.dumps(result).encode())
    turns.turn()

    assert request.result(0).ok


def test_an_empty_event_or_result_is_ignored(turns, caplog):
    turns.receive(m.printer())
    turns.happen("voron", "events", b"")
    turns.happen("voron", "results", b"")
    turns.settle()
    assert caplog.records == []


def test_fuzzed_events_and_results_raise_nothing(turns, caplog):
    chance = random.Random(20261125)
    turns.receive(m.printer())
    good = [
        ("events", json.loads(Event(5, 1000.0, "rods", "due").encode())),
        ("results", json.loads(Result("t", "rods", seq=1).encode())),
        ("results", json.loads(Result("t", "rods", code="internal").encode())),
    ]
    junk = [None, True, -1, 5, 1.5, 1e308, 10**30, "", "x", "\ud800", [], [5], {}]
    names = ["log", "error", "seq", "time", "task", "event", "transaction", "ok"]
    for _ in range(3000):
        kind, fields = chance.choice(good)
        spoiled = {**fields, chance.choice(names): chance.choice(junk)}
        payload = bytearray(json.dumps(spoiled).encode())
        if chance.random() < 0.3:
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        turns.happen("voron", kind, bytes(payload))
    turns.turn()

    assert not [record for record in caplog.records if record.exc_info]
    assert isinstance(turns.ask(), Future)


def test_messages_that_settle_after_the_link_was_lost_do_not_count(turns, monkeypatch):
    """No printer is forgotten, and the bridge is not reported as complete."""
    monkeypatch.setattr(bridge, "FORGET", -1.0)
    turns.receive(m.printer())
    turns.link.connected = False
    turns.settle()
    assert "voron" in turns.bridge.fleet.printers
    assert not turns.bridge.ready.is_set()

    turns.link.connected = True
    turns.bridge.on_settled()
    turns.lose()
    turns.link.connected = True
    turns.turn()
    assert not turns.bridge.ready.is_set(), "the messages settled on another connection"
    turns.settle()
    assert turns.bridge.ready.is_set()


def test_the_choice_of_its_own_printers_is_made_once_for_each(monkeypatch):
    request = []

    def owns(store, printer):
        request.append(printer)
        return printer == "a"

    monkeypatch.setattr(Store, "owns", owns)
    made = make_bridge(Settings(), Items())
    for _ in range(3):
        for topic, payload in (m.printer("a") | m.printer("b")).items():
            made.inbox.state(topic, payload)
        made.turn()
    assert request == ["a", "b"]
    made.close()


DUE = m.state(seq=4, status="due", done_count=3)


def test_due_tasks_are_reported_on_each_connection_when_all_has_arrived(turns):
    reports = turns.watch()
    turns.receive(m.printer(tasks=(DUE, m.state("belt"))))
    assert reports == []

    turns.settle()
    [(printers, [standing])] = reports
    assert printers == ["voron"]
    assert (standing.event.task, standing.event.event) == ("rods", "due")
    assert (standing.done_count, standing.name) == (3, "Voron")

    turns.lose()
    turns.connect()
    turns.settle()
    assert reports[1] == reports[0]


def test_an_event_that_arrives_before_its_tasks_state_waits_for_it(turns):
    """It is reported before the due tasks, and with the same number of completions."""
    reports = turns.watch()
    turns.happen("voron", "events", Event(4, 1000.0, "rods", "due").encode())
    turns.turn()
    turns.receive(m.printer(tasks=(DUE,)))
    assert reports == []

    turns.settle()
    event, (_, [standing]) = reports
    assert (event.event.event, event.done_count, event.name) == ("due", 3, "Voron")
    assert standing.done_count == 3


def test_no_event_is_lost_with_the_connection(turns):
    reports = turns.watch()
    turns.happen("voron", "events", Event(4, 1000.0, "rods", "due").encode())
    turns.turn()
    turns.lose()
    assert [one.event.event for one in reports] == ["due"]


def test_due_tasks_of_a_printer_are_reported_when_it_comes_online(turns):
    """Nobody has received the events that it made without a connection."""
    reports = turns.watch()
    turns.settle()
    turns.receive(m.printer())
    assert reports == [([], []), (["voron"], [])]

    turns.receive({m.topic("voron", "availability"): b"offline"})
    turns.receive(m.printer(tasks=(DUE,)))
    [_, _, (printers, [standing])] = reports
    assert (printers, standing.event.event) == (["voron"], "due")


def test_a_request_to_a_bridge_that_has_ended_is_answered(turns):
    turns.receive(m.printer())
    waiting = turns.ask()
    turns.bridge.close()

    assert isinstance(waiting.exception(0), TimeoutError)
    assert "has stopped" in str(turns.ask().exception(0))
    assert "has stopped" in str(turns.bridge.call(list).exception(0))


def test_events_of_a_printer_that_floods_are_dropped_and_no_others(
    turns, monkeypatch, caplog
):
    monkeypatch.setattr(events, "BURST", 3.0)
    monkeypatch.setattr(events, "RATE", 0.0)
    turns.settle()
    reports = turns.watch()
    for seq in range(10):
        turns.happen("a", "events", Event(seq, 1000.0, "rods", "due").encode())
    turns.happen("b", "events", Event(1, 1000.0, "rods", "due").encode())
    turns.turn()
    assert [each.printer for each in reports] == ["a", "a", "a", "b"]
    assert turns.bridge.events.dropped == 7
    assert caplog.text.count("printer a sends more than") == 1


def test_the_number_of_printers_with_counted_events_is_limited(
    turns, monkeypatch, caplog
):
    """A client that may publish can send events under more and more names."""
    monkeypatch.setattr(events, "BURST", 1.0)
    monkeypatch.setattr(events, "RATE", 0.0)
    monkeypatch.setattr(events, "MAX_PRINTERS", 2)
    monkeypatch.setattr(events, "MOST_NAMED", 2)
    turns.settle()
    reports = turns.watch()

    def flood(*slugs):
        for slug in slugs:
            for seq in range(2):
                payload = Event(seq, 1000.0, "rods", "due").encode()
                turns.happen(slug, "events", payload)
        turns.turn()
        printers = [each.printer for each in reports]
        reports.clear()
        return printers

    assert flood("a", "b", "c") == ["a", "b", "c"]
    assert flood("c", "b") == [], "the newest are remembered"
    assert flood("a") == ["a"]
    assert caplog.text.count("sends more than") == 2


@pytest.mark.logs_errors
def test_a_listener_that_fails_for_one_printer_affects_no_other(turns):
    """Other printers, other listeners and the rest of the bridge go on."""

    def fail(event):
        if event.printer == "a":
            raise ValueError("no")
        kept.append(event.printer)

    def fail_standing(*_):
        raise ValueError("no")

    def fail_changes(printers):
        raise ValueError("no")

    kept, seen = [], []
    turns.settle()
    turns.bridge.events.event_listeners.append(fail)
    turns.bridge.events.standing_listeners.append(fail_standing)
    turns.bridge.observers += [fail_changes, seen.append]
    reports = turns.watch()
    turns.receive(m.printer("a") | m.printer("b"))
    assert frozenset({"a", "b"}) in seen
    reports.clear()
    for slug in ("a", "b"):
        turns.happen(slug, "events", Event(20, 1000.0, "rods", "due").encode())
    turns.turn()
    assert [each.printer for each in reports] == ["a", "b"]
    assert kept == ["b"]
    turns.settle()
    assert reports[-1][0] == ["a", "b"], "the other standing listener"


def test_the_number_of_events_that_wait_for_states_is_limited(turns, monkeypatch):
    monkeypatch.setattr(events, "MOST_EARLY", 2)
    reports = turns.watch()
    for seq in range(5):
        turns.happen("a", "events", Event(seq, 1000.0, "rods", "due").encode())
    turns.turn()
    turns.settle()
    assert len([each for each in reports if hasattr(each, "event")]) == 2


def test_a_command_that_the_broker_refuses_is_answered_at_once(turns):
    """MQTT 5 brokers report it in the PUBACK.

    Waiting for the printer would take five seconds.
    """
    turns.receive(m.printer())
    request = turns.ask()
    [refused] = turns.link.refusals
    refused("the broker refuses the command: Not authorized")
    assert "Not authorized" in str(request.exception(0))


def test_a_request_that_can_be_refused_at_once_takes_no_turn(turns):
    turns.receive(m.printer())
    for slug in ("nobody", "voron"):
        turns.receive({m.topic("voron", "availability"): b"offline"})
        assert turns.bridge.ask(slug, "rods", lambda *_: None).exception(0)
    assert turns.bridge.inbox.calls == 0
    assert turns.bridge.commands.outcomes["refused"] == 2


def test_a_flood_of_calls_is_read_in_portions(turns):
    """The link's thread takes turns as well, so the broker must not have to wait."""
    done = []
    for number in range(inbox.CALLS + 5):
        turns.bridge.inbox.call(lambda number=number: done.append(number))
    turns.bridge.turn()
    assert len(done) == inbox.CALLS
    turns.bridge.turn()
    assert len(done) == inbox.CALLS + 5


def test_a_command_is_answered_if_an_older_state_arrives_after_its_change(turns):
    """The older state once counted as the newest, and the command waited in vain."""
    turns.receive(m.printer())
    topic, waiting = m.topic("voron", "tasks/rods"), turns.ask()
    turns.bridge.inbox.state(topic, m.state(seq=11).encode())
    turns.bridge.inbox.state(topic, m.state(seq=1).encode(), retained=True)
    turns.turn()
    [(_, command)] = turns.sent
    ident = Command.decode(command).transaction
    turns.happen("voron", "results", Result(ident, "rods", 11).encode())
    turns.turn()
    assert waiting.result(0).seq == 11
