"""The fleet at the edges of its rules: each was found by a fault that survived."""

from __future__ import annotations

import pytest

from mqtt_bridge import contract
from mqtt_bridge.fleet import fleet
from mqtt_bridge.fleet.items import Shapes
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.mirror import NOW, Mirror


@pytest.fixture
def mirrored():
    made = Mirror()
    made.receive(m.printer())
    return made


def size_of(state):
    return len(Shapes(read_only=False).task(state)[0].fields)


# Times and arrivals


def test_what_the_bridge_sees_itself_has_its_own_time(mirrored):
    availability = m.topic("voron", "availability")
    mirrored.receive({availability: b"offline"})
    assert mirrored.rows() == {"voron.online": (0, NOW)}
    mirrored.receive({availability: b"online"})
    mirrored.connection(up=False)
    assert mirrored.rows() == {"voron.online": (0, NOW)}

    mirrored.receive({m.topic("voron", "info"): m.info("rods", name="New").encode()})
    assert mirrored.rows()["voron.name"] == ("New", NOW)
    mirrored.receive({m.topic("voron", "summary"): b""})
    assert mirrored.rows()["voron.due"] == (None, NOW)


def test_the_time_of_a_summary_is_that_of_the_printer(mirrored):
    summary = m.summary(seq=2, time=2000.0, due=3).encode()
    mirrored.receive({m.topic("voron", "summary"): summary})
    assert mirrored.rows() == {"voron.due": (3, 2000.0)}


@pytest.mark.parametrize(
    ("rest", "payload"),
    [
        ("tasks/rods", m.state(seq=2).encode()),
        ("meters", m.meters(seq=2).encode()),
        ("availability", b"offline"),
    ],
)
def test_every_message_tells_when_a_printer_was_last_heard_of(rest, payload):
    mirror = Mirror()
    mirror.receive(m.printer())
    printer = mirror.fleet.printers["voron"]
    assert printer.heard == NOW
    printer.heard = 0.0
    mirror.receive({m.topic("voron", rest): payload})
    assert printer.heard == NOW


def test_each_info_that_arrives_is_counted(mirrored):
    """After one there may be new topics to subscribe to."""
    assert Mirror().fleet.infos == 0
    assert mirrored.fleet.infos == 1
    mirrored.receive({m.topic("voron", "info"): m.info("rods", "belt").encode()})
    assert mirrored.fleet.infos == 2


def test_a_printer_comes_and_goes_once_however_often_it_says_so(mirrored):
    availability = m.topic("voron", "availability")
    assert (mirrored.changes.come, mirrored.changes.gone) == ({"voron"}, set())
    for payload, come, gone in (
        (b"online", set(), set()),
        (b"offline", set(), {"voron"}),
        (b"offline", set(), set()),
        (b"online", {"voron"}, set()),
    ):
        mirrored.receive({availability: payload})
        assert (mirrored.changes.come, mirrored.changes.gone) == (come, gone)


def test_a_state_of_the_same_number_replaces_the_one_before(mirrored):
    """A printer corrects a text without counting anything."""
    state = m.state(seq=1, time=1000.0, label="Grease the rods").encode()
    mirrored.receive({m.topic("voron", "tasks/rods"): state})
    assert mirrored["voron.rods.label"] == "Grease the rods"


def test_a_printer_without_any_clock_is_mirrored_from_its_first_state():
    mirror = Mirror()
    mirror.receive(m.printer(tasks=(m.state(seq=0, time=0.0),)))
    assert mirror["voron.rods.used"] == 37.5
    assert mirror.changes.states == [("voron", "rods", 0)]


# What is there, and what is missing


@pytest.mark.parametrize("rest", ["availability", "info", "meters", "tasks/rods"])
def test_a_printer_lacks_the_topic_that_has_not_arrived_until_it_does(rest):
    payloads = m.printer()
    topic = m.topic("voron", rest)
    payload = payloads.pop(topic)
    mirror = Mirror()
    mirror.receive(payloads)
    assert topic in mirror.fleet.missing()["voron"]
    assert mirror.fleet.lacks(topic)
    mirror.receive({topic: payload})
    assert not mirror.fleet.lacks(topic)


def test_a_printer_that_has_gone_lacks_nothing(mirrored):
    mirrored.forget("voron")
    assert not mirrored.fleet.lacks(m.topic("voron", "tasks/rods"))


def test_without_the_broker_every_availability_is_missing(mirrored):
    mirrored.connection(up=False)
    assert mirrored.fleet.printers["voron"].available is False
    assert mirrored.fleet.missing() == {"voron": [m.topic("voron", "availability")]}


def test_a_printer_of_which_one_message_is_left_is_still_there():
    payloads = m.printer()
    for left in payloads:
        mirror = Mirror()
        mirror.receive(payloads)
        mirror.receive(dict.fromkeys(set(payloads) - {left}, b""))
        assert set(mirror.fleet.printers) == {"voron"}, left


def test_a_printer_that_says_that_it_is_offline_is_kept():
    """Its other messages may be on their way."""
    mirror = Mirror()
    availability = m.topic("voron", "availability")
    mirror.receive({availability: b"online"})
    mirror.receive({availability: b"offline"})
    assert set(mirror.fleet.printers) == {"voron"}
    mirror.receive({availability: b""})
    assert mirror.fleet.printers == {}


