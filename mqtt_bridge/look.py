"""A look at the fleet without a daemon: for the commands that show and export it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mqtt_bridge import contract
from mqtt_bridge.core import Bridge
from mqtt_bridge.facets import Value
from mqtt_bridge.settings import Settings

WITHIN = 15.0  # seconds for the broker to tell what it retains

# Overdue first: this is the order in which somebody has to act.
URGENCY = (
    contract.DUE,
    contract.SOON,
    contract.OK,
    contract.SNOOZED,
    contract.DISABLED,
)


class Line(NamedTuple):
    """A task as it is shown: *said* has its values by field."""

    printer: str
    name: str
    online: bool
    task: str
    status: str
    unit: str
    time: float
    said: dict[str, Value]

    @property
    def percent(self) -> float:
        return float(self.said["percent"] or 0.0)


class _Nowhere:
    """Items of nobody."""

    def change(self, removed: Iterable[str], placed: Any) -> None:
        pass

    def publish(self, rows: Iterable[Any]) -> None:
        pass

    def connected(self, *, up: bool, when: float) -> None:
        pass


@contextlib.contextmanager
def fleet(settings: Settings) -> Iterator[Bridge]:
    """A bridge without items that has heard everything. TimeoutError: it has not."""
    # Another client id than the daemon's, which would be thrown out.
    broker = dataclasses.replace(settings.broker, client_id="")
    bridge = Bridge(dataclasses.replace(settings, broker=broker), _Nowhere())
    bridge.start()
    try:
        if not bridge.ready.wait(WITHIN):
            raise TimeoutError(f"nothing came from {broker.address} in {WITHIN:g} s")
        yield bridge
    finally:
        bridge.close()


def lines(bridge: Bridge) -> list[Line]:
    """Every task, the most urgent first. Called in the bridge's turn."""
    found = []
    for printer in bridge.fleet.printers.values():
        info = printer.face.info
        for task, record in printer.tasks.items():
            if info is None or not record.shown:
                continue
            said = record.named()
            status = contract.STATUSES[int(said["status"] or 0)]
            unit = next(
                str(field.description.get("units", ""))
                for field in record.shape.fields
                if field.name == "used"
            )
            found.append(
                Line(
                    printer.slug, info.name, printer.online, task, status,
                    SHORT.get(unit, unit), record.time, said,
                )
            )  # fmt: skip
    return sorted(
        found,
        key=lambda line: (
            URGENCY.index(line.status), -line.percent, line.printer, line.task,
        ),
    )  # fmt: skip


SHORT = {"hour": "h", "meter": "m"}
