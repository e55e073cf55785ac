"""Which meters exist, what they are called, and what a fault in one of them does."""

from __future__ import annotations

import json
import logging
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra import meters
from klippy_extra.meters import Options, Sources, known, unit
from klippy_extra.meters.counts import Counts
from klippy_extra.meters.families import FAMILIES, each
from tests.fakes import VirtualPrinter
from tests.fakes.meters import Counted

MORE = """
[fan_generic Chamber Filter]
pin: PG0
[heater_generic chamber]
heater_pin: PG1
sensor_type: Generic 3950
sensor_pin: PG2
control: watermark
min_temp: 0
max_temp: 90
[probe]
pin: PG3
z_offset: 1
"""


@pytest.fixture
def printer(tmp_path, dialect):
    with VirtualPrinter(MORE, tmp_path, extras={}) as virtual:
        yield virtual


# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("print_time", "h"),
        ("time", "h"),
        ("power_on", "h"),
        ("filament", "m"),
        ("filament_extruder1", "m"),
        ("travel_x", "m"),
        ("travel_carriage_dual_carriage", "m"),
        ("heater_on_heater_bed", "h"),
        ("fan_on_chamber_filter", "h"),
        ("jobs_completed", ""),
        ("tool_changes", ""),
        ("tool_changes_extruder1", ""),
        ("count_cuts", ""),
        ("moonraker_print_time", "h"),
        ("moonraker_filament", "m"),
    ],
)
def test_a_meter_is_known_by_its_name_without_a_printer(name, expected):
    assert known(name)
    assert unit(name) == expected


@pytest.mark.parametrize(
    "name",
    ["", "hours", "travel", "travel_", "heater_on", "count_", "Print_Time", "a b"],
)
def test_an_unknown_meter_is_refused_with_the_names_that_exist(name):
    assert not known(name)
    with pytest.raises(ValueError, match=r"print_time.*travel_<axis>"):
        unit(name)


@given(st.text(max_size=70))
def test_no_text_as_a_name_raises_anything(name):
    assert known(name) in (True, False)


def test_every_unit_is_hours_metres_or_a_count():
    assert {family.unit for family in FAMILIES} == {"h", "m", ""}


def test_two_objects_with_the_same_last_word_have_different_meters():
    named = each(
        "fan_on", ["heater_fan part", "fan_generic part", "fan_generic Big One"]
    )

    assert {part: name for part, (name, _) in named.items()} == {
        "heater_fan part": "fan_on_part",
        "fan_generic part": "fan_on_fan_generic_part",
        "fan_generic Big One": "fan_on_one",
    }
    assert all(known(name) for name, _ in named.values())


def test_every_meter_of_a_printer_is_known(printer):
    offered = Sources(printer.printer, Options()).meters

    assert all(known(name) and unit(name) == m.unit for name, m in offered.items())
    assert all(meter.label for meter in offered.values())
    assert {"travel_z", "heater_on_chamber", "fan_on_filter", "homings_z"} <= set(
        offered
    )


# Appliances and events


def test_a_heater_is_on_while_it_has_a_target(printer):
    counted = Counted(printer)
    printer.gcode("M140 S60", 1800)
    printer.gcode("M140 S0", 1800)

    assert counted["heater_on_heater_bed"] == pytest.approx(0.5, abs=0.001)
    assert counted["heater_on_extruder"] == 0


def test_a_fan_is_on_at_any_speed(printer):
    counted = Counted(printer)
    printer.gcode("M106 S20", 1800)
    printer.gcode("M107", 1800)

    assert counted["fan_on_fan"] == pytest.approx(0.5, abs=0.001)


def test_homings_and_probes_are_counted(printer):
    counted = Counted(printer)
    printer.gcode("G28", 120)
    printer.gcode("G28 X", 60)
    printer.gcode("G1 Z10 F600\nPROBE", 60)

    assert counted["homings_x"] == 2
    assert counted["homings_y"] == counted["homings_z"] == 1
    assert counted["homings"] == 4
    assert counted["probes"] == 1


class Events:
    """A printer that has only a toolhead. A test sends its events."""

    def __init__(self, **objects):
        self.handlers = {}
        self.tool = "extruder"
        self.z = 5.0
        self.configured = {"printer": {"kinematics": "cartesian"}, "probe": {}}
        self.objects = {
            "toolhead": self,
            "configfile": SimpleNamespace(
                get_status=lambda eventtime: {"settings": self.configured}
            ),
            "probe": object(),
            **objects,
        }

    def register_event_handler(self, event, handler):
        self.handlers.setdefault(event, []).append(handler)

    def send(self, event, *arguments):
        for handler in self.handlers[event]:
            handler(*arguments)

    def homes(self, endstop, name):
        """Make a homing or probing move that this endstop ends."""
        move = SimpleNamespace(toolhead=self, endstops=[(endstop, name)])
        self.send("homing:homing_move_begin", move)
        self.send("homing:homing_move_end", move)

    def probes(self, event):
        """Touch the bed. Newer Klippers also send an event for it."""
        self.homes(SimpleNamespace(), "probe")
        if event:
            self.send("probe:update_results", [SimpleNamespace(bed_z=0.0)])

    def lookup_object(self, name, default=None):
        return self.objects.get(name, default)

    def lookup_objects(self, module):
        return []

    def get_reactor(self):
        return self

    def monotonic(self):
        return 100.0

    def get_position(self):
        return [0.0, 0.0, self.z, 0.0]

    def get_status(self, eventtime):
        return {"axis_minimum": [0, 0, -2, 0], "axis_maximum": [235, 235, 250, 0]}

    def get_kinematics(self):
        return SimpleNamespace(get_steppers=lambda: ["x", "y", "z"])

    def get_extruder(self):
        return SimpleNamespace(get_name=lambda: self.tool)


