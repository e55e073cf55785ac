"""Fixtures of pytest: ``pytest_plugins = ["mktl_daemon.testing.fixtures"]``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mktl_daemon.server.daemon import Daemon

from . import close, home, started


@pytest.fixture
def mktl_home(tmp_path: Path) -> Iterator[Path]:
    """An empty home, loopback, and no calls by UDP."""
    with home(tmp_path / "home") as folder:
        yield folder


@pytest.fixture
def start_daemon(mktl_home: Path) -> Iterator[Callable[..., Daemon]]:  # noqa: ARG001
    """Start daemons as `mktl_daemon.testing.running` does; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*args: Any, **options: Any) -> Daemon:
            daemon: Daemon = stack.enter_context(started(*args, **options))
            return daemon

        yield start


@pytest.fixture(scope="session", autouse=True)
def _end_of_the_sockets() -> Iterator[None]:
    yield
    close()
