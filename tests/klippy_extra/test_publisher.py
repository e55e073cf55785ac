"""The publisher: order, rate, who owns a name, and what is a command."""

from __future__ import annotations

import json

import pytest

from klippy_extra import contract
from klippy_extra.contract import Command, Event, Info, Limit, Result, State, Summary
from klippy_extra.mqtt.discovery import MIGRATE, Message
from klippy_extra.mqtt.intake import Intake
from klippy_extra.mqtt.publisher import PrinterView, Published, Publisher

UUID, LOWER, HIGHER = "5" * 32, "1" * 32, "9" * 32
BASE = "klipper_upkeep/voron"
PRINTER = Message(
    "homeassistant/device/x/printer/config", b"{}", b'{"revival":1}', b"{}"
)
RODS = Message("homeassistant/device/x/task-rods/config", b'{"rods":1}')
GONE = Message("homeassistant/device/x/task-gone/config", b"", b'{"gone":1}', b"{}")
DISCOVERY = (PRINTER, RODS, GONE)
OLD = "homeassistant/device/x/config"

NOTHING = Summary(0, 0.0, 0, 0, None, None, None)


class PublisherWithLink:
    """A publisher with the state of a printer, and a link that keeps its messages."""

    def __init__(
        self,
        tasks=("rods", "belts"),
        clear=(),
        discovery=DISCOVERY,
        replaces=(OLD,),
        waits=False,
    ):
        self.now = 0.0
        self.seq = 0
        self.used = dict.fromkeys(tasks, 1.0)
        self.status = "ok"
        self.sent = []
        self.reports = []
        self.commands = []
        self.released = 0
        self.publisher = Publisher(
            base="klipper_upkeep",
            printer="voron",
            uuid=UUID,
            view=PrinterView(
                info=lambda: info(UUID, tasks),
                tasks=tasks,
                seq=self.next,
                state=self.numbered,
                meters=lambda: contract.Meters(self.next(), 0.0, {"time": 1.0}),
                summary=lambda: NOTHING._replace(seq=self.next()),
                command=lambda task, command: self.commands.append((task, command)),
                say=self.reports.append,
                clock=lambda: self.now,
            ),
            interval=30.0,
            clear=clear,
            discovery=discovery,
            replaces=replaces,
            birth_topic="homeassistant/status",
            waits=waits,
        )
        self.intake = Intake(
            self.publisher.topics.inbound(self.publisher.clear),
            self.publisher.handlers,
            post=lambda call: call(),
            later=lambda call, seconds: call(),
            answer=self.publisher.result,
            clock=lambda: self.now,
        )
        self.publisher.attach(self, self.intake)

    def next(self):
        self.seq += 1
        return self.seq

    def state(self, task="rods", seq=0, **changed):
        used = self.used[task]
        limit = Limit("time", "h", 10.0, used, 10.0 - used, used * 10)
        state = State(seq, self.now, task, task, (limit,), "time", self.status)
        return state._replace(**changed)

    def numbered(self, task):
        return self.state(task, self.next())

    # The link

    def publish(self, topic, payload, retain=False, keep=False):
        self.sent.append((topic, payload, retain, keep))

    def release(self):
        self.released += 1

    # The test

    def go(self):
        for _ in range(20):
            self.publisher.turn(4)

    def online(self):
        self.publisher.connected()
        self.go()
        self.sent.clear()

    def receive(self, topic, payload, retained=False):
        self.intake.receive(topic, payload, retained)

    def topics(self):
        return [topic.replace(BASE + "/", "") for topic, *_ in self.sent]


def info(uuid, tasks=("rods",)):
    return Info(uuid, "voron", tuple(tasks), {}, host="pi4")


@pytest.fixture
def tested():
    return PublisherWithLink()


def test_the_snapshot_is_published_in_the_contracts_order(tested):
    tested.publisher.connected()
    tested.go()

    assert tested.topics() == [
        "info",
        "meters",
        "tasks/rods",
        "tasks/belts",
        "summary",
        "availability",
        PRINTER.topic,
        RODS.topic,
    ]
    assert all(retain for _, _, retain, _ in tested.sent)
    assert tested.released == 1


def test_one_turn_publishes_no_more_than_its_number(tested):
    tested.publisher.connected()
    tested.publisher.turn(2)

    assert tested.topics() == ["info", "meters"]
    assert tested.publisher.busy
    assert not tested.publisher.live


