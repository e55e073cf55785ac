"""Metrics have the form that Prometheus expects."""

from __future__ import annotations

import subprocess

import pytest

from mqtt_bridge.exposition import COUNTER, METRICS, Exposition, PrinterSnapshot, Task
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Changes
from tests import programs
from tests.mqtt_bridge import messages as m


def snapshot(**fields):
    fleet = Fleet()
    states = (m.state("rods", **fields), m.state("belt", limits=TWO))
    for topic, payload in m.printer("voron", states, name='Vor"on\\').items():
        fleet.receive(topic, payload, 0.0, Changes())
    printer = fleet.printers["voron"]
    tasks = tuple(
        Task(name, record.time, record.shape, record.values)
        for name, record in printer.tasks.items()
    )
    return PrinterSnapshot("voron", printer.state, printer.readings, tasks)


TWO = (m.limit(), m.limit("filament", "m", 30.0, 40.0))


def text(*printers):
    made = Exposition()
    for printer in printers:
        made.printer(printer, 2000.0)
    there = made.text().decode()
    for name in METRICS:
        if f"# TYPE {name} " not in there:
            made.add(name, 1.0)
    return made.text().decode()


def test_promtool_finds_no_fault():
    done = subprocess.run(
        [programs.require("promtool"), "check", "metrics"],
        input=text(snapshot()), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_only_counters_end_in_total():
    for name, (kind, _) in METRICS.items():
        assert name.endswith("_total") == (kind == COUNTER), name


def test_a_label_that_is_renamed_makes_no_new_series():
    def series(label):
        lines = text(snapshot(label=label)).splitlines()
        return {line.rpartition(" ")[0] for line in lines if "_info{" not in line}

    assert series("Oil the rods") == series("Grease the rods")


def test_ratios_are_from_zero_to_one():
    lines = text(snapshot()).splitlines()
    [ratio] = [line for line in lines if line.startswith("upkeep_task_ratio{") and
               "rods" in line]  # fmt: skip
    assert ratio.endswith(" 0.25")


@pytest.mark.parametrize("problem", [None, "The disk is full."])
def test_a_task_and_a_printer_with_a_problem_are_told_from_the_others(problem):
    shown = snapshot(problem=problem)
    summary = m.summary()._replace(problem=problem)
    shown = shown._replace(state=shown.state._replace(summary=summary))
    lines = text(shown).splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if "_problem{" in line)
    assert {name: float(value) for name, value in samples.items()} == {
        'upkeep_task_problem{printer="voron",task="rods"}': float(problem is not None),
        'upkeep_task_problem{printer="voron",task="belt"}': 0.0,
        'upkeep_printer_problem{printer="voron"}': float(problem is not None),
    }


def test_texts_are_escaped():
    assert r'name="Vor\"on\\"' in text(snapshot())


@pytest.mark.parametrize("value", ["spoiled", object()])
def test_a_value_that_is_no_number_is_an_error(value):
    with pytest.raises((TypeError, ValueError)):
        Exposition().add("upkeep_printers", value)
