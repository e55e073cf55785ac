"""Metrics for Prometheus, read from the fleet at each scrape, and a health address."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from mqtt_bridge import exposition
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.exposition import Exposition, PrinterSnapshot, Task
from mqtt_bridge.fleet.records import Printer
from mqtt_bridge.http_server import PLAIN, HttpReply, Routes

logger = logging.getLogger(__name__)

WITHIN = 5.0  # seconds in which the bridge must copy a part of the fleet
PART = 50  # printers that are copied in one turn
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Push(Protocol):
    """The numbers about messages to people."""

    sent: int
    failed: int

    @property
    def waiting(self) -> int: ...


PATHS = ("/metrics", "/health", "/ready")


class Exporter:
    """Answers ``/metrics``, ``/health`` and ``/ready``."""

    def __init__(
        self,
        bridge: Bridge,
        push: Push | None,
        accepted: Callable[[], bool] = lambda: True,
    ) -> None:
        """*accepted* returns whether all registries have accepted the bridge."""
        self._bridge = bridge
        self._push = push
        self._accepted = accepted
        self._failures = 0
        self._version = _version()

    def get(self, path: str) -> HttpReply:
        path = path.partition("?")[0]
        if path == "/metrics":
            return 200, METRICS_TYPE, self.text()
        if path in ("/health", "/ready"):
            return self._health(must_be_ready=path == "/ready")
        return 404, PLAIN, b"see /metrics, /health and /ready\n"

    def post(self, _path: str) -> HttpReply:
        return 405, PLAIN, b"metrics are read\n"

    @property
    def routes(self) -> Routes:
        return Routes(self.get, self.post)

    def text(self) -> bytes:
        made = Exposition()
        now = time.time()
        for printer in self._printers():
            self._add(made, printer, now)
        for name, value in (*self._numbers(), *_process()):
            made.add(name, value)
        outcomes = self._bridge.call(
            lambda: dict(self._bridge.commands.outcomes)
        ).result(WITHIN)
        for outcome, count in outcomes.items():
            made.add("upkeep_commands_total", count, {"outcome": outcome})
        made.add("upkeep_bridge_info", 1, {"version": self._version})
        return made.text()

    def _add(self, made: Exposition, printer: PrinterSnapshot, now: float) -> None:
        """Add a printer. One that cannot be shown does not affect other printers."""
        part = Exposition()
        try:
            part.printer(printer, now)
        except Exception:
            self._failures += 1
            if self._failures == 1:
                logger.exception("metrics: printer %s is left out", printer.slug)
        else:
            made.extend(part)

    def _printers(self) -> list[PrinterSnapshot]:
        """Copy the fleet, a part in each turn, so that no turn lasts long."""
        bridge, copies = self._bridge, list[PrinterSnapshot]()
        slugs = bridge.call(lambda: list(bridge.fleet.printers)).result(WITHIN)
        for first in range(0, len(slugs), PART):
            part = slugs[first : first + PART]
            copies += bridge.call(partial(self.part, part)).result(WITHIN)
        return copies

    def part(self, slugs: Sequence[str]) -> list[PrinterSnapshot]:
        """Copy these printers. The caller has the bridge's turn."""
        printers = self._bridge.fleet.printers
        return [_copy(printers[slug]) for slug in slugs if slug in printers]

    def _numbers(self) -> list[tuple[str, float]]:
        bridge, link = self._bridge, self._bridge.link
        missing = bridge.settling.missing
        numbers = [
            ("upkeep_printers", len(bridge.fleet.printers)),
            ("upkeep_printers_incomplete", len(missing)),
            ("upkeep_topics_missing", sum(map(len, missing.values()))),
            ("upkeep_broker_connected", link.connected),
            ("upkeep_subscriptions_refused", len(link.left_out)),
            ("upkeep_connects_total", link.connects),
            ("upkeep_delay_seconds", bridge.delay),
            ("upkeep_waiting_bytes", bridge.inbox.size),
            ("upkeep_messages_total", bridge.inbox.received),
            ("upkeep_messages_superseded_total", bridge.inbox.superseded),
            ("upkeep_messages_refused_total", bridge.fleet.refused),
            ("upkeep_messages_oversized_total", link.dropped),
            ("upkeep_events_dropped_total", bridge.events.dropped),
            ("upkeep_commands_open", len(bridge.commands.transactions)),
            ("upkeep_registry_accepted", self._accepted()),
            ("upkeep_scrape_failures_total", self._failures),
        ]
        if self._push is not None:
            numbers += [
                ("upkeep_push_sent_total", self._push.sent),
                ("upkeep_push_failed_total", self._push.failed),
                ("upkeep_push_waiting", self._push.waiting),
            ]
        return numbers

    def _health(self, *, must_be_ready: bool) -> HttpReply:
        """Answer 200 if the bridge works, or (*must_be_ready*) if it is ready."""
        bridge = self._bridge
        try:
            bridge.call(lambda: None).result(WITHIN)
        except Exception as error:  # noqa: BLE001 - the error is the answer
            return 503, PLAIN, f"the bridge does not answer: {error}\n".encode()
        if not bridge.ready.is_set():
            return (503 if must_be_ready else 200), PLAIN, b"starting\n"
        if not bridge.link.connected:
            return (503 if must_be_ready else 200), PLAIN, b"no broker\n"
        return 200, PLAIN, b"ok\n"


def _copy(printer: Printer) -> PrinterSnapshot:
    tasks = tuple(
        Task(name, record.time, record.shape, record.values)
        for name, record in printer.tasks.items()
        if record.shown
    )
    return PrinterSnapshot(printer.slug, printer.state, printer.readings, tasks)


def _process() -> list[tuple[str, float]]:
    """Return the process's own metrics, or none without /proc."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        lines = Path("/proc/stat").read_text().splitlines()
        boot = next(float(each.split()[1]) for each in lines if "btime" in each)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only counted
    except (OSError, StopIteration):
        return []
    tick = os.sysconf("SC_CLK_TCK")
    return [
        *exposition.process(fields, tick, boot),
        ("process_resident_memory_bytes", pages * os.sysconf("SC_PAGE_SIZE")),
        ("process_open_fds", open_files),
    ]


def _version() -> str:
    try:
        return importlib.metadata.version("klipper-upkeep")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