def moved(sources, eventtime=200.0):
    return {
        name: added
        for name, added in sources.poll(eventtime).items()
        if name not in ("power_on", "time")
    }


def test_a_z_that_is_homed_with_a_probe_is_a_homing():
    """New Klippers name no rails then. The move starts far above the bed."""
    printer = Events()
    sources = Sources(printer, Options())
    for printer.z in (370.0, 10.0):  # The second touch begins near the bed.
        printer.probes(event=True)

    assert moved(sources) == {"homings": 1, "homings_z": 1, "probes": 2}


def test_an_ordinary_probe_is_no_homing():
    printer = Events()
    sources = Sources(printer, Options())
    printer.probes(event=True)

    assert moved(sources) == {"probes": 1}


def test_a_z_that_is_homed_with_a_switch_counts_once():
    printer = Events()
    sources = Sources(printer, Options())
    rail = SimpleNamespace(get_name=lambda: "stepper_z")
    printer.send("homing:home_rails_begin", None, [rail])
    printer.z = 370.0
    printer.homes(SimpleNamespace(), "stepper_z")
    printer.send("homing:home_rails_end", None, [rail])

    assert moved(sources) == {"homings": 1, "homings_z": 1}


def test_a_rail_that_belongs_to_no_axis_counts_as_a_homing():
    printer = Events()
    sources = Sources(printer, Options())
    printer.send(
        "homing:home_rails_end", None, [SimpleNamespace(get_name=lambda: "stepper_a")]
    )

    assert moved(sources) == {"homings": 1}


@pytest.mark.parametrize("event", [True, False])
def test_each_touch_of_a_probe_counts_once_in_every_version(event):
    """Klipper before May 2024 and Kalico send no event."""
    printer = Events()
    sources = Sources(printer, Options())
    for _ in range(3):
        printer.probes(event)

    assert moved(sources) == {"probes": 3}


def test_homing_z_with_a_probe_as_its_endstop_is_a_probe():
    """In older Klippers the rail's endstop is the probe, and no event is sent."""
    printer = Events()
    sources = Sources(printer, Options())
    printer.homes(SimpleNamespace(get_position_endstop=float), "stepper_z")
    printer.homes(SimpleNamespace(), "stepper_x")

    assert moved(sources) == {"probes": 1}


@pytest.mark.parametrize(
    ("results", "points"),
    [([10.0, 20.0, 0.1], 1), ([SimpleNamespace(), SimpleNamespace()], 2)],
)
def test_a_scan_without_a_move_counts_its_points(results, points):
    """Up to v0.13.0 an event has one position, in later versions several."""
    printer = Events()
    sources = Sources(printer, Options())
    printer.send("probe:update_results", results)

    assert moved(sources) == {"probes": points}


def test_a_probe_that_does_not_report_its_touches_has_no_meter():
    """Beacon and similar probes take the place of Klipper's probe."""
    printer = Events()
    printer.configured = {"printer": {"kinematics": "cartesian"}, "beacon": {}}

    assert "probes" not in Sources(printer, Options()).meters
    del printer.objects["probe"]
    printer.configured["probe"] = {}
    assert "probes" not in Sources(printer, Options()).meters


@pytest.mark.parametrize(
    ("kinematics", "axes"),
    [("corexy", "xyz"), ("delta", ""), ("polar", "z"), ("deltesian", "y")],
)
def test_a_meter_that_can_never_move_does_not_exist(kinematics, axes):
    printer = Events()
    printer.configured["printer"]["kinematics"] = kinematics
    offered = Sources(printer, Options()).meters

    assert "tool_changes" not in offered
    assert "homings" in offered
    assert {name for name in offered if name.startswith("homings_")} == {
        f"homings_{axis}" for axis in axes
    }


def test_tool_changes_are_counted_for_the_tool_that_was_selected():
    printer = Events(extruder=1, extruder1=2)
    sources = Sources(printer, Options())
    for printer.tool in ("extruder1", "extruder", "extruder1"):
        printer.send("extruder:activate_extruder")

    assert moved(sources) == {
        "tool_changes": 3,
        "tool_changes_extruder": 1,
        "tool_changes_extruder1": 2,
    }


# Count meters

CUTS = Options(counts=("count_cuts",), counts_left=("count_old",))


