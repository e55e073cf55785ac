"""The items that every daemon has: is it alive, what does it cost, who is it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mktl_daemon import poll
from mktl_daemon.core import wire
from mktl_daemon.core.wire import Payload
from mktl_daemon.item import Item

if TYPE_CHECKING:
    from mktl_daemon.store import Store

_PERIOD = 1.0  # seconds


class Polled(Item):
    """Publishes `perform_get` once a second, whatever users' methods do."""

    is_builtin = True

    def __init__(self, store: Store, key: str) -> None:
        super().__init__(store, key)
        self.poll(_PERIOD)

    def poll(self, period: float | None) -> None:
        poll.builtins.poll(self.perform_poll, period)


class Uptime(Polled):
    def __init__(self, store: Store, key: str) -> None:
        self._started = time.monotonic()
        super().__init__(store, key)

    def perform_get(self) -> Payload:
        return self.to_payload(time.monotonic() - self._started)


class Processor(Polled):
    """Percent of one processor since the last look."""

    def __init__(self, store: Store, key: str) -> None:
        self._before = time.monotonic(), time.process_time()
        self._percent = 0.0
        super().__init__(store, key)

    def perform_get(self) -> Payload:
        now = time.monotonic(), time.process_time()
        elapsed, used = now[0] - self._before[0], now[1] - self._before[1]
        # Somebody's refresh a moment ago must not make this a guess.
        if elapsed > _PERIOD / 2:
            self._percent, self._before = 100 * used / elapsed, now
        return self.to_payload(self._percent)


class Memory(Polled):
    """Kilobytes in physical memory."""

    def perform_get(self) -> int:
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
        except (OSError, IndexError):
            # Elsewhere: the most that it ever was.
            return _most_memory()
        return pages * (os.sysconf("SC_PAGESIZE") // 1024)


def _most_memory() -> int:
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Catalog(Item):
    """The block of this daemon. It is put together when somebody asks."""

    is_builtin = True

    def perform_get(self) -> Payload:
        block = self.store.catalog.block_of(self.key)
        encoded = self.store.catalog.encoded_block(block["uuid"])
        return Payload(value=wire.loads(encoded), time=block["time"])

    def req_get(self, request: Any) -> Payload:  # noqa: ARG002
        return self.perform_get()


class Builtin(NamedTuple):
    suffix: str
    description: dict[str, Any]
    kind: type[Item] = Item


def items(alias: str, uuid: str) -> dict[str, Builtin]:
    """Return the built-in items of a daemon by key."""
    table = (
        Builtin("cat", {"description": "The catalog of this daemon's items."}, Catalog),
        Builtin(
            "clk",
            {
                "description": "The time since this daemon started.",
                "type": "numeric",
                "units": "seconds",
                "format": "%.3f",
            },
            Uptime,
        ),
        Builtin(
            "cpu",
            {
                "description": "The share of a processor that this daemon uses.",
                "type": "numeric",
                "units": "percent",
                "format": "%.2f",
            },
            Processor,
        ),
        Builtin(
            "dev",
            {
                "description": "The purpose of this daemon, in a few words.",
                "type": "string",
                "initial": "",
                "persist": True,
                "settable": True,
            },
        ),
        Builtin(
            "host",
            {
                "description": "The host on which this daemon runs.",
                "type": "string",
                "initial": socket.gethostname(),
            },
        ),
        Builtin(
            "mem",
            {
                "description": "The memory that this daemon uses.",
                "type": "numeric",
                "units": "kilobytes",
            },
            Memory,
        ),
        Builtin(
            "pid",
            {
                "description": "The process id of this daemon.",
                "type": "numeric",
                "initial": os.getpid(),
            },
        ),
        Builtin(
            "uuid",
            {
                "description": "The identity of this daemon; restarts keep it.",
                "type": "string",
                "initial": uuid,
            },
        ),
    )
    return {
        f"_{alias}{each.suffix}".lower(): each._replace(
            description={"settable": False, **each.description}
        )
        for each in table
    }
