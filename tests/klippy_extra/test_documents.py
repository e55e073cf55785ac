"""Every command and option is documented."""

from __future__ import annotations

import re
from pathlib import Path

from klippy_extra.ui.gcode import DESCRIPTIONS
from klippy_extra.version import VERSION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


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
