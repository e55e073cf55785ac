"""The mirror: messages of printers become items, and nothing else does."""

from __future__ import annotations

import json
import os
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mktl_daemon.core.catalog import check_items
from mqtt_bridge import contract
from mqtt_bridge.contract import Limit, Topic
from mqtt_bridge.fleet import decode, fleet, items
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.items import PRINTER, Shapes
from mqtt_bridge.fleet.records import Changes
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.mirror import NOW, Mirror


@pytest.fixture
def mirrored():
    made = Mirror()
    made.receive(m.printer())
    return made


def test_a_printer_becomes_items(mirrored):
    assert mirrored["voron.online"] == 1
    assert mirrored["voron.name"] == "Voron"
    assert mirrored["voron.print_time"] == 12.5
    assert mirrored["voron.rods.used"] == 37.5
    assert mirrored["voron.rods.remaining"] == 112.5
    assert mirrored["voron.rods.status"] == contract.STATUSES.index("ok")
    assert mirrored["voron.rods.done"] == 0


def test_a_problem_is_an_item_of_the_task_and_of_the_printer(mirrored):
    assert mirrored["voron.problem"] is None
    assert mirrored["voron.rods.problem"] is None

    summary = m.summary()._replace(problem="The disk is full.")
    mirrored.receive(m.printer(tasks=(m.state(problem="It has no such meter."),)))
    mirrored.receive({m.topic("voron", "summary"): summary.encode()})

    assert mirrored["voron.problem"] == "The disk is full."
    assert mirrored["voron.rods.problem"] == "It has no such meter."


def test_the_order_of_retained_messages_does_not_matter():
    """Brokers send retained messages in any order."""
    orders = random.Random(7)
    expected = None
    for _ in range(20):
        payloads = list(m.printer(tasks=(m.state(), m.state("belt"))).items())
        orders.shuffle(payloads)
        made = Mirror()
        made.receive(dict(payloads))
        values = {key: made[key] for key in made.items}
        expected = expected or values
        assert values == expected


def test_every_description_is_valid_in_a_catalog(mirrored):
    described = {key: place.description for key, place in mirrored.items.items()}

    assert check_items(described).keys() == described.keys()


def test_the_names_of_units_are_those_of_pint(mirrored):
    def units(key):
        return mirrored.items[key].description.get("units")

    assert units("voron.rods.used") == "hour"
    assert units("voron.rods.percent") == "percent"
    assert units("voron.rods.last_done") == "second"
    assert units("voron.rods.done_count") is None


def test_the_time_of_a_value_is_the_time_of_its_reading(mirrored):
    mirrored.receive({m.topic("voron", "tasks/rods"): m.state(
        seq=2, time=2000.0, limits=(m.limit(used=40.0),)).encode()})  # fmt: skip

    assert mirrored.rows()["voron.rods.used"] == (40.0, 2000.0)


def test_only_changed_values_are_published(mirrored):
    mirrored.receive({m.topic("voron", "tasks/rods"): m.state(
        seq=2, time=2000.0, limits=(m.limit(used=40.0),)).encode()})  # fmt: skip

    assert set(mirrored.rows()) == {
        "voron.rods.used", "voron.rods.remaining", "voron.rods.percent",
    }  # fmt: skip


def test_tasks_with_the_same_fields_share_their_descriptions():
    made = Mirror()
    made.receive(m.printer("a") | m.printer("b"))

    a, b = made.items["a.rods.used"], made.items["b.rods.used"]
    assert a.description is b.description


def test_descriptions_that_no_task_uses_any_more_are_forgotten():
    """A printer may give its units and meters any names, and new ones each time."""
    made = Mirror()
    made.receive(m.printer("a") | m.printer("b"))
    shapes = made.fleet.shapes
    before = len(shapes)
    for number in range(100):
        limits = (m.limit(f"m{number}", f"u{number}"), m.limit(f"n{number}"))
        task = m.state(seq=2 + number, limits=limits)
        made.receive({m.topic("a", "tasks/rods"): task.encode()})
    made.receive({m.topic("a", "tasks/rods"): m.state(seq=200).encode()})

    assert len(shapes) == before
    a, b = made.items["a.rods.used"], made.items["b.rods.used"]
    assert a.description is b.description


