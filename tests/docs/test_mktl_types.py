"""A type checker reads a user's program and the examples of docs/mktl.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mktl.md"
PROGRAM = ROOT / "tests" / "mktl_daemon" / "typed.py"

pytestmark = pytest.mark.timeout(240)


def checked(path, *options):
    """Return the output of mypy for a program that uses the installed package."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", *options, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_users_program_is_strictly_typed():
    """It has operators, all forms of get and set, typed items and async functions."""
    assert "Success" in checked(PROGRAM, "--strict")


def test_a_wrong_type_is_found(tmp_path):
    """This shows that the check is strict."""
    program = PROGRAM.read_text()
    wrong = program.replace("formatted, str)", "formatted, int)")
    wrong = wrong.replace("setpoint.set(180, wait=False)", "setpoint.set(180)")
    (tmp_path / "wrong.py").write_text(wrong)
    assert "Found 2 errors" in checked(tmp_path / "wrong.py", "--strict")


@pytest.mark.parametrize("kind", ["python", "python client"])
def test_the_examples_of_the_page_are_correctly_typed(tmp_path, kind):
    block = re.compile(rf"^```{kind}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    examples = block.findall(PAGE.read_text())
    assert examples
    (tmp_path / "examples.py").write_text("\n".join(examples))
    assert "Success" in checked(tmp_path / "examples.py", "--check-untyped-defs")
