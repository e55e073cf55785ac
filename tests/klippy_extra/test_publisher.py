"""The publisher: order, rate, whose name it is, and what it takes for a command."""

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


class House:
    """What a publisher sees, and the link that it speaks to."""

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
        self.said = []
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
                say=self.said.append,
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

    def hear(self, topic, payload, retained=False):
        self.intake.receive(topic, payload, retained)

    def topics(self):
        return [topic.replace(BASE + "/", "") for topic, *_ in self.sent]


def info(uuid, tasks=("rods",)):
    return Info(uuid, "voron", tuple(tasks), {}, host="pi4")


@pytest.fixture
def house():
    return House()


def test_the_snapshot_comes_in_the_contracts_order(house):
    house.publisher.connected()
    house.go()

    assert house.topics() == [
        "info",
        "meters",
        "tasks/rods",
        "tasks/belts",
        "summary",
        "availability",
        PRINTER.topic,
        RODS.topic,
    ]
    assert all(retain for _, _, retain, _ in house.sent)
    assert house.released == 1


def test_no_turn_makes_more_than_it_may(house):
    house.publisher.connected()
    house.publisher.turn(2)

    assert house.topics() == ["info", "meters"]
    assert house.publisher.busy
    assert not house.publisher.live


def test_what_is_gone_is_cleared_before_online(house):
    house = House(clear=[f"{BASE}/tasks/nozzle"])
    house.publisher.connected()
    house.go()

    cleared = house.sent.index((f"{BASE}/tasks/nozzle", b"", True, False))
    assert cleared < len(house.sent) - 1
    assert house.publisher.cleared()
    assert not house.publisher.cleared()


def test_a_name_that_another_has_taken_meanwhile_is_not_cleared():
    topics = ["info", "tasks/rods"]
    house = House(clear=[f"klipper_upkeep/old/{topic}" for topic in topics])
    assert (
        "klipper_upkeep/old/info"
        in house.publisher.topics.subscriptions(house.publisher.clear).first
    )

    house.hear("klipper_upkeep/old/info", info(HIGHER).encode(), retained=True)
    house.publisher.connected()
    house.go()

    assert not any("old" in topic for topic in house.topics())


def test_every_seq_is_greater_than_the_one_before(house):
    house.publisher.connected()
    house.go()
    house.used["rods"] = 2.0
    house.now = 100.0
    house.publisher.offer(house.state())

    payloads = [
        json.loads(payload) for _, payload, *_ in house.sent if payload[:1] == b"{"
    ]
    seqs = [each["seq"] for each in payloads if "seq" in each]
    assert seqs == sorted(set(seqs))


def test_numbers_wait_for_the_interval_and_all_else_does_not(house):
    house.online()
    house.now = 10.0
    house.used["rods"] = 2.0
    house.publisher.offer(house.state())
    assert house.topics() == []

    house.status = "due"
    house.publisher.offer(house.state())
    assert house.topics() == ["tasks/rods"]

    house.now = 45.0
    house.publisher.offer(house.state())  # nothing is new
    assert house.topics() == ["tasks/rods"]
    house.used["rods"] = 3.0
    house.publisher.offer(house.state())
    assert house.topics() == ["tasks/rods"] * 2


def test_a_forecast_that_moves_waits_as_a_number_does(house):
    house.online()
    house.publisher.offer(house.state(due_at=5))
    assert house.topics() == []
    house.now = 31.0
    house.publisher.offer(house.state(due_at=5))
    assert house.topics() == ["tasks/rods"]


def test_meters_are_published_when_one_moved(house):
    house.online()
    house.publisher.meters({"time": 1.0})
    assert house.topics() == []
    house.publisher.meters({"time": 1.01})
    assert house.topics() == ["meters"]


def test_the_summary_comes_at_once_and_its_forecast_at_the_interval(house):
    house.online()
    house.publisher.summary(NOTHING._replace(seq=9, time=9.0))
    house.publisher.summary(NOTHING._replace(next_due_at=5))
    assert house.topics() == []
    house.publisher.summary(NOTHING._replace(due=1, due_labels=("rods",)))
    assert house.topics() == ["summary"]
    house.now = 31.0
    house.publisher.summary(NOTHING._replace(next_due_at=5))
    assert house.topics() == ["summary"] * 2