def test_a_task_that_info_does_not_list_has_no_items(mirrored):
    """A broker keeps the state of a task that its printer no longer has."""
    mirrored.receive({m.topic("voron", "tasks/old"): m.state("old").encode()})
    assert "voron.old.used" not in mirrored.items

    mirrored.receive({m.topic("voron", "info"): m.info("rods", "old").encode()})
    assert mirrored["voron.old.used"] == 37.5

    mirrored.receive({m.topic("voron", "info"): m.info("old").encode()})
    assert "voron.rods.used" not in mirrored.items


def test_an_empty_payload_removes_the_task(mirrored):
    mirrored.receive({m.topic("voron", "tasks/rods"): b""})

    assert not [key for key in mirrored.items if key.startswith("voron.rods.")]


def test_a_printer_that_clears_all_its_topics_is_removed(mirrored):
    mirrored.receive(dict.fromkeys(m.printer(), b""))

    assert mirrored.items == {}
    assert mirrored.fleet.printers == {}


def test_an_offline_printer_keeps_its_values_and_their_times(mirrored):
    mirrored.receive({m.topic("voron", "availability"): b"offline"})

    assert mirrored["voron.online"] == 0
    assert mirrored["voron.rods.used"] == 37.5
    assert mirrored.items["voron.rods.used"].record.time == 1000.0
    assert mirrored.changes.gone == {"voron"}


def test_without_a_broker_no_printer_is_online(mirrored):
    mirrored.connection(up=False)
    assert mirrored["voron.online"] == 0

    # This message was on its way when the broker was lost.
    mirrored.receive({m.topic("voron", "availability"): b"online"})
    assert mirrored["voron.online"] == 0

    mirrored.connection(up=True)
    assert mirrored["voron.online"] == 0
    mirrored.receive({m.topic("voron", "availability"): b"online"})
    assert mirrored["voron.online"] == 1


def test_a_printer_whose_info_comes_back_is_complete_again(mirrored):
    """Its meters are not published again: the last message is still the newest."""
    before = {key: mirrored[key] for key in mirrored.items}
    mirrored.receive({m.topic("voron", "info"): b""})
    assert mirrored.items == {}

    mirrored.receive({m.topic("voron", "info"): m.info("rods").encode()})
    assert {key: mirrored[key] for key in mirrored.items} == before


def test_meters_that_changed_while_hidden_have_their_newest_values(mirrored):
    mirrored.receive({m.topic("voron", "info"): b""})
    mirrored.receive(
        {m.topic("voron", "info"): m.info("rods", meters=("filament",)).encode()}
    )

    assert "voron.print_time" not in mirrored.items
    assert mirrored["voron.filament"] is None


def test_the_same_fault_with_other_values_is_logged_once(mirrored, caplog):
    for number in range(20):
        where = m.topic("voron", "availability")
        mirrored.receive({where: b"here %d" % number})

    assert len(caplog.records) == 1


TWO = (m.limit(), m.limit("filament", "m", 100.0, 1000.0, 50.0))


def test_topics_and_values_cannot_forge_a_line_of_the_log(caplog):
    """A line feed would forge a line, and an escape would change the terminal."""
    mirror = Mirror()
    wild = "voron\nWARNING forged\x1b[2J"
    mirror.receive({
        f"{m.BASE}/{wild}/info": b"{}",
        f"{wild}/info": b"{}",
        m.topic("voron", "availability"): wild.encode(),
        m.topic("voron", "tasks/rods"): json.dumps({"task": wild}).encode(),
    })  # fmt: skip
    assert mirror.fleet.refused >= 3
    assert not [text for text in caplog.messages if "\n" in text or "\x1b" in text]


def test_each_of_several_limits_has_its_own_items():
    made = Mirror()
    made.receive(m.printer(tasks=(m.state(limits=TWO),)))

    assert made["voron.rods.used"] == 37.5
    assert made["voron.rods.print_time.used"] == 37.5
    assert made["voron.rods.filament.used"] == 100.0
    assert made.items["voron.rods.filament.used"].description["units"] == "meter"


