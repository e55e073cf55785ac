"""Disks that are really full or read-only, for the tests of the store."""

from __future__ import annotations

import pytest

from tests.fakes.disk import small_disk


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as made:
        yield made
