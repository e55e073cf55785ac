"""The fleet for Prometheus. Read from the fleet at each scrape: what left is gone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mqtt_bridge import contract
from mqtt_bridge.core import Bridge
from mqtt_bridge.mirror import Printer
from mqtt_bridge.settings import SettingsError
from mqtt_bridge.web import PLAIN, Answer, Routes, Web

if TYPE_CHECKING:
    from mqtt_bridge.push import Pusher

WITHIN = 5.0  # seconds for the bridge's thread to look at the fleet

# Name, help, and the field of a task that it shows.
TASK = (
    ("upkeep_task_used", "Wear since it was last done", "used"),
    ("upkeep_task_remaining", "Wear left until it is due", "remaining"),
    ("upkeep_task_threshold", "Wear allowed", "threshold"),
    ("upkeep_task_ratio", "Used, of the threshold, in percent", "percent"),
    ("upkeep_task_done_total", "How often it was done", "done_count"),
)


class Collector:
    """What prometheus_client asks at each scrape."""

    def __init__(self, bridge: Bridge, pusher: Pusher | None) -> None:
        self._bridge = bridge
        self._pusher = pusher

    def describe(self) -> list[Any]:
        # Registering would collect to learn the names.
        return []

    def collect(self) -> Iterator[Any]:
        # The fleet may be looked at in the bridge's turn alone.
        yield from self._bridge.call(self._families).result(WITHIN)

    def _families(self) -> list[Any]:
        from prometheus_client.core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        bridge = self._bridge
        printers = list(bridge.fleet.printers.values())
        families = [*_tasks(printers), *_printers(printers)]
        connected = GaugeMetricFamily(
            "upkeep_broker_connected", "Whether the bridge has its broker"
        )
        connected.add_metric([], float(bridge.link.connected))
        families.append(connected)
        delay = GaugeMetricFamily(
            "upkeep_delay_seconds", "How long the newest messages waited in the bridge"
        )
        delay.add_metric([], bridge.delay)
        families.append(delay)
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
            "upkeep_connects": ("Connections to the broker", bridge.link.reconnects),
        }
        if self._pusher is not None:
            counts["upkeep_push_sent"] = ("Notes sent", self._pusher.sent)
            counts["upkeep_push_failed"] = ("Attempts that failed", self._pusher.failed)
        for name, (text, value) in counts.items():
            family = CounterMetricFamily(name, text)
            family.add_metric([], value)
            families.append(family)
        commands = CounterMetricFamily(
            "upkeep_commands", "Commands by what became of them", labels=["outcome"]
        )
        for outcome, count in bridge.commands.items():
            commands.add_metric([outcome], count)
        return [*families, commands]


def serve(bridge: Bridge, address: tuple[str, int], pusher: Pusher | None) -> Web:
    """Serve ``/metrics``. SettingsError: it cannot be."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "metrics.listen needs prometheus-client: "
            "pip install 'klipper-upkeep[metrics]'"
        ) from None
    registry = CollectorRegistry()
    registry.register(Collector(bridge, pusher))

    def get(path: str) -> Answer:
        if path.partition("?")[0] != "/metrics":
            return 404, PLAIN, b"see /metrics\n"
        return 200, PLAIN, generate_latest(registry)

    def post(_path: str) -> Answer:
        return 405, PLAIN, b"metrics are read\n"

    try:
        return Web(address, Routes(get, post), "upkeep-metrics")
    except OSError as error:
        raise SettingsError(f"metrics.listen: {address}: {error}") from None


def _tasks(printers: Iterable[Printer]) -> Iterator[Any]:
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
    for printer in printers:
        for task, record in printer.tasks.items():
            if not record.shown:
                continue
            said = record.named()
            unit = next(
                field.description.get("units", "")
                for field in record.shape.fields
                if field.name == "used"
            )
            for field, family in numbers.items():
                family.add_metric(
                    [printer.slug, task, str(said["label"]), unit],
                    float(said[field] or 0),
                )
            for code, name in enumerate(contract.STATUSES):
                status.add_metric([printer.slug, task, name], said["status"] == code)
    yield from numbers.values()
    yield status


def _printers(printers: Iterable[Printer]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    def family(name: str, text: str, *more: str) -> Any:
        return GaugeMetricFamily(name, text, labels=["printer", *more])

    online = family("upkeep_printer_online", "Whether it answers")
    seen = family("upkeep_printer_last_seen_seconds", "When it was last heard (UNIX)")
    silent = family("upkeep_printer_silent_seconds", "How long it has not been heard")
    meters = family("upkeep_meter", "A meter's reading", "meter", "unit")
    for printer in printers:
        if printer.face.info is None:
            continue
        online.add_metric([printer.slug], float(printer.online))
        seen.add_metric([printer.slug], printer.heard)
        silent.add_metric([printer.slug], max(0.0, time.time() - printer.heard))
        if printer.readings is not None:
            for name, meter in printer.face.info.meters.items():
                reading = printer.readings.meters.get(name)
                if reading is not None:
                    meters.add_metric([printer.slug, name, meter.unit], reading)
    yield from (online, seen, silent, meters)
