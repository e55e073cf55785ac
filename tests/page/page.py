"""Helpers of the page's tests: what they look at, and where pictures are put."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.fakes.chromium import BINARY, MISSING, Tab

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "mqtt_bridge" / "web" / "page"
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = (390, 844), (1400, 900)

needs_chromium = pytest.mark.skipif(BINARY is None, reason=MISSING)
needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="no axe-core: npm install --prefix tests/page"
)
needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="no node (Debian: apt-get install nodejs)"
)


def complaints(tab: Tab) -> list[str]:
    """What axe finds wrong with the page that *tab* shows."""
    tab.run(AXE.read_text(encoding="utf-8") + "; 0")
    script = """
        axe.run(document).then((result) => result.violations.map((each) =>
            each.id + ": " + each.nodes.map((node) => node.target).join(", ")))
    """
    return tab.run(script)


def keep_picture(tab: Tab, name: str, folder: Path) -> None:
    """Save what is seen, for people who look at what CI keeps."""
    kept = Path(os.environ.get("ARTIFACTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    tab.picture(kept / f"{name}.png")