def test_removed_topics_are_cleared_before_online(tested):
    tested = PublisherWithLink(clear=[f"{BASE}/tasks/nozzle"])
    tested.publisher.connected()
    tested.go()

    cleared = tested.sent.index((f"{BASE}/tasks/nozzle", b"", True, False))
    assert cleared < len(tested.sent) - 1
    assert tested.publisher.cleared()
    assert not tested.publisher.cleared()


def test_an_old_name_that_another_printer_now_has_is_not_cleared():
    topics = ["info", "tasks/rods"]
    tested = PublisherWithLink(
        clear=[f"klipper_upkeep/old/{topic}" for topic in topics]
    )
    assert (
        "klipper_upkeep/old/info"
        in tested.publisher.topics.subscriptions(tested.publisher.clear).first
    )

    tested.receive("klipper_upkeep/old/info", info(HIGHER).encode(), retained=True)
    tested.publisher.connected()
    tested.go()

    assert not any("old" in topic for topic in tested.topics())


def test_every_seq_is_greater_than_the_last(tested):
    tested.publisher.connected()
    tested.go()
    tested.used["rods"] = 2.0
    tested.now = 100.0
    tested.publisher.offer(tested.state())

    payloads = [
        json.loads(payload) for _, payload, *_ in tested.sent if payload[:1] == b"{"
    ]
    seqs = [each["seq"] for each in payloads if "seq" in each]
    assert seqs == sorted(set(seqs))


def test_changed_numbers_wait_for_the_interval_and_a_changed_status_does_not(tested):
    tested.online()
    tested.now = 10.0
    tested.used["rods"] = 2.0
    tested.publisher.offer(tested.state())
    assert tested.topics() == []

    tested.status = "due"
    tested.publisher.offer(tested.state())
    assert tested.topics() == ["tasks/rods"]

    tested.now = 45.0
    tested.publisher.offer(tested.state())  # The state is the same.
    assert tested.topics() == ["tasks/rods"]
    tested.used["rods"] = 3.0
    tested.publisher.offer(tested.state())
    assert tested.topics() == ["tasks/rods"] * 2


def test_a_changed_forecast_waits_for_the_interval(tested):
    tested.online()
    tested.publisher.offer(tested.state(due_at=5))
    assert tested.topics() == []
    tested.now = 31.0
    tested.publisher.offer(tested.state(due_at=5))
    assert tested.topics() == ["tasks/rods"]


def test_meters_are_published_when_one_has_moved_enough(tested):
    tested.online()
    tested.publisher.meters({"time": 1.0})
    assert tested.topics() == []
    tested.publisher.meters({"time": 1.01})
    assert tested.topics() == ["meters"]


def test_a_changed_summary_is_published_at_once_and_its_forecast_at_the_interval(
    tested,
):
    tested.online()
    tested.publisher.summary(NOTHING._replace(seq=9, time=9.0))
    tested.publisher.summary(NOTHING._replace(next_due_at=5))
    assert tested.topics() == []
    tested.publisher.summary(NOTHING._replace(due=1, due_labels=("rods",)))
    assert tested.topics() == ["summary"]
    tested.now = 31.0
    tested.publisher.summary(NOTHING._replace(next_due_at=5))
    assert tested.topics() == ["summary"] * 2


DAY = 86400


@pytest.mark.parametrize(
    ("moved_by", "published"),
    [(600, False), (23 * 3600, False), (30 * 3600, True), (-26 * 3600, True)],
)
def test_a_forecast_is_published_again_when_it_moved_by_a_tenth(moved_by, published):
    """Nobody needs to know that a date in ten days moved by some minutes."""
    tested = PublisherWithLink()
    tested.online()
    tested.publisher.offer(tested.state(due_at=10 * DAY))
    tested.now = 31.0
    tested.publisher.offer(tested.state(due_at=10 * DAY))
    tested.sent.clear()

    tested.now = 62.0
    tested.publisher.offer(tested.state(due_at=10 * DAY + moved_by))

    assert tested.topics() == (["tasks/rods"] if published else [])


def test_events_and_results_are_kept_and_not_retained(tested):
    tested.publisher.event(Event(1, 0.0, "rods", "due"))
    tested.publisher.result(Result("t", "rods", seq=1))

    assert [(retain, keep) for *_, retain, keep in tested.sent] == [(False, True)] * 2


