"""Maintenance entries of Mainsail become sections, with what was used already."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "deploy" / "mainsail" / "take_over.py"


@pytest.fixture(scope="module")
def take_over():
    spec = importlib.util.spec_from_file_location("take_over", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(name, note="", end_time=None, kind="repeat", **reminders):
    parts = {
        part: {"bool": part in reminders, "value": reminders.get(part)}
        for part in ("printtime", "filament", "date")
    }
    return {
        "name": name,
        "note": note,
        "start_time": 1000.0,
        "end_time": end_time,
        "start_printtime": 3600.0 * 10,
        "start_filament": 5000.0,
        "reminder": {"type": kind, **parts},
    }


def test_an_entry_becomes_a_section_with_a_limit_for_each_reminder(take_over):
    entries = {"a": entry("Oil the rails", "<p>Two drops</p>", printtime=150, date=30)}
    assert take_over.sections(entries).splitlines()[1:] == [
        "",
        "[maintain oil_the_rails]",
        "label: Oil the rails",
        "trigger: print_time, time",
        "threshold: 150, 720",
        "message: Two drops",
    ]


def test_an_entry_that_is_over_or_has_no_reminder_is_left_out(take_over):
    entries = {
        "done": entry("Done", end_time=5.0, printtime=1),
        "note": entry("Only a note", kind=None),
        "zero": entry("Zero", printtime=0),
    }
    assert "[maintain" not in take_over.sections(entries)
    assert take_over.adjustments(entries, {}, 2000.0) == {}


def test_entries_with_equal_or_empty_names_become_different_sections(take_over):
    entries = {n: entry(n, printtime=1) for n in ("Rails", "rails", "???")}
    names = take_over.names_of(take_over.wanted(entries))
    assert sorted(names) == ["rails", "rails_2", "task"]


def test_no_text_of_an_entry_can_start_a_section_or_a_comment(take_over):
    entries = {"a": entry("Rails #2\n[printer]", "a;b\nc: d", printtime=1)}
    lines = take_over.sections(entries).splitlines()
    assert "label: Rails 2 [printer]" in lines
    assert "message: a,b c: d" in lines


def test_the_growth_since_the_start_of_an_entry_counts_as_used(take_over):
    entries = {"a": entry("Rails", printtime=150, filament=500, date=30)}
    totals = {"total_print_time": 3600.0 * 60, "total_filament_used": 105000.0}
    now = 1000.0 + 86400.0
    assert take_over.adjustments(entries, totals, now) == {
        "rails": {"print_time": 50.0, "filament": 100.0, "time": 24.0}
    }


def test_totals_that_were_reset_since_count_as_nothing_used(take_over):
    entries = {"a": entry("Rails", printtime=150)}
    assert take_over.adjustments(entries, {"total_print_time": 0}, 2000.0) == {
        "rails": {"print_time": 0.0}
    }