def test_a_macro_moves_its_own_count_meter():
    sources = Sources(Events(), CUTS)

    assert sources.counts.count("Cuts", 1.0) == "count_cuts"
    assert sources.counts.count("count_cuts", 2.0) == "count_cuts"
    assert moved(sources) == {"count_cuts": 3}
    assert moved(sources) == {}
    assert sources.meters["count_cuts"].unit == ""


def test_the_count_meters_of_tasks_exist_before_anything_is_counted():
    offered = Sources(Events(), Options(counts=("count_cuts", "count_"))).meters

    assert "count_cuts" in offered
    assert "count_" not in offered


@pytest.mark.parametrize("by", [0.0, -1.0, math.nan, math.inf, 1e10])
def test_a_count_never_falls(by):
    with pytest.raises(ValueError, match="greater than 0"):
        Counts(None, CUTS).count("cuts", by)


def test_a_count_meter_needs_a_name():
    with pytest.raises(ValueError, match="letter"):
        Counts(None, CUTS).count("???", 1.0)


def test_a_count_meter_that_no_task_uses_is_refused():
    with pytest.raises(ValueError, match="Left over: count_old"):
        Counts(None, CUTS).count("old", 1.0)


# All of them together


class Broken:
    """A source that raises where a test wants it."""

    def __init__(self, printer, options, when):
        self.meters = {"count_odd": None}
        self.when = when
        if when == "made":
            raise RuntimeError("made")

    def poll(self, eventtime):
        if self.when == "polled":
            raise RuntimeError("polled")
        return {"count_odd": {"negative": -5.0, "nan": math.nan}.get(self.when, 0.0)}


@pytest.mark.parametrize("when", ["made", "polled", "negative", "nan"])
def test_a_source_that_fails_is_logged_once_and_the_others_go_on_counting(
    monkeypatch, caplog, when
):
    monkeypatch.setitem(
        meters.SOURCES, "odd", lambda printer, options: Broken(printer, options, when)
    )
    sources = Sources(Events(), CUTS)
    sources.counts.count("cuts", 1.0)
    with caplog.at_level(logging.ERROR):
        increments = [sources.poll(100.0 + i) for i in range(10)]

    assert sum(i.get("power_on", 0) for i in increments) * 3600 == pytest.approx(9)
    assert sum(i.get("count_cuts", 0) for i in increments) == 1
    assert not any("count_odd" in i for i in increments)
    assert len(caplog.records) <= 1
    assert sources.not_made == (when == "made")
    assert sources.failing == ({"count_odd"} if when == "polled" else set())


def test_an_invalid_event_harms_nothing(printer, caplog):
    """The printer goes on, and counts what comes afterwards."""
    counted = Counted(printer)
    for event in (
        "homing:homing_move_begin",
        "homing:homing_move_end",
        "homing:home_rails_begin",
        "homing:home_rails_end",
        "probe:update_results",
    ):
        for arguments in ((), (None,), (None, []), (object(), object(), object())):
            printer.printer.send_event(event, *arguments)
    printer.gcode("G28", 120)

    assert printer.state == "ready"
    assert "printing goes on" in caplog.text
    assert counted["homings"] == 3
    assert counted["travel_z"] > 0


def test_an_object_that_fails_does_not_stop_other_meters(printer, caplog):
    """Its own meters stand still as long as it fails."""
    counted = Counted(printer)
    fan = printer.lookup("fan")
    works = fan.get_status

    def fails(eventtime):
        raise RuntimeError("no fan today")

    fan.get_status = fails
    printer.gcode("M106 S255\nM140 S60", 180)
    fan.get_status = works
    printer.advance(180)

    assert counted["heater_on_heater_bed"] == pytest.approx(0.1, abs=0.001)
    assert counted["fan_on_fan"] == pytest.approx(0.05, abs=0.001)
    assert len([r for r in caplog.records if r.exc_info]) == 1


@pytest.mark.logs_errors
def test_a_printer_without_any_object_still_has_a_clock():
    class Bare(Events):
        def lookup_object(self, name, default=None):
            return default

    sources = Sources(Bare(), Options())
    assert {"time", "power_on"} <= set(sources.meters)
    assert sources.poll(160.0)["power_on"] == pytest.approx(60 / 3600)


def test_the_memory_that_is_stored_with_the_meters_is_json():
    sources = Sources(Events(), Options())
    sources.poll(160.0)

    assert json.loads(json.dumps(sources.memory)) == sources.memory


def test_after_a_shutdown_only_the_clock_and_the_counts_go_on(printer):
    counted = Counted(printer, counts=("count_cuts",))
    printer.gcode("M140 S60\nG28", 120)
    printer.emergency_stop()
    before = dict(counted.readings)
    printer.advance(3600)
    counted.sources.counts.count("cuts", 1.0)
    printer.advance(2)

    moved_on = {n for n, r in counted.readings.items() if r != before.get(n, 0.0)}
    assert moved_on == {"power_on", "time", "count_cuts"}


def test_a_flush_counts_what_the_next_poll_would_count(printer):
    counted = Counted(printer, period=1e6)
    printer.gcode("G28", 120)
    assert counted["homings"] == 0

    assert counted.flush()["homings"] == 3
    assert counted["power_on"] * 3600 == pytest.approx(120)