DAY = 86400


@pytest.mark.parametrize(
    ("moved_by", "published"),
    [(600, False), (23 * 3600, False), (30 * 3600, True), (-26 * 3600, True)],
)
def test_a_forecast_is_published_again_when_it_moved_by_a_tenth(moved_by, published):
    """A date in ten days that moves by minutes is nobody's news."""
    house = House()
    house.online()
    house.publisher.offer(house.state(due_at=10 * DAY))
    house.now = 31.0
    house.publisher.offer(house.state(due_at=10 * DAY))
    house.sent.clear()

    house.now = 62.0
    house.publisher.offer(house.state(due_at=10 * DAY + moved_by))

    assert house.topics() == (["tasks/rods"] if published else [])


def test_events_and_results_are_kept_and_not_retained(house):
    house.publisher.event(Event(1, 0.0, "rods", "due"))
    house.publisher.result(Result("t", "rods", seq=1))

    assert [(retain, keep) for *_, retain, keep in house.sent] == [(False, True)] * 2


def test_states_are_not_sent_before_the_snapshot(house):
    house.publisher.state(house.state())
    house.publisher.offer(house.state())
    house.publisher.meters({"time": 1.0})
    house.publisher.summary(NOTHING)
    assert house.sent == []


def test_home_assistants_birth_is_answered_after_a_moment(house):
    house.online()
    house.hear("homeassistant/status", b"online")
    house.go()
    assert house.sent == []

    house.now = 6.0
    house.go()

    assert [(topic, payload) for topic, payload, *_ in house.sent] == [
        (PRINTER.topic, PRINTER.revival),
        (PRINTER.topic, PRINTER.payload),
        (RODS.topic, RODS.payload),
        (GONE.topic, GONE.revival),
        (GONE.topic, GONE.removal),
    ]
    kept = {topic for topic, payload, retain, _ in house.sent if retain}
    assert GONE.topic not in kept


def test_what_an_older_version_described_is_handed_over():
    """Home Assistant keeps its entities, with the names and ids that users gave."""
    house = House(clear=[OLD, f"{BASE}/tasks/nozzle"])
    house.publisher.connected()
    house.go()
    # It needs a moment until it has let go of them.
    assert house.sent[-1][:2] == (OLD, MIGRATE)
    house.now = 11.0
    house.go()

    about_home = [each[:2] for each in house.sent if each[0].startswith("homeassist")]
    assert about_home == [
        (OLD, MIGRATE),
        (PRINTER.topic, PRINTER.revival),
        (PRINTER.topic, PRINTER.payload),
        (RODS.topic, RODS.payload),
        (GONE.topic, GONE.revival),
        (GONE.topic, GONE.removal),
        (OLD, b""),
    ]
    assert house.publisher.cleared()


def test_what_is_left_to_the_integration_is_handed_over_at_once():
    """All in one wait: Home Assistant keeps the entities, and lets go of them."""
    topics = [PRINTER.topic, RODS.topic]
    house = House(clear=topics, discovery=(), replaces={OLD, *topics})
    house.publisher.connected()
    house.go()

    assert [each[:2] for each in house.sent[-2:]] == [(t, MIGRATE) for t in topics]
    house.now = 11.0
    house.sent.clear()
    house.go()
    assert [each[:2] for each in house.sent] == [(t, b"") for t in topics]
    assert house.publisher.cleared()
    house.hear("homeassistant/status", b"online")
    house.now = 30.0
    house.sent.clear()
    house.go()
    assert house.sent == []


def test_what_the_integration_had_is_described_when_it_has_let_go():
    house = House(waits=True)
    house.publisher.connected()
    house.go()
    assert house.topics()[-1] == "availability"
    house.now = 11.0
    house.sent.clear()

    house.go()

    assert house.topics() == [PRINTER.topic, RODS.topic]
    house.publisher.connected()
    house.go()
    assert house.topics()[-1] == RODS.topic


def test_states_do_not_wait_for_the_description_to_be_out(house):
    house.publisher.connected()
    while house.publisher.busy:
        house.publisher.turn(1)
    house.sent.clear()

    house.publisher.offer(house.state(status="due"))

    assert house.publisher.live
    assert house.topics() == ["tasks/rods"]
    assert not house.publisher.cleared()
    house.go()
    assert house.topics()[1:] == [PRINTER.topic, RODS.topic]


