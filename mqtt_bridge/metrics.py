"""The fleet for Prometheus. Read from the fleet at each scrape: what left is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from mqtt_bridge import contract
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.contract import Meters
from mqtt_bridge.fleet.items import PrinterState, Shape, Values
from mqtt_bridge.fleet.records import Printer
from mqtt_bridge.http_server import PLAIN, HttpReply, HttpServer, Routes
from mqtt_bridge.settings import SettingsError

if TYPE_CHECKING:
    from mqtt_bridge.push.sender import PushSender

WITHIN = 5.0  # seconds for the bridge's thread to look at a part of the fleet
PART = 50  # printers that are looked at in one turn

# Name, help, and the field of a task that it shows.
TASK = (
    ("upkeep_task_used", "Wear since it was last done", "used"),
    ("upkeep_task_remaining", "Wear left until it is due", "remaining"),
    ("upkeep_task_threshold", "Wear allowed", "threshold"),
    ("upkeep_task_ratio", "Used, of the threshold, in percent", "percent"),
    ("upkeep_task_done_total", "How often it was done", "done_count"),
)


class Task(NamedTuple):
    """A task's values as they were in the bridge's turn."""

    name: str
    time: float
    shape: Shape
    values: Values


class PrinterSnapshot(NamedTuple):
    """A printer's, so."""

    slug: str
    state: PrinterState
    readings: Meters | None
    tasks: tuple[Task, ...]

    @property
    def said(self) -> float:
        """When it last said something: retained messages come again much later."""
        times = [task.time for task in self.tasks]
        times += [each.time for each in (self.readings, self.state.summary) if each]
        return max(times, default=0.0)


class Collector:
    """What prometheus_client asks at each scrape."""

    def __init__(self, bridge: Bridge, pusher: PushSender | None) -> None:
        self._bridge = bridge
        self._pusher = pusher

    def describe(self) -> list[Any]:
        # Registering would collect to learn the names.
        return []

    def collect(self) -> Iterator[Any]:
        looks = self._looks()
        yield from _tasks(looks)
        yield from _printers(looks)
        yield from self._bridges()

    def _looks(self) -> list[PrinterSnapshot]:
        """Copy the fleet, a part in each turn: nobody waits for all of it."""
        bridge, looks = self._bridge, list[PrinterSnapshot]()
        slugs = bridge.call(lambda: list(bridge.fleet.printers)).result(WITHIN)
        for first in range(0, len(slugs), PART):
            part = slugs[first : first + PART]
            looks += bridge.call(partial(self._part, part)).result(WITHIN)
        return looks

    def _part(self, slugs: Sequence[str]) -> list[PrinterSnapshot]:
        printers = self._bridge.fleet.printers
        return [_look(printers[slug]) for slug in slugs if slug in printers]

    def _bridges(self) -> Iterator[Any]:
        from prometheus_client.core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        bridge = self._bridge
        connected = GaugeMetricFamily(
            "upkeep_broker_connected", "Whether the bridge has its broker"
        )
        connected.add_metric([], float(bridge.link.connected))
        yield connected
        delay = GaugeMetricFamily(
            "upkeep_delay_seconds", "How long the newest messages waited in the bridge"
        )
        delay.add_metric([], bridge.delay)
        yield delay
        counts = {
            "upkeep_messages": ("Messages received", bridge.inbox.received),
            "upkeep_messages_superseded": (
                "States that a newer one replaced unread",
                bridge.inbox.superseded,
            ),
            "upkeep_messages_refused": (
                "Messages that are not of the contract",
                bridge.fleet.refused,
            ),
            "upkeep_connects": ("Connections to the broker", bridge.link.connects),
        }
        if self._pusher is not None:
            counts["upkeep_push_sent"] = ("Notes sent", self._pusher.sent)
            counts["upkeep_push_failed"] = ("Attempts that failed", self._pusher.failed)
        for name, (text, value) in counts.items():
            family = CounterMetricFamily(name, text)
            family.add_metric([], value)
            yield family
        commands = CounterMetricFamily(
            "upkeep_commands", "Commands by what became of them", labels=["outcome"]
        )
        outcomes = bridge.call(lambda: dict(bridge.commands.outcomes)).result(WITHIN)
        for outcome, count in outcomes.items():
            commands.add_metric([outcome], count)
        yield commands


