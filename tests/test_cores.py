"""The table for `make mutants`, which is seldom run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.cores import CORES

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", CORES)
def test_a_core_names_files_and_tests_that_exist(name):
    files, tests = CORES[name]
    assert [each for each in (*files, *tests) if not (ROOT / each).exists()] == []