def test_when_another_limit_decides_the_units_change_with_it():
    made = Mirror()
    made.receive(m.printer(tasks=(m.state(limits=TWO),)))
    made.receive({m.topic("voron", "tasks/rods"): m.state(
        seq=2, limits=TWO, trigger="filament").encode()})  # fmt: skip

    assert made["voron.rods.used"] == 100.0
    assert made.items["voron.rods.used"].description["units"] == "meter"
    assert made["voron.rods.trigger"] == "filament"


def test_meters_of_any_name_have_keys():
    """A meter may be named like one of the printer's own items, or in any other way."""
    made = Mirror()
    names = ("due", "fan on", "fan.on")
    payloads = m.printer(meters=names)
    payloads[m.topic("voron", "meters")] = m.meters(
        **dict.fromkeys(names, 1.0)
    ).encode()
    made.receive(payloads)

    assert made["voron.due"] == 0
    assert made["voron.meter_due"] == 1.0
    described = {key: place.description for key, place in made.items.items()}
    assert len(check_items(described)) == len(made.items)
    assert sum(key.startswith("voron.fan_on") for key in made.items) == 2


def test_no_name_gives_a_key_that_a_catalog_refuses():
    """This is so for many names with one slug, and for the longest names."""
    names = [f"a{'!' * number}" for number in range(1, 250)] + ["z" * 63]
    most = contract.MAX_LIMITS
    tasks = [
        m.state(
            f"{number:02}" + "t" * 61,
            limits=tuple(m.limit(name) for name in names[first : first + most]),
        )
        for number, first in enumerate(range(0, len(names), most))
    ]
    made = Mirror()
    payloads = m.printer("p" * 63, tasks=tuple(tasks), meters=names)
    payloads[m.topic("p" * 63, "meters")] = m.meters(
        **dict.fromkeys(names, 1.0)
    ).encode()
    made.receive(payloads)

    described = {key: place.description for key, place in made.items.items()}
    assert len(check_items(described)) == len(made.items)
    used = sum(key.endswith(".used") for key in made.items)
    assert used == len(tasks) + len(names)
    assert sum(key.count(".") == 1 for key in made.items) == len(names) + len(PRINTER)


def test_read_only_items_are_described_as_read_only():
    made = Mirror(read_only=True)
    made.receive(m.printer())

    assert not any(place.description["settable"] for place in made.items.values())


def test_only_the_bridges_own_printers_are_mirrored():
    made = Mirror(owns=lambda printer: printer == "a")
    made.receive(m.printer("a") | m.printer("b"))

    assert {key.split(".")[0] for key in made.items} == {"a"}


@pytest.mark.parametrize(
    "payload",
    [
        b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000,
        m.state().encode().replace(b"37.5", b"NaN"),
        m.state().encode().replace(b"37.5", b"true"),
        m.state().encode().replace(b"37.5", b"1e999"),
        m.state().encode().replace(b'"schema": 1', b'"schema": 2'),
        m.state("another").encode(),
        b'{"a": "' + b"x" * contract.MAX_PAYLOAD + b'"}',
    ],
    ids=lambda payload: repr(payload[:20]),
)  # fmt: skip
def test_an_invalid_message_changes_no_good_value(mirrored, payload, caplog):
    before = {key: mirrored[key] for key in mirrored.items}
    mirrored.receive({m.topic("voron", "tasks/rods"): payload})
    mirrored.receive({m.topic("voron", "tasks/rods"): payload})

    assert {key: mirrored[key] for key in mirrored.items} == before
    assert mirrored.fleet.refused == 2
    assert len(caplog.records) == 1, "the fault is logged once"


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_any_bytes_are_read_in_the_same_way_as_by_the_contract(payload):
    def outcome(read):
        try:
            return read(payload)
        except contract.ContractError:
            return None

    ours, theirs = outcome(fleet.parse), outcome(contract.parse)
    assert ours is None or theirs is None or ours == theirs


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(), inner, max_size=4),
))  # fmt: skip
def test_json_is_read_in_the_same_way_as_by_the_contract(value):
    payload = msgspec.json.encode({"a": value})

    assert fleet.parse(payload) == contract.parse(payload)


def test_the_fast_decoder_accepts_only_what_the_contract_accepts():
    """It also reads the same values."""
    read = 0
    for _, payload in fuzzed(20_000, seed=7):
        state = decode.state(payload, "rods")
        if state is not None:
            assert state == contract.State.decode(payload)
            read += 1
    assert read > 500