def serve(
    bridge: Bridge, address: tuple[str, int], pusher: PushSender | None
) -> HttpServer:
    """Serve ``/metrics``. OSError: the address is not to be had, now."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "metrics.listen needs prometheus-client: "
            "pip install 'klipper-upkeep[metrics]'"
        ) from None
    registry = CollectorRegistry()
    registry.register(Collector(bridge, pusher))

    def get(path: str) -> HttpReply:
        if path.partition("?")[0] != "/metrics":
            return 404, PLAIN, b"see /metrics\n"
        return 200, PLAIN, generate_latest(registry)

    def post(_path: str) -> HttpReply:
        return 405, PLAIN, b"metrics are read\n"

    try:
        return HttpServer(address, Routes(get, post), "upkeep-metrics")
    except OSError as error:
        raise OSError(f"metrics.listen: {address[0]}:{address[1]}: {error}") from None


def _look(printer: Printer) -> PrinterSnapshot:
    tasks = tuple(
        Task(name, record.time, record.shape, record.values)
        for name, record in printer.tasks.items()
        if record.shown
    )
    return PrinterSnapshot(printer.slug, printer.state, printer.readings, tasks)


def _tasks(looks: Sequence[PrinterSnapshot]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    labels = ["printer", "task", "label", "unit"]
    numbers = {
        field: GaugeMetricFamily(name, text, labels=labels)
        for name, text, field in TASK
    }
    status = GaugeMetricFamily(
        "upkeep_task_status",
        "1 for the status it has",
        labels=["printer", "task", "status"],
    )
    problem = GaugeMetricFamily(
        "upkeep_task_problem",
        "1 where it, or a part of it, is not counted",
        labels=["printer", "task"],
    )
    seen = GaugeMetricFamily(
        "upkeep_task_last_seen_seconds",
        "When its newest numbers were read (UNIX)",
        labels=["printer", "task"],
    )
    for look in looks:
        for task in look.tasks:
            names = [field.name for field in task.shape.fields]
            said = dict(zip(names, task.values, strict=True))
            used = task.shape.fields[names.index("used")]
            unit = str(used.description.get("units", ""))
            told = [look.slug, task.name, str(said["label"]), unit]
            for field, family in numbers.items():
                family.add_metric(told, float(said[field] or 0))
            for code, name in enumerate(contract.STATUSES):
                status.add_metric(
                    [look.slug, task.name, name], float(said["status"] == code)
                )
            problem.add_metric([look.slug, task.name], float(bool(said["problem"])))
            seen.add_metric([look.slug, task.name], task.time)
    yield from numbers.values()
    yield from (status, problem, seen)


def _printers(looks: Sequence[PrinterSnapshot]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    def family(name: str, text: str, *more: str) -> Any:
        return GaugeMetricFamily(name, text, labels=["printer", *more])

    online = family("upkeep_printer_online", "Whether it answers")
    seen = family(
        "upkeep_printer_last_seen_seconds", "When it last said something (UNIX)"
    )
    silent = family(
        "upkeep_printer_silent_seconds", "How long it has not said anything"
    )
    problem = family(
        "upkeep_printer_problem", "1 where it says that something does not work"
    )
    meters = family("upkeep_meter", "A meter's reading", "meter", "unit")
    now = time.time()
    for look in looks:
        if look.state.info is None:
            continue
        online.add_metric([look.slug], float(look.state.online))
        seen.add_metric([look.slug], look.said)
        silent.add_metric([look.slug], max(0.0, now - look.said))
        summary = look.state.summary
        problem.add_metric([look.slug], float(bool(summary and summary.problem)))
        if look.readings is not None:
            for name, meter in look.state.info.meters.items():
                reading = look.readings.meters.get(name)
                if reading is not None:
                    meters.add_metric([look.slug, name, meter.unit], reading)
    yield from (online, seen, silent, problem, meters)
