"""The fleet at the edges of its rules.

Each test was added after a planted fault was not noticed.
"""

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


def test_changes_that_the_bridge_makes_have_the_bridges_time(mirrored):
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
def test_every_message_sets_the_time_of_the_last_message(rest, payload):
    mirror = Mirror()
    mirror.receive(m.printer())
    printer = mirror.fleet.printers["voron"]
    assert printer.heard == NOW
    printer.heard = 0.0
    mirror.receive({m.topic("voron", rest): payload})
    assert printer.heard == NOW


def test_each_info_that_arrives_is_counted(mirrored):
    """It may bring new topics to subscribe to."""
    assert Mirror().fleet.infos == 0
    assert mirrored.fleet.infos == 1
    mirrored.receive({m.topic("voron", "info"): m.info("rods", "belt").encode()})
    assert mirrored.fleet.infos == 2


def test_a_repeated_availability_changes_nothing(mirrored):
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


def test_a_state_with_the_same_number_replaces_the_last(mirrored):
    """A printer may correct a text without counting."""
    state = m.state(seq=1, time=1000.0, label="Grease the rods").encode()
    mirrored.receive({m.topic("voron", "tasks/rods"): state})
    assert mirrored["voron.rods.label"] == "Grease the rods"


def test_a_printer_without_a_clock_is_mirrored_from_its_first_state():
    mirror = Mirror()
    mirror.receive(m.printer(tasks=(m.state(seq=0, time=0.0),)))
    assert mirror["voron.rods.used"] == 37.5
    assert mirror.changes.states == [("voron", "rods", 0)]


# Missing messages


@pytest.mark.parametrize("rest", ["availability", "info", "meters", "tasks/rods"])
def test_a_topic_is_missing_until_its_message_arrives(rest):
    payloads = m.printer()
    topic = m.topic("voron", rest)
    payload = payloads.pop(topic)
    mirror = Mirror()
    mirror.receive(payloads)
    assert topic in mirror.fleet.missing()["voron"]
    assert mirror.fleet.lacks(topic)
    mirror.receive({topic: payload})
    assert not mirror.fleet.lacks(topic)


def test_a_forgotten_printer_has_no_missing_topics(mirrored):
    mirrored.forget("voron")
    assert not mirrored.fleet.lacks(m.topic("voron", "tasks/rods"))


def test_without_the_broker_every_availability_is_missing(mirrored):
    mirrored.connection(up=False)
    assert mirrored.fleet.printers["voron"].available is False
    assert mirrored.fleet.missing() == {"voron": [m.topic("voron", "availability")]}


def test_a_printer_with_one_message_left_is_kept():
    payloads = m.printer()
    for left in payloads:
        mirror = Mirror()
        mirror.receive(payloads)
        mirror.receive(dict.fromkeys(set(payloads) - {left}, b""))
        assert set(mirror.fleet.printers) == {"voron"}, left


def test_a_printer_whose_only_message_is_offline_is_kept():
    """Its other messages may arrive later."""
    mirror = Mirror()
    availability = m.topic("voron", "availability")
    mirror.receive({availability: b"online"})
    mirror.receive({availability: b"offline"})
    assert set(mirror.fleet.printers) == {"voron"}
    mirror.receive({availability: b""})
    assert mirror.fleet.printers == {}


def test_a_forgotten_printer_leaves_nothing_and_can_come_back(mirrored):
    mirrored.receive(m.printer("ender"))
    mirrored.forget("voron")
    assert {key.partition(".")[0] for key in mirrored.items} == {"ender"}
    assert mirrored.changes.gone == {"voron"}
    assert mirrored.fleet.size == size_of(m.state())

    mirrored.receive(m.printer())
    assert mirrored["voron.rods.used"] == 37.5
    assert mirrored.fleet.size == 2 * size_of(m.state())


def test_items_are_counted_also_if_a_task_arrives_before_info():
    mirror = Mirror()
    for slug in ("a", "b"):
        mirror.receive({m.topic(slug, "tasks/rods"): m.state().encode()})
    assert mirror.fleet.size == 2 * size_of(m.state())


# Ignored and refused messages


@pytest.mark.parametrize("rest", ["results", "events", "tasks/rods/command"])
def test_topics_that_are_never_retained_are_ignored(mirrored, rest, caplog):
    before = {key: mirrored[key] for key in mirrored.items}
    mirrored.receive({m.topic("voron", rest): b"{}"})
    assert {key: mirrored[key] for key in mirrored.items} == before
    assert mirrored.fleet.refused == 0
    assert caplog.text == ""


def test_a_base_topic_may_be_the_beginning_of_another(caplog):
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


def test_clearing_an_unknown_printer_is_not_logged(monkeypatch, caplog):
    monkeypatch.setattr(fleet, "MAX_PRINTERS", 1)
    mirror = Mirror()
    mirror.receive(m.printer("a"))
    mirror.receive(dict.fromkeys(m.printer("b"), b""))
    assert set(mirror.fleet.printers) == {"a"}
    assert caplog.text == ""


def test_topics_are_remembered_by_their_first_200_letters(caplog):
    mirror = Mirror()
    long = m.topic("v", "x" * 300)[:200]
    for end in ("a", "b"):
        mirror.receive({long + end: b"{}"})
    assert len(caplog.records) == 1
    mirror.receive({long[:199] + "y": b"{}"})
    assert len(caplog.records) == 2


# Changes


def test_a_removed_limit_removes_its_items_and_keeps_the_others():
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


def test_only_the_meter_that_changed_is_published():
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


def test_printers_with_equal_tasks_and_meters_share_their_shapes():
    """A farm may have a million items."""
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
