"""Forgets the syntax trees of all modules after the tests that read them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.languages import texts


@pytest.fixture(scope="module", autouse=True)
def forget_the_trees() -> Iterator[None]:
    """Each collection of garbage would search them until this process ends."""
    yield
    texts.modules.cache_clear()