@pytest.mark.parametrize("field", contract.State._fields)
@pytest.mark.parametrize(
    "value", [None, True, -1, 1.5, 10**400, "", "x", [], {}, "2026-08-02T17:20:11Z"]
)
def test_the_fast_decoder_accepts_no_field_that_the_contract_refuses(field, value):
    fields = msgspec.json.decode(m.state().encode())
    fields[field] = value
    payload = json.dumps(fields).encode()
    try:
        expected = contract.State.decode(payload)
    except contract.ContractError:
        expected = None

    state = decode.state(payload, "rods")
    assert state is None or state == expected


def fuzzed(count, seed):
    """Yield topics and payloads that are almost valid."""
    chance = random.Random(seed)
    good = list(m.printer(tasks=(m.state(limits=TWO), m.state("belt"))).items())
    for _ in range(count):
        topic, payload = chance.choice(good)
        payload = bytearray(payload)
        for _ in range(chance.randrange(4)):
            if payload:
                payload[chance.randrange(len(payload))] = chance.randrange(256)
        if chance.random() < 0.2:
            payload = payload[: chance.randrange(len(payload) + 1)]
        if chance.random() < 0.3:
            where = chance.randrange(len(topic))
            topic = topic[:where] + chance.choice("/+#.é\0 a") + topic[where + 1 :]
        yield topic, bytes(payload)


@pytest.mark.timeout(3600)
def test_fuzzed_messages_raise_nothing_and_change_no_other_printer():
    """These are some thousand messages, or a million with the variable FUZZ=1000000."""
    made = Mirror()
    made.receive(m.printer("other"))
    before = {key: made[key] for key in made.items}

    for topic, payload in fuzzed(int(os.environ.get("FUZZ", "3000")), seed=20261121):
        made.receive({topic: payload})

    after = {key: made[key] for key in made.items if key.startswith("other.")}
    assert after == before
    described = {key: place.description for key, place in made.items.items()}
    assert check_items(described)


def ask(mirrored, task, field, value):
    record = mirrored.fleet.printers["voron"].tasks[task]
    return items.command(record.shape, record.values, field, value, "anna", "t-1")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("done", True, {"command": "done"}),
        ("unsnooze", 1, {"command": "unsnooze"}),
        ("snooze", 24, {"command": "snooze", "for": 24.0}),
        ("snooze", 0, {"command": "unsnooze"}),
        ("enabled", False, {"command": "disable"}),
        ("enabled", True, {"command": "enable"}),
        ("threshold", 200, {"command": "set", "threshold": 200.0}),
        ("warn_at", 5, {"command": "set", "warn_at": 5.0}),
        ("used", 0, {"command": "adjust", "used": 0.0}),
    ],
)
def test_a_set_becomes_a_command(mirrored, field, value, expected):
    command = ask(mirrored, "rods", field, value)

    expected |= {"transaction": "t-1", "by": "anna"}
    assert msgspec.json.decode(command.encode()) == expected
    assert contract.Command.decode(command.encode()) == command


def test_a_command_names_its_limit_if_the_task_has_several():
    made = Mirror()
    made.receive(m.printer(tasks=(m.state(limits=TWO),)))

    assert ask(made, "rods", "threshold", 9).threshold == {"print_time": 9.0}
    assert ask(made, "rods", "filament.threshold", 9).threshold == {"filament": 9.0}
    assert ask(made, "rods", "filament.used", 9).used == {"filament": 9.0}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("done", 0), ("unsnooze", False), ("snooze", -1), ("threshold", 0),
        ("used", -1), ("threshold", float("nan")), ("used", float("inf")),
    ],
)  # fmt: skip
def test_an_invalid_value_is_refused(mirrored, field, value):
    with pytest.raises(ValueError, match=field):
        ask(mirrored, "rods", field, value)


def test_all_amounts_of_a_limit_are_items():
    """The values of a limit are read in the order of the contract."""
    assert {facet.field for facet in items.LIMIT} == set(Limit._fields[2:])


def test_every_kind_of_retained_message_is_mirrored():
    assert all(
        kind == "task" or hasattr(Fleet, f"_on_{kind}") for kind in contract.RETAINED
    )
    assert Topic("a", "task", "b").format("x") == "x/a/tasks/b"


