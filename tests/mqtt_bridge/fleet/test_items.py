"""The descriptions and values of items, and the keys that are made of names."""

from __future__ import annotations

import pytest

from mqtt_bridge import contract
from mqtt_bridge.contract import Habit, Meter
from mqtt_bridge.fleet import items
from mqtt_bridge.fleet.items import LEARNT, LONGEST, Shapes, slugs
from tests.mqtt_bridge import messages as m


def read(state):
    shape, values = Shapes(read_only=False).task(state)
    names = [field.name for field in shape.fields]
    return dict(zip(names, values, strict=True))


def descriptions(shape):
    return {field.name: field.description for field in shape.fields}


def described(*limits):
    shape, _ = Shapes(read_only=False).task(m.state(limits=limits or None))
    return descriptions(shape)


def test_items_that_a_client_may_set_are_described_as_settable():
    shape, _ = Shapes(read_only=False).task(m.state())
    settable = {n for n, each in descriptions(shape).items() if each["settable"]}
    assert settable == {
        *("threshold", "used", "warn_at", "enabled", "done", "snooze", "unsnooze")
    }
    assert all(
        isinstance(each["settable"], bool) for each in descriptions(shape).values()
    )


def test_the_problem_of_a_task_has_another_description_than_the_printers():
    shapes = Shapes(read_only=False)
    printer = descriptions(shapes.printer)["problem"]["description"]
    task = descriptions(shapes.task(m.state())[0])["problem"]["description"]
    assert printer == "The printer's problem; empty if there is none"
    assert task == "Why the task is not counted; empty if it is counted"


def test_amounts_have_two_decimals_and_counts_have_none():
    task = described()
    assert {task[name]["format"] for name in ("used", "percent", "snooze")} == {"%.2f"}
    assert task["done_count"]["format"] == "%.10g"
    assert described(m.limit("filament", "m"))["used"]["format"] == "%.2f"
    assert "format" not in task["label"]


def test_an_unknown_unit_is_kept():
    assert described(m.limit("spools", "furlong"))["used"]["units"] == "furlong"
    assert "units" not in described(m.limit("jobs", ""))["used"]


def test_a_status_is_described_with_its_names():
    enumerators = described()["status"]["enumerators"]
    assert list(enumerators.values()) == list(contract.STATUSES)
    assert enumerators["0"] == contract.STATUSES[0]
    assert "enumerators" not in described()["label"]


def test_a_meter_is_described_by_its_label_or_its_name():
    meters = {"print_time": Meter("h", "Print time"), "spools": Meter("", "")}
    shape = Shapes(read_only=False).meters(m.info()._replace(meters=meters))
    print_time, spools = (field.description for field in shape.fields)
    assert print_time == {
        "type": "numeric",
        "description": "Print time",
        "settable": False,
        "units": "hour",
        "format": "%.2f",
    }
    assert spools["description"] == "spools"
    assert "units" not in spools


@pytest.mark.parametrize(
    ("until", "hours"),
    [(None, 0.0), (999, 0.0), (1000, 0.0), (1000 + 7300, 2.03), (1001, 0.0)],
)
def test_a_snooze_is_given_as_the_hours_that_are_left(until, hours):
    made = read(m.state(time=1000.0, snoozed_until=until))
    assert made["snooze"] == hours
    assert isinstance(made["snooze"], float)


@pytest.mark.parametrize(
    "fields",
    [
        {"due_from": 1_000, "due_to": 2_000},
        {"habit": Habit("print_time", 3, 238.0, 240.0, 245.0, 0.2, agree=True)},
    ],
)
def test_a_forecast_or_a_habit_alone_gives_a_task_the_items_of_learning(fields):
    made = read(m.state()._replace(**fields))
    assert {facet.field for facet in LEARNT} <= set(made)
    assert made["due_from"] == fields.get("due_from")
    assert made["usual"] == (240.0 if "habit" in fields else None)


def test_equal_meters_and_units_have_the_same_shape_object():
    shapes = Shapes(read_only=False)

    def shape(*limits):
        return shapes.task(m.state(limits=limits))[0]

    hours = shape(m.limit("a", "h"))
    assert hours is shape(m.limit("b", "h"))
    assert hours is not shape(m.limit("a", "m"))
    two = shape(m.limit("a", "h"), m.limit("b", "m"))
    assert two is shape(m.limit("a", "h"), m.limit("b", "m"))
    assert two is not shape(m.limit("a", "h"), m.limit("c", "m"))
    assert two is not shape(m.limit("a", "h"), m.limit("b", "h"))


def test_the_length_counts_all_shapes_and_descriptions():
    shapes = Shapes(read_only=False)
    before = len(shapes)
    assert before == len(items.PRINTER)
    shape, _ = shapes.task(m.state())
    assert len(shapes) == before + 1 + len(shape.fields)
    del shape
    assert len(shapes) == before


# Keys


def test_a_name_that_fits_is_its_own_key_and_a_longer_one_is_cut():
    fits, longer = "a" * LONGEST, "b" * (LONGEST + 1)
    made = slugs([fits, longer])
    assert made[fits] == fits
    assert len(made[longer]) == LONGEST
    assert made[longer].startswith("b" * (LONGEST - 9) + "_")


def test_names_that_become_the_same_key_get_different_keys():
    first, second = slugs(["fan on", "fan.on"]).values()
    assert first == "fan_on"
    assert second.startswith("fan_on_")
    assert len(second) == len("fan_on_") + 8


def test_a_name_that_is_not_valid_unicode_gets_a_key_too():
    """JSON can contain half of a surrogate pair."""
    names = ["fan \ud800", "fan \ud801"]
    made = slugs([*names, "x" * 70 + "\ud800"])
    assert len(set(made.values())) == 3
    assert all(contract.is_slug(each) for each in made.values())


# Commands


def ask(field, value, state=None):
    shape, values = Shapes(read_only=False).task(state or m.state())
    return items.command(shape, values, field, value, "anna", "t-1")


@pytest.mark.parametrize("value", [0.5, 1, 1.5])
def test_any_threshold_above_zero_can_be_set(value):
    assert ask("threshold", value).threshold == value
    assert ask("warn_at", value).warn_at == value


@pytest.mark.parametrize("field", ["threshold", "warn_at"])
@pytest.mark.parametrize("value", [0, -0.5])
def test_a_threshold_of_zero_or_less_is_refused(field, value):
    with pytest.raises(ValueError, match=f"'{field}' cannot be {value}"):
        ask(field, value)


def test_a_negative_use_is_refused():
    with pytest.raises(ValueError, match=r"'used' cannot be -0\.5"):
        ask("used", -0.5)


def test_every_command_has_the_name_of_its_sender():
    part = m.state()._replace(kind="nozzle", place="bed", places=("bed",))
    learns = m.state()._replace(due_from=1, due_to=2)
    for field, value, state in (
        ("done", 1, None), ("unsnooze", 1, None), ("learn", 1, learns),
        ("enabled", 0, None), ("enabled", 1, None), ("place", "bed", part),
        ("place", " ", part), ("snooze", 5, None), ("snooze", 0, None),
        ("used", 5, None), ("threshold", 5, None), ("warn_at", 5, None),
    ):  # fmt: skip
        command = ask(field, value, state)
        assert (command.by, command.transaction) == ("anna", "t-1"), field


def test_an_amount_without_a_meter_is_for_the_deciding_limit():
    limits = (m.limit(), m.limit("filament", "m"))
    state = m.state(limits=limits, trigger="filament")
    assert ask("used", 2, state).used == {"filament": 2.0}
    assert ask("warn_at", 2, state).warn_at == {"filament": 2.0}
