"""Helpers for the tests of pages: an accessibility check, and a folder for pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import programs
from tests.fakes.chromium import Tab

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "mqtt_bridge" / "web" / "page"
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = (390, 844), (1400, 900)


def needs(name: str) -> pytest.MarkDecorator:
    """Skip a test if the program *name* is missing."""
    return pytest.mark.skipif(
        programs.find(name) is None, reason=programs.missing(name)
    )


needs_chromium, needs_node = needs("chromium"), needs("node")
needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="no axe-core: npm install --prefix tests/page"
)


def complaints(tab: Tab) -> list[str]:
    """Return the faults that axe finds on the page of *tab*."""
    tab.run(AXE.read_text(encoding="utf-8") + "; 0")
    script = """
        axe.run(document).then((result) => result.violations.map((each) =>
            each.id + ": " + each.nodes.map((node) => node.target).join(", ")))
    """
    return tab.run(script)


def keep_picture(tab: Tab, name: str, folder: Path) -> None:
    """Save a picture for people who read the results of CI."""
    kept = Path(os.environ.get("ARTIFACTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    tab.picture(kept / f"{name}.png")