def big(task, limits, **fields):
    return m.state(
        task, limits=tuple(m.limit(f"meter{n}") for n in range(limits)), **fields
    )


def test_the_number_of_items_is_limited_for_a_printer_and_for_all(monkeypatch, caplog):
    """Twenty messages once made 900,000 items."""
    size = len(Shapes(read_only=False).task(big("t0", 3))[0].fields)
    monkeypatch.setattr(fleet, "MAX_PRINTER_ITEMS", 2 * size)
    monkeypatch.setattr(fleet, "MAX_ITEMS", 3 * size)
    mirror = Mirror()
    states = [big(f"t{number}", 3) for number in range(3)]
    mirror.receive(m.printer("a", states) | m.printer("b", states))

    assert set(mirror.fleet.printers["a"].tasks) == {"t0", "t1"}
    assert set(mirror.fleet.printers["b"].tasks) == {"t0"}
    assert mirror.fleet.size == 3 * size
    assert "items of tasks" in caplog.text
    assert "items of all printers" in caplog.text

    mirror.receive(dict.fromkeys(m.printer("a", states), b""))
    assert mirror.fleet.size == size
    mirror.receive(m.printer("b", states))
    assert set(mirror.fleet.printers["b"].tasks) == {"t0", "t1"}


def test_a_task_with_new_limits_is_counted_again_for_the_limit_of_items():
    mirror = Mirror()
    mirror.receive(m.printer("a", [big("t0", 3)]))
    before = mirror.fleet.size
    mirror.receive({m.topic("a", "tasks/t0"): big("t0", 2, seq=2).encode()})
    assert mirror.fleet.size < before
    mirror.receive({m.topic("a", "tasks/t0"): b""})
    assert mirror.fleet.size == 0


def test_printers_under_several_base_topics_are_one_fleet(caplog):
    mirror = Mirror(bases=("farm/one", "farm/two"))
    for base in ("farm/one", "farm/two"):
        payloads = m.printer("p" + base[-3:])
        mirror.receive({t.replace(m.BASE, base): each for t, each in payloads.items()})
    printers = mirror.fleet.printers
    assert {slug: each.base for slug, each in printers.items()} == {
        "pone": "farm/one", "ptwo": "farm/two",
    }  # fmt: skip
    assert mirror.fleet.missing() == {}
    mirror.receive({"farm/two/pone/availability": b"offline"})
    assert "'pone' is below 'farm/one' already" in caplog.text
    assert printers["pone"].online


def test_missing_messages_are_named_by_their_topics(mirrored):
    mirrored.receive({m.topic("voron", "info"): m.info("rods", "belt").encode()})
    belt = m.topic("voron", "tasks/belt")
    assert mirrored.fleet.missing() == {"voron": [belt]}
    assert mirrored.fleet.lacks(belt)
    mirrored.connection(True)
    assert m.topic("voron", "availability") in mirrored.fleet.missing()["voron"]


def test_the_number_of_printers_is_limited_and_the_known_ones_go_on(
    monkeypatch, caplog
):
    assert fleet.MAX_PRINTERS == 100_000
    monkeypatch.setattr(fleet, "MAX_PRINTERS", 2)
    mirror = Mirror()
    for slug in ("a", "b", "c"):
        mirror.receive(m.printer(slug))
    assert set(mirror.fleet.printers) == {"a", "b"}
    assert not any(key.startswith("c.") for key in mirror.items)
    assert "more than 2 printers" in caplog.text

    mirror.receive({m.topic("b", "tasks/rods"): m.state(seq=2, limits=TWO).encode()})
    assert mirror["b.rods.used"] == mirror["a.rods.used"]
    mirror.receive(dict.fromkeys(m.printer("a"), b""))
    mirror.receive(m.printer("c"))
    assert set(mirror.fleet.printers) == {"b", "c"}


def test_the_number_of_tasks_of_a_printer_is_limited(monkeypatch, caplog):
    monkeypatch.setattr(fleet, "MAX_TASKS", 2)
    mirror = Mirror()
    mirror.receive({
        m.topic("voron", f"tasks/t{number}"): m.state(f"t{number}").encode()
        for number in range(3)
    })  # fmt: skip
    assert set(mirror.fleet.printers["voron"].tasks) == {"t0", "t1"}
    mirror.receive(m.printer("voron", tuple(m.state(f"t{n}") for n in range(3))))
    assert "more than 2 tasks" in caplog.text
    assert mirror.fleet.printers["voron"].state.info is None


