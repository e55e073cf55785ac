"""One bridge for a farm: how soon it is there from what a broker retains, how large."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bridge_rig import Rig, cpu, megabytes, threads
from benchmarks.table import Row
from mqtt_bridge.fleet.items import LIMIT, PRINTER, TASK

_PRINTERS, _TASKS = 10_000, 10


def run() -> Iterator[Row]:
    with Rig() as rig:
        rig.retain(_PRINTERS, _TASKS)
        begin = time.monotonic()
        bridge = rig.bridge()
        took = time.monotonic() - begin
        size = megabytes(bridge)
        count = _PRINTERS * (_TASKS * len(TASK + LIMIT) + len(PRINTER) + 1)
        farm = f"{_PRINTERS} printers, {count / 1e6:.1f} million items"
        yield Row(f"{farm}: ready", f"{took:.0f} s", None, "< 60 s", took < 60)
        yield Row(f"{farm}: processor time until ready", f"{cpu(bridge):.0f} s")
        yield Row(f"{farm}: memory", f"{size:.0f} MB", None, "< 2000 MB", size < 2000)
        many = threads(bridge)
        yield Row(f"{farm}: threads", f"{many}", None, "< 40", many < 40)
