"""The documentation of meters, presets and the installer agrees with the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from klippy_extra import presets
from klippy_extra.meters import known, unit
from klippy_extra.meters.families import FAMILIES
from tests.fakes import VirtualPrinter

ROOT = Path(__file__).resolve().parents[2]
METERS = (ROOT / "docs" / "meters.md").read_text(encoding="utf-8")
PRESETS = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
INSTALLING = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")


def rows(text):
    """Return the cells of each row of a table."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_meter_is_in_the_table_with_its_unit():
    documented = {}
    for first, *rest in rows(METERS.partition("## How they count")[0]):
        for name in re.findall(r"`([^`]+)`", first):
            documented[re.sub(r"<\w+>", "x", name)] = rest[0]

    assert {name: unit(name) for name in documented} == documented
    for family in FAMILIES:
        name = f"{family.name}_x" if family.each else family.name
        assert name in documented or name.startswith("moonraker_")


def test_every_meter_that_the_text_names_exists():
    for name in re.findall(r"trigger: ([\w, ]+)", METERS):
        assert all(known(part.strip()) for part in name.split(","))


def test_every_preset_is_in_the_table():
    documented = {
        f"{machine.strip('`')}/{task}"
        for machine, tasks in rows(PRESETS.partition("| machine |")[2])
        for task in re.findall(r"`(\w+)`", tasks)
    }
    assert documented == set(presets.names())


def test_every_option_of_the_installer_is_in_the_table():
    usage = subprocess.run(
        ["sh", str(ROOT / "install.sh"), "--help"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    offered = set(re.findall(r"^  (--[\w-]+)", usage, re.MULTILINE)) - {"--help"}

    assert offered == set(
        re.findall(r"(--[\w-]+)", "".join(c[0] for c in rows(INSTALLING)))
    )


@pytest.mark.parametrize("machine", presets.machines())
def test_a_starter_file_is_a_valid_configuration(tmp_path, machine):
    """Klipper starts with it, and has every task of it."""
    with VirtualPrinter(presets.starter(machine), tmp_path) as printer:
        assert printer.state == "ready", printer.state_message
        for name in presets.names():
            if name.startswith(machine + "/"):
                task = printer.status("maintain " + name.partition("/")[2])
                assert task["label"] == presets.load(name)["label"]
