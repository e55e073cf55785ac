"""The examples in docs/mktl.md are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.mktl_daemon.unit.conftest import DEADLINE

PAGE = Path(__file__).parents[3] / "docs" / "mktl.md"


def examples(kind: str) -> str:
    block = re.compile(rf"^```{kind}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    blocks = block.findall(PAGE.read_text())
    assert blocks
    return "\n".join(blocks)


def test_the_examples_of_the_page_work(start, own_kitchen, monkeypatch):
    """The daemon's run in this process, the client's in another, with a registry."""
    own_kitchen.enter("daemon", monkeypatch)
    own_kitchen.registry()
    names: dict[str, object] = {}
    exec(compile(examples("python"), str(PAGE), "exec"), names)
    try:
        done = subprocess.run(
            [sys.executable, "-c", examples("python client")],
            env=own_kitchen.environment("client"),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    finally:
        names["daemon"].cleanup()
    assert done.returncode == 0, done.stderr