def test_a_retained_birth_is_no_news(house):
    house.online()
    house.hear("homeassistant/status", b"online", retained=True)
    house.now = 10.0
    house.go()
    assert house.sent == []


def test_offline_under_our_name_is_put_right(house):
    """The last will of a connection that the broker found dead late."""
    house.online()
    house.hear(f"{BASE}/availability", b"offline")
    assert house.sent == [(f"{BASE}/availability", b"online", True, False)]


# Whose name it is


def test_a_name_that_is_online_elsewhere_is_left_alone(house):
    house.hear(f"{BASE}/info", info(LOWER).encode(), retained=True)
    house.hear(f"{BASE}/availability", b"online", retained=True)
    house.publisher.connected()
    house.go()
    house.publisher.event(Event(1, 0.0, "rods", "due"))
    house.hear(f"{BASE}/tasks/rods/command", b"done")

    assert house.sent == []
    assert house.commands == []
    assert house.publisher.silent
    assert "printer_name" in house.said[0]
    assert "pi4" in house.said[0]


def test_a_name_whose_owner_is_offline_is_taken(house):
    house.hear(f"{BASE}/info", info(LOWER).encode(), retained=True)
    house.hear(f"{BASE}/availability", b"offline", retained=True)
    house.publisher.connected()
    house.go()

    assert house.publisher.live


def test_our_own_echo_is_nobody_else(house):
    house.online()
    house.hear(f"{BASE}/info", info(UUID).encode())
    house.hear(f"{BASE}/availability", b"online")
    assert house.publisher.live
    assert house.said == []


def test_of_two_that_come_at_once_the_lower_uuid_stays(house):
    house.online()
    house.hear(f"{BASE}/info", info(LOWER).encode())

    assert house.publisher.silent
    # What only we had does not stay behind under the other's name.
    assert (f"{BASE}/tasks/belts", b"", True, False) in house.sent
    assert (f"{BASE}/tasks/rods", b"", True, False) not in house.sent


def test_of_two_that_come_at_once_the_other_is_overwritten(house):
    house.online()
    house.hear(f"{BASE}/info", info(HIGHER).encode())
    house.go()

    assert not house.publisher.silent
    assert house.topics()[0] == "info"
    assert "availability" in house.topics()


def test_another_try_is_made_with_the_next_connection(house):
    house.hear(f"{BASE}/info", info(LOWER).encode(), retained=True)
    house.hear(f"{BASE}/availability", b"online", retained=True)
    house.publisher.connected()
    house.publisher.lost("the connection ended")
    house.publisher.connected()
    house.go()

    assert house.publisher.live


# Commands


def test_a_command_is_handed_on_with_its_task(house):
    house.online()
    house.hear(f"{BASE}/tasks/rods/command", b'{"command":"done","by":"anna"}')
    assert house.commands == [("rods", Command("done", by="anna"))]


@pytest.mark.parametrize(
    "payload",
    [b"", b"explode", b"{}", b"[1]", b"\xff", b'{"command":"done"', b"x" * 5000],
)
def test_what_is_no_command_is_refused_and_logged_once(house, caplog, payload):
    house.online()
    for _ in range(3):
        house.hear(f"{BASE}/tasks/rods/command", payload)

    assert house.commands == []
    assert len(caplog.records) == 1


def test_a_bad_command_with_a_transaction_is_answered(house):
    house.online()
    house.hear(f"{BASE}/tasks/rods/command", b'{"command":"x","transaction":"t"}')

    [(topic, payload, *_)] = house.sent
    assert topic == f"{BASE}/results"
    assert Result.decode(payload).code == "bad_argument"


def test_a_retained_command_is_refused(house, caplog):
    house.online()
    house.hear(f"{BASE}/tasks/rods/command", b"done", retained=True)
    assert house.commands == []
    assert "must not be retained" in caplog.text


@pytest.mark.parametrize("topic", ["x", BASE, f"{BASE}/tasks", f"{BASE}/tasks/a/b/c"])
def test_a_stray_topic_is_refused(house, topic):
    house.online()
    house.hear(topic, b"done")
    assert house.commands == []


def test_what_was_published_is_known_by_its_topics():
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
