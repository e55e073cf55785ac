"""The pages about mKTL's items and programs are true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mktl_daemon as mktl
from mktl_daemon.cli import arguments, mk
from mktl_daemon.core import catalog

DOCS = Path(__file__).parents[2] / "docs"
MKTL = (DOCS / "mktl.md").read_text()
ITEMS = (DOCS / "mktl-items.md").read_text()
PROGRAMS = (DOCS / "mktl-programs.md").read_text()


def block(text, kind):
    return re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)[1]


def first_column(text, heading):
    """Return the names in code of the first column of the table with this heading."""
    _, _, table = text.partition(f"| {heading} |")
    rows = table.partition("\n\n")[0].splitlines()[2:]
    return re.findall(r"`([^`]+)`", " ".join(row.split(" | ")[0] for row in rows))


def test_the_items_file_on_the_page_is_valid():
    assert catalog.check_items(json.loads(block(ITEMS, "json"))).keys() == {
        "angle", "taste", "leds", "serial"
    }  # fmt: skip


def test_every_type_and_field_is_on_the_page():
    assert tuple(first_column(ITEMS, "type")) == catalog.TYPES
    fields = first_column(ITEMS, "field")
    assert set(fields) == {
        "type", "description", "units", "format", "initial", "persist", "gettable",
        "settable", "enumerators",
    }  # fmt: skip


def test_the_methods_on_the_page_are_the_daemons():
    names = [name.partition("(")[0] for name in first_column(ITEMS, "method")]
    attributes = {"store", "alias", "uuid", "options", "catalog", "hostname"}
    attributes |= {"rep.port", "pub.port", "shutdown"}
    assert [
        n for n in names if n not in attributes and not hasattr(mktl.Daemon, n)
    ] == []


def test_commands_and_options_of_mk_are_on_the_page():
    options = set(first_column(PROGRAMS, "option of `mk`"))
    given = re.findall(r"--[\w-]+", arguments.parser(mk.VERBS).format_help())
    missing = {
        each
        for each in given
        if each not in options | {"--help", "--version", "--store", "--units"}
    }
    assert missing == set()
    assert all(f"mk {verb}" in PROGRAMS for verb in mk.VERBS)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["mk", "wa"], ["watch"]),
        (["mk", "get", "p"], ["pie."]),
        (["mk", "get", "t"], ["tart."]),
        (["mk", "get", "pie.t"], ["pie.taste", "pie.tin"]),
    ],
)
def test_bash_completes_commands_stores_and_keys(words, completed, tmp_path):
    """It uses the function of the page. Here mk prints a store and its items.

    The home has used one store, and registries know another one.
    """
    (tmp_path / "client" / "cache" / "tart").mkdir(parents=True)
    script = (
        "mk() { if [ $# = 1 ]; then echo pie; echo cake; "
        "else printf 'pie.taste  string rw\\npie.tin  numeric r\\npie.lid\\n'; fi; }\n"
        + block(PROGRAMS, "bash")
        + f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        + '_mk; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={**os.environ, "MKTL_HOME": str(tmp_path)},
    )
    assert (done.stdout.split(), done.stderr) == (completed, "")


def test_the_tests_on_the_page_pass_in_a_project_of_their_own(tmp_path):
    (tmp_path / "test_oven.py").write_text(block(MKTL, "python test"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(DOCS.parent), "PYTEST_ADDOPTS": ""},
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
