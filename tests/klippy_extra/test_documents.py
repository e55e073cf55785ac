"""What the documentation shows is what Klipper takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from klippy_extra.ui.gcode import DESCRIPTIONS
from klippy_extra.version import VERSION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_example_is_a_configuration_that_starts(bench, tmp_path, example):
    secrets = tmp_path / "printer_data" / "config" / "upkeep.secrets"
    secrets.parent.mkdir(parents=True)
    secrets.write_text("username: voron\npassword: correct horse\n")
    # A broker that refuses at once, so that nobody asks a name server.
    example = re.sub("mqtt_host: .*", "mqtt_host: 127.0.0.1\nmqtt_port: 9", example)
    printer = bench(example)

    names = re.findall(r"\[maintain (.+?)\]", example)
    assert [task.name for task in printer.manager.office.tasks.values()] == names
    assert not any("does not have" in line for line in printer.console)


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


def test_every_command_is_documented():
    assert [name for name in DESCRIPTIONS if f"`{name}" not in PAGE] == []


def test_every_option_is_documented():
    sources = [ROOT / "klippy_extra" / f"{name}.py" for name in ("settings", "task")]
    code = "".join(source.read_text(encoding="utf-8") for source in sources)
    options = set(re.findall(r'(?:config, |read\(|config\.get\w*\()"(\w+)"', code))
    no_options = {"gcode_macro"}

    assert len(options) > 30
    assert [
        each for each in sorted(options - no_options) if f"`{each}`" not in PAGE
    ] == []


def test_the_version_is_the_projects():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'path = "klippy_extra/version.py"' in project
    assert VERSION