def test_states_are_not_sent_before_the_snapshot(tested):
    tested.publisher.state(tested.state())
    tested.publisher.offer(tested.state())
    tested.publisher.meters({"time": 1.0})
    tested.publisher.summary(NOTHING)
    assert tested.sent == []


def test_discovery_is_published_again_after_home_assistants_birth_message(tested):
    tested.online()
    tested.receive("homeassistant/status", b"online")
    tested.go()
    assert tested.sent == []

    tested.now = 6.0
    tested.go()

    assert [(topic, payload) for topic, payload, *_ in tested.sent] == [
        (PRINTER.topic, PRINTER.revival),
        (PRINTER.topic, PRINTER.payload),
        (RODS.topic, RODS.payload),
        (GONE.topic, GONE.revival),
        (GONE.topic, GONE.removal),
    ]
    kept = {topic for topic, payload, retain, _ in tested.sent if retain}
    assert GONE.topic not in kept


def test_entities_of_an_older_version_are_migrated():
    """Home Assistant keeps its entities, with the names and ids that users gave."""
    tested = PublisherWithLink(clear=[OLD, f"{BASE}/tasks/nozzle"])
    tested.publisher.connected()
    tested.go()
    # Home Assistant needs some time to release them.
    assert tested.sent[-1][:2] == (OLD, MIGRATE)
    tested.now = 11.0
    tested.go()

    about_home = [each[:2] for each in tested.sent if each[0].startswith("homeassist")]
    assert about_home == [
        (OLD, MIGRATE),
        (PRINTER.topic, PRINTER.revival),
        (PRINTER.topic, PRINTER.payload),
        (RODS.topic, RODS.payload),
        (GONE.topic, GONE.revival),
        (GONE.topic, GONE.removal),
        (OLD, b""),
    ]
    assert tested.publisher.cleared()


def test_entities_are_handed_over_to_the_integration_at_once():
    """They share one wait.

    Home Assistant keeps the entities, and MQTT releases them.
    """
    topics = [PRINTER.topic, RODS.topic]
    tested = PublisherWithLink(clear=topics, discovery=(), replaces={OLD, *topics})
    tested.publisher.connected()
    tested.go()

    assert [each[:2] for each in tested.sent[-2:]] == [(t, MIGRATE) for t in topics]
    tested.now = 11.0
    tested.sent.clear()
    tested.go()
    assert [each[:2] for each in tested.sent] == [(t, b"") for t in topics]
    assert tested.publisher.cleared()
    tested.receive("homeassistant/status", b"online")
    tested.now = 30.0
    tested.sent.clear()
    tested.go()
    assert tested.sent == []


def test_discovery_is_published_when_the_integration_has_released_its_entities():
    tested = PublisherWithLink(waits=True)
    tested.publisher.connected()
    tested.go()
    assert tested.topics()[-1] == "availability"
    tested.now = 11.0
    tested.sent.clear()

    tested.go()

    assert tested.topics() == [PRINTER.topic, RODS.topic]
    tested.publisher.connected()
    tested.go()
    assert tested.topics()[-1] == RODS.topic


def test_states_do_not_wait_until_discovery_is_published(tested):
    tested.publisher.connected()
    while tested.publisher.busy:
        tested.publisher.turn(1)
    tested.sent.clear()

    tested.publisher.offer(tested.state(status="due"))

    assert tested.publisher.live
    assert tested.topics() == ["tasks/rods"]
    assert not tested.publisher.cleared()
    tested.go()
    assert tested.topics()[1:] == [PRINTER.topic, RODS.topic]


def test_a_retained_birth_message_is_ignored(tested):
    tested.online()
    tested.receive("homeassistant/status", b"online", retained=True)
    tested.now = 10.0
    tested.go()
    assert tested.sent == []


def test_offline_under_our_name_is_answered_with_online(tested):
    """It is the last will of a connection whose end the broker noticed late."""
    tested.online()
    tested.receive(f"{BASE}/availability", b"offline")
    assert tested.sent == [(f"{BASE}/availability", b"online", True, False)]


# Who owns a name


def test_a_name_that_is_online_elsewhere_is_not_taken(tested):
    tested.receive(f"{BASE}/info", info(LOWER).encode(), retained=True)
    tested.receive(f"{BASE}/availability", b"online", retained=True)
    tested.publisher.connected()
    tested.go()
    tested.publisher.event(Event(1, 0.0, "rods", "due"))
    tested.receive(f"{BASE}/tasks/rods/command", b"done")

    assert tested.sent == []
    assert tested.commands == []
    assert tested.publisher.silent
    assert "printer_name" in tested.reports[0]
    assert "pi4" in tested.reports[0]


