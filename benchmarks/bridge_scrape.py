"""A scrape of a thousand printers with ten tasks each, beside prometheus_client's."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from benchmarks.bridge_rig import printer
from benchmarks.table import Row, at_most
from mqtt_bridge import contract
from mqtt_bridge.exposition import Exposition, PrinterSnapshot, Task
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Changes

_PRINTERS, _TASKS, _TIMES = 1000, 10, 3
_NUMBERS = ("used", "remaining", "threshold", "percent", "done_count")


def run() -> Iterator[Row]:
    copies = _copies()
    # Both run by turns, and the best turn counts: other work of the machine affects
    # both.
    times = [(_timed(_ours, copies), _timed(_theirs, copies)) for _ in range(_TIMES)]
    ours, theirs = (min(column) for column in zip(*times, strict=True))
    yield at_most(
        f"a scrape of {_PRINTERS} x {_TASKS}, beside prometheus_client's",
        f"{ours:.2f} s of {theirs:.2f} s",
        ours / theirs,
        0.5,
    )


def _copies() -> list[PrinterSnapshot]:
    fleet = Fleet()
    for number in range(_PRINTERS):
        for topic, payload in printer(f"p{number}", _TASKS):
            fleet.receive(topic, payload, 0.0, Changes())
    return [
        PrinterSnapshot(
            slug, each.state, each.readings,
            tuple(Task(t, r.time, r.shape, r.values) for t, r in each.tasks.items()),
        )
        for slug, each in fleet.printers.items()
    ]  # fmt: skip


def _timed(write: object, copies: list[PrinterSnapshot]) -> float:
    assert callable(write)
    begin = time.perf_counter()
    assert write(copies)
    return time.perf_counter() - begin


def _ours(copies: list[PrinterSnapshot]) -> bytes:
    made = Exposition()
    for each in copies:
        made.printer(each, 2000.0)
    return made.text()


def _theirs(copies: list[PrinterSnapshot]) -> bytes:
    """Return the text that prometheus_client makes of labelled samples.

    There is a family of samples for each number, as the bridge formerly had it.
    """

    class Collector:
        def describe(self) -> list[object]:
            return []

        def collect(self) -> Iterator[GaugeMetricFamily]:
            labels = ["printer", "task", "label", "unit"]
            families = {
                name: GaugeMetricFamily(f"upkeep_{name}", name, labels=labels)
                for name in _NUMBERS
            }
            status = GaugeMetricFamily(
                "upkeep_status", "status", labels=["printer", "task", "status"]
            )
            for copy in copies:
                for task in copy.tasks:
                    names = [field.name for field in task.shape.fields]
                    values = dict(zip(names, task.values, strict=True))
                    texts = [copy.slug, task.name, str(values["label"]), "hour"]
                    for name, family in families.items():
                        family.add_metric(texts, float(values[name] or 0))
                    for code, name in enumerate(contract.STATUSES):
                        status.add_metric(
                            [copy.slug, task.name, name],
                            float(values["status"] == code),
                        )
            yield from families.values()
            yield status

    registry = CollectorRegistry()
    registry.register(Collector())
    return generate_latest(registry)
