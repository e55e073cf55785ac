"""The types of the extra: a misspelt attribute fails the check, not a printer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Where an attribute is misspelt, in code that runs every day.
PLANTS = {
    "upkeep/commands.py": ("upkeep.memory.save(", "upkeep.memroy.save("),
    "ui/gcode.py": ("running.upkeep.board", "running.upkeep.baord"),
    "ui/webhooks.py": ("running.commands.give(", "running.commands.gvie("),
    "mqtt/publisher.py": ("self._view.meters(", "self._view.metres("),
    "meters/motion.py": ("self._mcu.estimated_print_time(", "self._mcu.print_time("),
}


@pytest.mark.timeout(240)
def test_a_misspelt_attribute_anywhere_fails_the_type_check(tmp_path):
    """It is on the path of a command, in console, endpoints, publisher and a meter."""
    ignored = shutil.ignore_patterns("__pycache__", "presets")
    shutil.copytree(ROOT / "klippy_extra", tmp_path / "klippy_extra", ignore=ignored)
    for name, (right, misspelt) in PLANTS.items():
        path = tmp_path / "klippy_extra" / name
        text = path.read_text(encoding="utf-8")
        assert right in text, name
        path.write_text(text.replace(right, misspelt, 1), encoding="utf-8")

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "-p", "klippy_extra"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    reported = {
        name
        for name in PLANTS
        for line in checked.stdout.splitlines()
        if line.startswith(f"klippy_extra/{name}:") and "[attr-defined]" in line
    }
    assert reported == set(PLANTS), checked.stdout + checked.stderr
