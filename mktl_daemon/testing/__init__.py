"""A door for tests: daemons in this process, with a home of their own and no network.

As a context manager::

    from mktl_daemon.testing import running

    def test_the_setpoint_is_kept():
        with running(Oven, store="kitchen") as daemon:
            item = daemon.store["setpoint"]
            item.set(180)
            assert item.value == 180

As fixtures of pytest, with ``pytest_plugins = ["mktl_daemon.testing.fixtures"]``:
`mktl_home` and `start_daemon`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mktl_daemon import config, find, follow, search
from mktl_daemon.configuration import catalogs
from mktl_daemon.files import environment
from mktl_daemon.net import dealer, loop, sub
from mktl_daemon.server.daemon import Daemon

D = TypeVar("D", bound=Daemon)
SEARCHES = 10.0  # seconds that `forget` waits at most for searches to end


@contextlib.contextmanager
def home(folder: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Have this process use an empty home, loopback, and no calls by UDP.

    The home is *folder*, or a new one that is removed at the end. What the process
    knows of stores is forgotten at the beginning and at the end.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        changes = {
            "MKTL_HOME": str(folder),
            "MKTL_INTERFACE": environment.LOOPBACK,
            "MKTL_DISCOVERY": "off",
        }
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        forget()
        try:
            yield Path(folder)
        finally:
            forget()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def running(
    kind: type[D] | None = None,
    items: Mapping[str, Any] | None = None,
    store: str = "test",
    alias: str = "test",
    **options: Any,
) -> Iterator[D]:
    """Run the daemon ``kind(store, alias, **options)`` with a home of its own.

    *items* are descriptions by key, for a *kind* that has none. `mktl.get` finds the
    store; a SET goes through its sockets, as any client's.
    """
    with home(), started(kind, items, store, alias, **options) as daemon:
        yield daemon


@contextlib.contextmanager
def started(
    kind: type[D] | None = None,
    items: Mapping[str, Any] | None = None,
    store: str = "test",
    alias: str = "test",
    **options: Any,
) -> Iterator[D]:
    """Do as `running`, in the home that is there: for a second daemon."""
    if items is not None:
        config.authoritative(store, alias, items)
    daemon: Any = (kind or Daemon)(store, alias, **options)
    try:
        yield daemon
    finally:
        daemon.cleanup()


def forget() -> None:
    """Make this process one that has just begun: it knows no store and no home."""
    environment.forget_home()
    catalogs.known.clear()
    for name in list(find.stores.by_name):
        find.forget(name)
    # A search that still runs would ask the daemons of the next test.
    end = time.monotonic() + SEARCHES
    pools = (follow.pool, search.pool)
    while time.monotonic() < end and not all(pool.is_idle() for pool in pools):
        time.sleep(0.02)
    for clients in (dealer.client, sub.client):
        for each in clients.all():
            each.close()
        clients.forked()


def close() -> None:
    """End the thread of the process's sockets; the next use starts another."""
    loop.close()
