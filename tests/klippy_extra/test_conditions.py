"""Conditions: when a meter counts, and how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.ledger.conditions import (
    Condition,
    Conditions,
    Factor,
    Material,
    is_kind_of,
    parse,
    parse_factor,
    parse_variable,
)


class Thing:
    """A Klipper object with a status."""

    def __init__(self, **status):
        self.status = status
        self.queries = 0

    def get_status(self, eventtime):
        assert isinstance(eventtime, float)
        self.queries += 1
        return dict(self.status)


class Printer:
    def __init__(self, **objects):
        self.objects = {name.replace("__", " "): o for name, o in objects.items()}

    def lookup_object(self, name, default=None):
        return self.objects.get(name, default)


def holds(printer, text, material=""):
    conditions = Conditions(printer, Material(printer, name=material))
    return conditions.holds(parse(text), 1.0)


@pytest.mark.parametrize(
    ("text", "temperature", "expected"),
    [
        ("heater_bed>80", 81, True),
        ("heater_bed>80", 80, False),
        ("heater_bed >= 80", 80, True),
        ("heater_bed < 80", 79.9, True),
        ("heater_bed<=80", 80.1, False),
        ("heater_bed = 80", 80.0, True),
        ("heater_bed == 80", 80.0, True),
        ("heater_bed != 80", 80.0, False),
        ("heater_bed.target > 50", 20, True),
        ("heater_bed.nothing > 50", 99, False),
        ("heater_bed>80, heater_bed<100", 90, True),
        ("heater_bed>80 and heater_bed<100", 101, False),
    ],
)
def test_a_number_in_an_objects_status_is_compared_with_a_threshold(
    text, temperature, expected
):
    printer = Printer(heater_bed=Thing(temperature=temperature, target=60.0))

    assert holds(printer, text) is expected


@pytest.mark.parametrize(
    "name",
    [
        "fan_generic__chamber_filter",
        "heater_fan__chamber_filter",
        "temperature_fan__chamber_filter",
    ],
)
def test_fan_finds_any_kind_of_fan_and_compares_its_speed(name):
    running = Printer(**{name: Thing(speed=0.4, temperature=0.0)})
    stopped = Printer(**{name: Thing(speed=0.0, temperature=60.0)})

    assert holds(running, "fan chamber_filter>0")
    assert not holds(stopped, "fan chamber_filter>0")


def test_the_part_cooling_fan_is_called_fan():
    assert holds(Printer(fan=Thing(speed=1.0)), "fan>0.5")


def test_a_chamber_may_be_a_temperature_sensor():
    printer = Printer(temperature_sensor__chamber=Thing(temperature=48.0))

    assert holds(printer, "chamber>45")


def test_a_text_can_be_compared():
    printer = Printer(print_stats=Thing(state="Printing"))

    assert holds(printer, "print_stats.state=printing")
    assert not holds(printer, "print_stats.state!=printing")


def test_a_condition_on_a_missing_object_never_holds_and_names_the_object():
    conditions = Conditions(Printer(), Material(Printer()))

    assert not conditions.holds(parse("heater_bde>80"), 1.0)
    assert "heater_bde" in conditions.missing(parse("heater_bde>80"))
    assert conditions.missing(parse("", "ABS")) == ""


def test_a_condition_on_a_value_that_is_not_a_number_does_not_hold():
    assert not holds(Printer(heater_bed=Thing(temperature=None)), "heater_bed>80")


def test_an_empty_condition_always_holds():
    assert parse() == Condition()
    assert parse().key == ""
    assert holds(Printer(), "")


def test_the_status_of_an_object_is_read_once_a_tick_for_all_tasks():
    bed = Thing(temperature=90.0)
    conditions = Conditions(Printer(heater_bed=bed), Material(Printer()))
    for _task in range(100):
        assert conditions.holds(parse("heater_bed>80"), 1.0)

    assert bed.queries == 1
    bed.status["temperature"] = 20.0
    assert not conditions.holds(parse("heater_bed>80"), 2.0)


@pytest.mark.parametrize(
    ("material", "kind", "expected"),
    [
        ("ABS", "ABS", True),
        ("abs", "ABS", True),
        ("ABS-GF", "ABS", True),
        ("PETG-CF", "CF", True),
        ("PETG CF", "PETG-CF", True),
        ("PETG", "PETG-CF", False),
        ("PETG", "PET", False),
        ("ASA", "ABS", False),
        ("", "ABS", False),
    ],
)
def test_a_material_fits_a_name_when_it_has_all_words_of_the_name(
    material, kind, expected
):
    assert is_kind_of(material, kind) is expected


def test_a_meter_counts_only_with_its_materials():
    material = Material(Printer())
    conditions = Conditions(Printer(), material)
    hot = parse("", "ABS, ASA")

    assert not conditions.holds(hot, 1.0)
    material.set("asa")
    assert conditions.holds(hot, 1.0)
    material.set("PLA")
    assert not conditions.holds(hot, 1.0)


@pytest.mark.parametrize(
    ("material", "expected"),
    [("PLA", 1.0), ("ABS", 1.5), ("PLA-CF", 5.0), ("ABS-CF", 6.0), ("", 1.0)],
)
def test_the_name_that_fits_best_decides_the_factor(material, expected):
    factor = parse_factor("ABS=1.5, CF=5, ABS-CF=6")
    conditions = Conditions(Printer(), Material(Printer(), name=material))

    assert conditions.weight(parse(), factor, 1.0) == expected


def test_each_factor_and_each_list_of_materials_is_applied_separately():
    """This is also so within one tick, and when the weights are asked for again."""
    macro = Thing(material="ABS")
    variable = Material(Printer(gcode_macro__S=macro), "gcode_macro S.material")
    conditions = Conditions(Printer(), variable)
    wanted = [
        (parse(), parse_factor("ABS=2"), 2.0),
        (parse(), parse_factor("ABS=3"), 3.0),
        (parse("", "PLA"), parse_factor("ABS=2"), 0.0),
        (parse("", "ABS"), parse_factor("ABS=2"), 2.0),
        (parse("", "PLA"), parse_factor(), 0.0),
    ]
    for _ in range(2):
        for condition, factor, weight in wanted:
            assert conditions.weight(condition, factor, 1.0) == weight


@pytest.mark.parametrize("factor", [0.0, 1000.0])
def test_a_factor_is_from_0_to_1000(factor):
    assert parse_factor(f"ABS={factor:g}").of("ABS") == factor


def test_of_two_names_that_fit_equally_the_larger_factor_counts():
    assert parse_factor("ABS=1.5, CF=5").of("ABS-CF") == 5.0


def test_nothing_counts_while_the_condition_does_not_hold():
    conditions = Conditions(Printer(), Material(Printer(), name="CF"))

    assert conditions.weight(parse("", "ABS"), parse_factor("CF=5"), 1.0) == 0.0


def test_the_material_is_read_from_a_macro():
    macro = Thing(material="ABS", other=1)
    material = Material(
        Printer(gcode_macro__PRINT_START=macro), "gcode_macro PRINT_START.material"
    )

    assert material.current(1.0) == "ABS"


def test_the_material_is_read_from_saved_variables():
    saved = Thing(variables={"filament_type": "PETG"})
    material = Material(Printer(save_variables=saved), "save_variables.filament_type")

    assert material.current(1.0) == "PETG"


def test_the_newest_source_decides_the_material():
    macro = Thing(material="ABS")
    material = Material(Printer(gcode_macro__S=macro), "gcode_macro S.material")

    assert material.current(1.0) == "ABS"
    material.set("PLA")
    assert material.current(2.0) == "PLA"
    macro.status["material"] = "PETG"
    assert material.current(3.0) == "PETG"


def test_a_missing_variable_keeps_the_material_that_was_set():
    missing = Material(Printer(), "gcode_macro S.material", name="ABS")
    empty = Material(
        Printer(gcode_macro__S=Thing(material=None)), "gcode_macro S.material"
    )

    assert missing.current(1.0) == "ABS"
    assert empty.current(1.0) == ""


@pytest.mark.parametrize(
    ("parsed", "key"),
    [
        (parse("heater_bed > 80.0"), "heater_bed>80"),
        (parse("b>1, a>1"), "a>1,b>1"),
        (parse("a>1 and b>1"), "a>1,b>1"),
        (parse("fan  x == 1"), "fan x=1"),
        (parse("", "asa, ABS"), "material=ABS|ASA"),
        (parse("a.b>1", "ABS"), "a.b>1,material=ABS"),
        (parse_factor("CF = 5, abs=1.50"), "ABS=1.5,CF=5"),
        (parse_factor(""), ""),
    ],
)
def test_all_ways_to_write_a_condition_have_the_same_key(parsed, key):
    assert parsed.key == key


@pytest.mark.parametrize(
    "text", ["heater_bed", ">80", "heater_bed>", "a>b", "a ~ 3", ","]
)
def test_a_text_that_is_no_condition_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"heater_bed>80|needs a number"):
        parse(text)


@pytest.mark.parametrize("text", ["a>nan", "a>inf", "a>1e999"])
def test_a_threshold_is_a_finite_number(text):
    with pytest.raises(ValueError, match="needs a number"):
        parse(text)


@pytest.mark.parametrize("text", ["ABS,,ASA", "-", "A*B", "what?"])
def test_a_text_that_is_no_material_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="'ABS, ASA'"):
        parse("", text)


@pytest.mark.parametrize(
    "text", ["ABS", "ABS=", "ABS=x", "ABS=nan", "ABS=-1", "ABS=1000.5"]
)
def test_a_text_that_is_no_factor_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="CF=5"):
        parse_factor(text)


@pytest.mark.parametrize("text", ["gcode_macro S", ".material", "gcode_macro S."])
def test_a_text_that_names_no_variable_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"PRINT_START\.material"):
        parse_variable(text)


@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_is_accepted_or_refused_with_one_exception_type(text, material):
    for read in (lambda: parse(text, material), lambda: parse_factor(text)):
        try:
            result = read()
        except ValueError:
            continue
        assert isinstance(result, (Condition, Factor))
        assert "?" not in result.key
        assert "*" not in result.key


@pytest.mark.parametrize(
    "name",
    [
        "heater_generic__chamber",
        "temperature_sensor__chamber",
        "temperature_fan__chamber",
    ],
)
def test_a_short_name_finds_any_kind_of_sensor_and_compares_its_temperature(name):
    warm = Printer(**{name: Thing(temperature=48.0, speed=0.0)})
    assert holds(warm, "chamber>45")
    assert holds(warm, f"{name.replace('__', ' ')}>45")


def test_an_object_with_exactly_this_name_comes_first():
    printer = Printer(
        chamber=Thing(temperature=20.0),
        heater_generic__chamber=Thing(temperature=90.0),
        fan__x=Thing(speed=0.0),
        fan_generic__x=Thing(speed=1.0),
    )
    assert not holds(printer, "chamber>45")
    assert not holds(printer, "fan x>0")


def test_a_fan_is_no_sensor_and_a_sensor_is_no_fan():
    printer = Printer(
        heater_fan__a=Thing(speed=1.0), temperature_sensor__b=Thing(temperature=90.0)
    )
    assert not holds(printer, "a>0")
    assert not holds(printer, "fan b>0")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"temperature": 5.0, "speed": 1.0, "value": 1.0}, True),
        ({"speed": 5.0, "value": 1.0}, True),
        ({"value": 5.0}, True),
        ({"other": 5.0}, False),
        ({}, False),
    ],
)
def test_without_a_field_the_temperature_speed_or_value_is_compared(status, expected):
    assert holds(Printer(pin=Thing(**status)), "pin>4") is expected


def test_a_missing_object_is_searched_for_once():
    """All objects of a printer exist before it is ready."""
    printer = Printer()
    conditions = Conditions(printer, Material(printer))
    assert not conditions.holds(parse("chamber>45"), 1.0)
    assert conditions.missing(parse("chamber>45"))
    printer.objects["chamber"] = Thing(temperature=50.0)
    assert not conditions.holds(parse("chamber>45"), 2.0)


def test_the_missing_object_of_several_checks_is_named():
    printer = Printer(bed=Thing(temperature=1.0))
    conditions = Conditions(printer, Material(printer))
    condition = parse("bed>1, chmaber.x>2, third>3")
    assert conditions.missing(condition) == (
        "This printer has no 'chmaber', so the condition 'chmaber.x>2' is never true."
    )
    assert conditions.missing(parse("bed>1")) == ""


def test_every_check_must_hold_in_any_order():
    printer = Printer(a=Thing(value=1.0), b=Thing(value=0.0))
    assert not holds(printer, "a>0, b>0")
    assert not holds(printer, "b>0, a>0")


def test_words_are_compared_in_any_case():
    printer = Printer(print_stats=Thing(state="PRINTING"), idle=Thing(state=None))
    assert holds(printer, "print_stats.state=Printing")
    assert holds(printer, "print_stats.state!=Paused")
    assert holds(printer, "idle.state=none")


def test_true_and_false_are_compared_as_numbers():
    printer = Printer(sensor=Thing(enabled=True))
    assert holds(printer, "sensor.enabled=1")
    assert not holds(printer, "sensor.enabled=0")


@pytest.mark.parametrize(
    ("factor", "material", "expected"),
    [
        ("CF=0", "PLA-CF", 0.0),
        ("CF=0.5", "PLA-CF", 0.5),
        ("A=2, B=3, A-B=1", "A B", 1.0),
        ("A=3, B=2", "A B", 3.0),
        ("CF=5", "", 1.0),
    ],
)
def test_a_factor_may_reduce_the_wear_and_the_longer_name_decides(
    factor, material, expected
):
    assert parse_factor(factor).of(material) == expected


def test_materials_without_factors_count_once():
    conditions = Conditions(Printer(), Material(Printer(), name="ASA"))
    assert conditions.weight(parse("", "ABS, ASA"), parse_factor(), 1.0) == 1.0
    assert conditions.weight(parse("", "ABS, PLA"), parse_factor(), 1.0) == 0.0


def test_spaces_around_a_material_are_removed():
    material = Material(Printer())
    material.set("  ABS ")
    assert material.current(1.0) == "ABS"
    macro = Thing(material=" PETG ")
    variable = Material(Printer(gcode_macro__S=macro), " gcode_macro S . material ")
    assert variable.current(1.0) == "PETG"


def test_an_emptied_variable_means_no_material():
    macro = Thing(material="ABS")
    material = Material(Printer(gcode_macro__S=macro), "gcode_macro S.material")
    assert material.current(1.0) == "ABS"
    macro.status["material"] = None
    assert material.current(2.0) == ""
    macro.status.clear()
    material.set("PLA")
    assert material.current(3.0) == "PLA"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ("", "")),
        ("  ", ("", "")),
        ("gcode_macro START.material", ("gcode_macro START", "material")),
        (" a . b.c ", ("a", "b.c")),
    ],
)
def test_a_variable_is_split_at_its_first_dot(text, names):
    assert parse_variable(text) == names


def test_a_condition_is_split_into_its_parts():
    condition = parse(" heater_bed.x >= 8e1 and fan  a == 1 , s = Big", "pla, Pc-Cf")
    assert [tuple(check) for check in condition.checks] == [
        ("heater_bed", "x", ">=", 80.0),
        ("fan a", "", "=", 1.0),
        ("s", "", "=", "big"),
    ]
    assert condition.materials == ("PLA", "PC-CF")


def test_a_name_that_contains_and_is_one_name():
    assert parse("sand_band>1").key == "sand_band>1"