def test_a_name_whose_owner_is_offline_is_taken(tested):
    tested.receive(f"{BASE}/info", info(LOWER).encode(), retained=True)
    tested.receive(f"{BASE}/availability", b"offline", retained=True)
    tested.publisher.connected()
    tested.go()

    assert tested.publisher.live


def test_our_own_message_is_not_taken_for_another_printers(tested):
    tested.online()
    tested.receive(f"{BASE}/info", info(UUID).encode())
    tested.receive(f"{BASE}/availability", b"online")
    assert tested.publisher.live
    assert tested.reports == []


def test_of_two_printers_with_one_name_the_one_with_the_lower_uuid_stays(tested):
    tested.online()
    tested.receive(f"{BASE}/info", info(LOWER).encode())

    assert tested.publisher.silent
    # Topics that only this printer had do not stay under the other printer's name.
    assert (f"{BASE}/tasks/belts", b"", True, False) in tested.sent
    assert (f"{BASE}/tasks/rods", b"", True, False) not in tested.sent


def test_the_printer_with_the_lower_uuid_publishes_over_the_others_messages(tested):
    tested.online()
    tested.receive(f"{BASE}/info", info(HIGHER).encode())
    tested.go()

    assert not tested.publisher.silent
    assert tested.topics()[0] == "info"
    assert "availability" in tested.topics()


def test_another_printer_with_this_name_is_answered_once_in_ten_seconds(tested):
    """This is so however often it publishes its info."""
    tested.online()
    answers = []
    for second in (0, 1, 9, 10, 11):
        tested.now = 100.0 + second
        tested.receive(f"{BASE}/info", info(HIGHER).encode())
        tested.go()
        answers.append(tested.topics().count("info"))
        tested.sent.clear()
    assert answers == [1, 0, 0, 1, 0]


def test_the_next_connection_tries_to_take_the_name_again(tested):
    tested.receive(f"{BASE}/info", info(LOWER).encode(), retained=True)
    tested.receive(f"{BASE}/availability", b"online", retained=True)
    tested.publisher.connected()
    tested.publisher.lost("the connection ended")
    tested.publisher.connected()
    tested.go()

    assert tested.publisher.live


# Commands


def test_a_command_is_passed_on_with_its_task(tested):
    tested.online()
    tested.receive(f"{BASE}/tasks/rods/command", b'{"command":"done","by":"anna"}')
    assert tested.commands == [("rods", Command("done", by="anna"))]


@pytest.mark.parametrize(
    "payload",
    [b"", b"explode", b"{}", b"[1]", b"\xff", b'{"command":"done"', b"x" * 5000],
)
def test_an_invalid_command_is_refused_and_logged_once(tested, caplog, payload):
    tested.online()
    for _ in range(3):
        tested.receive(f"{BASE}/tasks/rods/command", payload)

    assert tested.commands == []
    assert len(caplog.records) == 1


def test_an_invalid_command_with_a_transaction_gets_a_result(tested):
    tested.online()
    tested.receive(f"{BASE}/tasks/rods/command", b'{"command":"x","transaction":"t"}')

    [(topic, payload, *_)] = tested.sent
    assert topic == f"{BASE}/results"
    assert Result.decode(payload).code == "bad_argument"


def test_a_retained_command_is_refused(tested, caplog):
    tested.online()
    tested.receive(f"{BASE}/tasks/rods/command", b"done", retained=True)
    assert tested.commands == []
    assert "must not be retained" in caplog.text


@pytest.mark.parametrize("topic", ["x", BASE, f"{BASE}/tasks", f"{BASE}/tasks/a/b/c"])
def test_a_message_on_an_unknown_topic_is_ignored(tested, topic):
    tested.online()
    tested.receive(topic, b"done")
    assert tested.commands == []


def test_topics_that_were_published_are_recognised():
    published = Published(
        "base", "voron", ("rods",), "ha/config", {"a": "sensor"}, ("ha/x/config",)
    )
    again = Published.of(json.loads(json.dumps(published._asdict())))

    assert again == published
    assert again.topics() == {
        "base/voron/availability",
        "base/voron/info",
        "base/voron/meters",
        "base/voron/summary",
        "base/voron/tasks/rods",
        "ha/config",
        "ha/x/config",
    }
    assert Published.of(None).topics() == set()
