"""Home Assistant's own Marketplace, which replaces HACS, accepts the repository."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.ha.conftest import named
from tests.ha.home_assistant import ROOT

SCRIPT = Path(__file__).parent / "market.py"


@pytest.mark.newest
def test_the_marketplace_finds_the_integration_without_a_complaint(channel):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    done = subprocess.run(
        [Path(named(channel)) / "python", SCRIPT, ROOT],
        env={**os.environ, "SHARED": str(ROOT)},
        cwd=ROOT,
        input=listed.stdout,
        check=True,
        capture_output=True,
        text=True,
    )

    assert json.loads(done.stdout) == {
        "found": True,
        "folder": "/config/custom_components/klipper_upkeep",
        "name": "Klipper Upkeep",
        "needs": "2025.4.0",
        "has a flow": True,
        "complaints": [],
    }
