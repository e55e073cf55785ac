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
KINDS = ("python", "python client")
# What an example may leave out, so that it can be read.
LOOSE = "# mypy: allow-untyped-defs, allow-untyped-calls, allow-any-generics\n"

pytestmark = pytest.mark.timeout(240)


def programs():
    """Return the texts to check, by the names of their files."""
    program, page = PROGRAM.read_text(), PAGE.read_text()
    wrong = program.replace("formatted, str)", "formatted, int)")
    wrong = wrong.replace("setpoint.set(180, wait=False)", "setpoint.set(180)")
    texts = {"typed.py": program, "wrong.py": wrong}
    for kind in KINDS:
        block = re.compile(rf"^```{kind}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
        examples = block.findall(page)
        assert examples
        texts[file_of(kind)] = LOOSE + "\n".join(examples)
    return texts


def file_of(kind):
    return f"{kind.replace(' ', '_')}.py"


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """Return the errors of mypy in the programs, which use the installed package.

    One run checks them all: most of its time goes to the packages that they use.
    """
    folder = tmp_path_factory.mktemp("typed")
    texts = programs()
    for name, text in texts.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--strict"),
            *(str(folder / name) for name in texts),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"checked {len(texts)} source files" in done.stdout, done
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def of(errors, name):
    return [line for line in errors if Path(line.partition(":")[0]).name == name]


def test_a_users_program_is_strictly_typed(errors):
    """It has operators, all forms of get and set, typed items and async functions."""
    assert of(errors, "typed.py") == []


def test_a_wrong_type_is_found(errors):
    """This shows that the check is strict."""
    assert len(of(errors, "wrong.py")) == 2
    assert len(errors) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_of_the_page_are_correctly_typed(errors, kind):
    assert of(errors, file_of(kind)) == []