def test_the_log_names_no_more_topics_than_the_limit(monkeypatch, caplog):
    monkeypatch.setattr(fleet, "MAX_COMPLAINTS", 3)
    mirror = Mirror()
    for number in range(10):
        mirror.receive({m.topic(f"p{number}", "info"): b"x"})
    assert mirror.fleet.refused == 10
    assert caplog.text.count("message dropped") == 4
    assert caplog.text.count("names no more dropped messages") == 1


@pytest.mark.parametrize(
    ("seq", "time", "is_taken"),
    [(4, 999.0, False), (4, 1000.0, False), (4, 1001.0, True), (6, 999.0, True)],
)
def test_a_state_that_arrives_after_its_successor_is_dropped(seq, time, is_taken):
    """Brokers deliver retained messages late.

    A store from a backup counts from an earlier number.
    """
    mirror = Mirror()
    mirror.receive(m.printer("voron", [m.state(seq=5)]))
    mirror.receive({
        m.topic("voron", "meters"): m.meters(seq=5, print_time=20.0).encode(),
        m.topic("voron", "summary"): m.summary(seq=5, due=2).encode(),
    })  # fmt: skip
    used = (m.limit(used=1.0),)
    mirror.receive({
        m.topic("voron", "tasks/rods"): m.state("rods", seq, time, used).encode(),
        m.topic("voron", "meters"): m.meters(seq, time, print_time=1.0).encode(),
        m.topic("voron", "summary"): m.summary(seq=seq, time=time, due=1).encode(),
    })  # fmt: skip
    values = [mirror[f"voron.{key}"] for key in ("rods.used", "print_time", "due")]
    assert values == ([1.0, 1.0, 1] if is_taken else [37.5, 20.0, 2])
    assert mirror.fleet.printers["voron"].tasks["rods"].seq == (seq if is_taken else 5)


@pytest.mark.parametrize("meters", [(), ("print_time",)])
def test_a_printer_with_meters_is_complete_only_with_their_readings(meters):
    payloads = m.printer(meters=meters)
    readings = m.topic("voron", "meters")
    payload = payloads.pop(readings)
    mirror = Mirror()
    mirror.receive(payloads)
    assert mirror.fleet.missing() == ({"voron": [readings]} if meters else {})
    mirror.receive({readings: payload})
    assert mirror.fleet.missing() == {}


def test_a_key_that_comes_back_in_the_same_batch_is_placed_and_not_removed(mirrored):
    """A printer cleared its info and sent it again before the first was read."""
    mirror, changes = mirrored, Changes()
    info = m.topic("voron", "info")
    for payload in (b"", m.info("rods").encode()):
        mirror.fleet.receive(info, payload, NOW, changes)
    assert "voron.rods.used" in changes.placed
    assert changes.removed == set()
    assert ("voron.rods.used", 37.5, 1000.0) in changes.rows
    mirror.receive({info: b""})
    again = Changes()
    for payload in (m.info("rods").encode(), b""):
        mirror.fleet.receive(info, payload, NOW, again)
    assert "voron.rods.used" in again.removed
    assert again.placed == {}


def test_the_time_of_a_meter_is_the_time_of_its_reading(mirrored):
    payloads = m.meters(2, 2000.0, print_time=13.0).encode()
    mirrored.receive({m.topic("voron", "meters"): payloads})
    assert mirrored.rows() == {"voron.print_time": (13.0, 2000.0)}


def test_the_number_of_tasks_and_meters_in_an_info_message_is_limited(
    monkeypatch, caplog
):
    monkeypatch.setattr(fleet, "MAX_TASKS", 2)
    mirror = Mirror()
    for slug, info in (
        ("a", m.info("t0", "t1", "t2")),
        ("b", m.info("t0", meters=("x", "y", "z"))),
        ("c", m.info("t0", "t1", meters=("x", "y"))),
    ):
        mirror.receive({m.topic(slug, "info"): info.encode()})
    assert set(mirror.fleet.printers) == {"c"}
    assert caplog.text.count("more than 2 tasks or meters") == 2
