"""Reads the fleet without a daemon, for the commands that show and export it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mqtt_bridge import contract
from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.contract import Limit
from mqtt_bridge.fleet.items import Value
from mqtt_bridge.fleet.records import Record
from mqtt_bridge.settings import Settings

WITHIN = 60.0  # seconds in which the broker must send its retained messages
MOST_NAMED = 5  # topics that one sentence names

# The order in which people have to act: what is due comes first.
URGENCY = (
    contract.DUE,
    contract.SOON,
    contract.OK,
    contract.SNOOZED,
    contract.DISABLED,
)


class TaskRow(NamedTuple):
    """A task for display: *values* are by field, *unit* is short."""

    printer: str
    name: str
    online: bool
    task: str
    status: str
    unit: str
    time: float
    values: dict[str, Value]
    limits: tuple[Limit, ...]

    @property
    def percent(self) -> float:
        return float(self.values["percent"] or 0.0)


class _NoItems:
    """A sink that discards all items."""

    def change(self, removed: Iterable[str], placed: Any) -> None:
        pass

    def publish(self, rows: Iterable[Any]) -> None:
        pass

    def connected(self, *, up: bool, when: float) -> None:
        pass


@contextlib.contextmanager
def fleet(settings: Settings) -> Iterator[Bridge]:
    """Yield a bridge without items that has received all retained messages.

    TimeoutError: the broker does not answer. `Bridge.settling.missing` has the topics
    whose messages did not arrive.
    """
    # With the daemon's client id, the broker would end the daemon's connection.
    broker = dataclasses.replace(settings.broker, client_id="")
    bridge = make_bridge(dataclasses.replace(settings, broker=broker), _NoItems())
    bridge.start()
    try:
        if not bridge.ready.wait(WITHIN):
            raise TimeoutError(f"nothing arrived from {broker.address} in {WITHIN:g} s")
        yield bridge
    finally:
        bridge.close()


def missing(bridge: Bridge) -> list[str]:
    """Return a sentence for the printers' retained topics that did not arrive."""
    topics = [each for several in bridge.settling.missing.values() for each in several]
    sentences = [f"the broker does not allow {each}" for each in bridge.link.left_out]
    if topics:
        named = ", ".join(topics[:MOST_NAMED])
        more = f" and {len(topics) - MOST_NAMED} more" if topics[MOST_NAMED:] else ""
        sentences.append(
            f"incomplete: {named}{more} did not arrive; 'upkeep-bridge check' tells why"
        )
    return sentences


def lines(bridge: Bridge) -> list[TaskRow]:
    """Return all tasks, the most urgent first. This is called in the bridge's turn."""
    rows = []
    for printer in bridge.fleet.printers.values():
        info = printer.state.info
        for task, record in printer.tasks.items():
            if info is None or not record.shown:
                continue
            values = record.named()
            status = contract.STATUSES[int(values["status"] or 0)]
            rows.append(
                TaskRow(
                    printer.slug, info.name, printer.online, task, status,
                    _units(record)["used"], record.time, values, tuple(_limits(record)),
                )
            )  # fmt: skip
    return sorted(
        rows,
        key=lambda line: (
            URGENCY.index(line.status), -line.percent, line.printer, line.task,
        ),
    )  # fmt: skip


def _units(record: Record) -> dict[str, str]:
    """Return the fields' units, in the contract's words."""
    units = {
        field.name: str(field.description.get("units", ""))
        for field in record.shape.fields
    }
    return {name: SHORT.get(unit, unit) for name, unit in units.items()}


def _limits(record: Record) -> Iterator[Limit]:
    """Yield all limits. With only one limit, its numbers are the task's own fields."""
    values, units = record.named(), _units(record)
    below = {f"{slug}.": meter for slug, meter in record.shape.meters.items()}
    for prefix, meter in (below or {"": str(values["trigger"])}).items():
        numbers = [float(values[prefix + name] or 0) for name in Limit._fields[2:]]
        yield Limit(meter, units[prefix + "used"], *numbers)


SHORT = {"hour": "h", "meter": "m"}
