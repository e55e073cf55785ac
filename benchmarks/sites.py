"""Simulates a large farm on one machine. It has several sites, and a bridge for each.

``python -m benchmarks.sites --sites 10 --printers 10000 --tasks 1``. The simulation
needs the memory of all bridges and a broker. Each site has its own base topic, as on a
cluster, and no bridge receives the messages of another site.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.bridge_rig import Rig, cpu, megabytes
from benchmarks.table import Row, show


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.sites", description=__doc__)
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--printers", type=int, default=10_000, help="of each site")
    parser.add_argument("--tasks", type=int, default=1, help="of each printer")
    given = parser.parse_args()
    show(simulate(given.sites, given.printers, given.tasks))


def simulate(sites: int, printers: int, tasks: int) -> list[Row]:
    """Start a bridge for each site, one after the other, and let all of them run."""
    bases = [f"farm/site-{number}" for number in range(sites)]
    with Rig() as rig:
        rig.retain(printers, tasks, *bases)
        retained = cpu(rig.broker)
        before, times, bridges = rig.bytes_sent(), [], []
        for base in bases:
            name = base.rpartition("/")[2]
            flags = (f"broker.base={base}", f"store.alias={name}")
            begin = time.monotonic()
            bridges.append(rig.bridge(*flags, name=name))
            times.append(time.monotonic() - begin)
        sizes = [megabytes(each) for each in bridges]
        sent = rig.bytes_sent() - before
        served = cpu(rig.broker) - retained
        broker = megabytes(rig.broker)
    farm = f"{sites} sites of {printers} x {tasks}"
    return [
        Row(
            f"{farm}: a bridge is ready, in turn",
            f"{min(times):.0f}-{max(times):.0f} s",
        ),
        Row(f"{farm}: memory of all bridges", f"{sum(sizes) / 1024:.1f} GB"),
        Row(f"{farm}: memory of the broker", f"{broker / 1024:.1f} GB"),
        Row(f"{farm}: the broker sends", f"{sent / 1e6:.0f} MB, {served:.0f} s"),
    ]


if __name__ == "__main__":
    main()