def test_a_printer_that_is_forgotten_leaves_nothing_and_can_come_back(mirrored):
    mirrored.receive(m.printer("ender"))
    mirrored.forget("voron")
    assert {key.partition(".")[0] for key in mirrored.items} == {"ender"}
    assert mirrored.changes.gone == {"voron"}
    assert mirrored.fleet.size == size_of(m.state())

    mirrored.receive(m.printer())
    assert mirrored["voron.rods.used"] == 37.5
    assert mirrored.fleet.size == 2 * size_of(m.state())


def test_items_are_counted_though_a_task_comes_before_its_info():
    mirror = Mirror()
    for slug in ("a", "b"):
        mirror.receive({m.topic(slug, "tasks/rods"): m.state().encode()})
    assert mirror.fleet.size == 2 * size_of(m.state())


# What is not taken


@pytest.mark.parametrize("rest", ["results", "events", "tasks/rods/command"])
def test_what_no_broker_retains_is_left_to_others(mirrored, rest, caplog):
    before = {key: mirrored[key] for key in mirrored.items}
    mirrored.receive({m.topic("voron", rest): b"{}"})
    assert {key: mirrored[key] for key in mirrored.items} == before
    assert mirrored.fleet.refused == 0
    assert caplog.text == ""


def test_a_base_topic_may_begin_as_another_one(caplog):
    mirror = Mirror(bases=("farm", "farm2"))
    payloads = m.printer()
    for base in ("farm", "farm2"):
        named = {
            t.replace(m.BASE, base).replace("voron", f"v-{base}"): each
            for t, each in payloads.items()
        }
        mirror.receive(named)
    bases = {slug: each.base for slug, each in mirror.fleet.printers.items()}
    assert bases == {"v-farm": "farm", "v-farm2": "farm2"}
    mirror.receive({"farm3/voron/availability": b"online"})
    assert "is not below farm, farm2" in caplog.text


def test_to_clear_a_printer_that_is_not_there_is_no_complaint(monkeypatch, caplog):
    monkeypatch.setattr(fleet, "MAX_PRINTERS", 1)
    mirror = Mirror()
    mirror.receive(m.printer("a"))
    mirror.receive(dict.fromkeys(m.printer("b"), b""))
    assert set(mirror.fleet.printers) == {"a"}
    assert caplog.text == ""


def test_the_memory_of_complaints_has_no_topic_of_more_than_200_letters(caplog):
    mirror = Mirror()
    long = m.topic("v", "x" * 300)[:200]
    for end in ("a", "b"):
        mirror.receive({long + end: b"{}"})
    assert len(caplog.records) == 1
    mirror.receive({long[:199] + "y": b"{}"})
    assert len(caplog.records) == 2


# Changes


def test_when_another_limit_goes_its_items_go_and_the_others_stay():
    two = (m.limit(), m.limit("filament", "m", 100.0, 1000.0, 50.0))
    mirror = Mirror()
    mirror.receive(m.printer(tasks=(m.state(limits=two),)))
    amounts = [
        field for field in contract.Limit._fields if field not in ("meter", "unit")
    ]
    mirror.receive({m.topic("voron", "tasks/rods"): m.state(seq=2).encode()})

    of_limits = {
        f"voron.rods.{meter}.{field}"
        for meter in ("print_time", "filament")
        for field in amounts
    }
    assert mirror.changes.removed == of_limits
    assert mirror["voron.rods.used"] == 37.5
    assert {f"voron.rods.{field}" for field in amounts} <= set(mirror.changes.placed)


def test_of_several_meters_only_the_one_that_moved_is_published():
    names = ("print_time", "filament")
    payloads = m.printer(meters=names)
    meters = m.topic("voron", "meters")
    payloads[meters] = m.meters(print_time=12.5, filament=3.0).encode()
    mirror = Mirror()
    mirror.receive(payloads)
    later = m.meters(2, 2000.0, print_time=12.5, filament=4.0)
    mirror.receive({meters: later.encode()})
    assert mirror.rows() == {"voron.filament": (4.0, 2000.0)}
    assert mirror.changes.placed == {}


def test_printers_with_the_same_things_share_their_shapes():
    """A farm has a million items."""
    mirror = Mirror()
    two = (m.limit(), m.limit("filament", "m"))
    for slug in ("a", "b"):
        mirror.receive(m.printer(slug, (m.state(), m.state("belt", limits=two))))
    a, b = (mirror.fleet.printers[slug] for slug in ("a", "b"))
    assert a.record.shape is b.record.shape
    assert a.meters.shape is b.meters.shape
    for task in ("rods", "belt"):
        assert a.tasks[task].shape is b.tasks[task].shape
    label = mirror.items["a.rods.label"].description
    assert label is mirror.items["a.belt.label"].description


def test_a_task_and_a_part_with_the_same_unit_have_their_own_items():
    part = m.state("nozzle")._replace(kind="nozzle", place="bed", places=("bed", "x"))
    mirror = Mirror()
    mirror.receive(m.printer(tasks=(m.state(), part)))
    assert "voron.rods.place" not in mirror.items
    assert (mirror["voron.nozzle.place"], mirror["voron.nozzle.places"]) == (
        "bed",
        "bed, x",
    )
