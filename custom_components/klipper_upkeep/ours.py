"""Tables of the entities that the integration makes instead of MQTT discovery.

The keys, the platforms, the units and the attributes are those of discovery, so that an
entity stays the same when it is handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from homeassistant.components.binary_sensor import (  # type: ignore[attr-defined, unused-ignore]
    BinarySensorDeviceClass,  # 2026 defines it in another module, and re-exports it
)
from homeassistant.components.number import NumberMode
from homeassistant.components.sensor import SensorDeviceClass, SensorStateClass
from homeassistant.const import EntityCategory, Platform

from .attributes import ahead, often, seldom
from .contract import (
    DUE,
    EVENTS,
    STATUSES,
    Command,
    Limit,
    State,
    Summary,
    slug,
)
from .fleet import CALENDAR, Printer
from .row import DueNow, Order, Row, Value

SNOOZE_HOURS: Final = 24.0
MOST: Final = 1e9  # the greatest threshold
SHOWN_WHOLE: Final = 100.0  # from this threshold on; else 8999.9 h is "8,999h, 53m"
WANTED_METERS: Final = frozenset(["print_time", "filament", "jobs_completed"])

HIDDEN: Final = {"entity_registry_enabled_default": False}
CONFIG: Final = {"entity_category": EntityCategory.CONFIG}
DIAGNOSTIC: Final = {"entity_category": EntityCategory.DIAGNOSTIC}
TIMESTAMP: Final = {"device_class": SensorDeviceClass.TIMESTAMP}
DURATION: Final = {"device_class": SensorDeviceClass.DURATION}
UNITS: Final[Mapping[str, Mapping[str, Any]]] = {
    "d": {**DURATION, "native_unit_of_measurement": "d"},
    "h": {**DURATION, "native_unit_of_measurement": "h"},
    "m": {
        "device_class": SensorDeviceClass.DISTANCE,
        "native_unit_of_measurement": "m",
    },
    "": {},
}
METER_ICONS: Final = (
    ("print_time", "mdi:printer-3d"),
    ("filament", "mdi:printer-3d-nozzle"),
    ("extruded", "mdi:printer-3d-nozzle-outline"),
    ("travel", "mdi:axis-arrow"),
    ("heater", "mdi:radiator"),
    ("fan", "mdi:fan"),
    ("jobs", "mdi:file-document-check"),
    ("power", "mdi:power"),
    ("time", "mdi:clock-outline"),
    ("", "mdi:counter"),
)


def rows(printer: Printer) -> Iterator[Row]:
    """Return a row for each entity that discovery would make for *printer*."""
    yield from _PRINTER
    for state in printer.tasks.values():
        yield from _task(state)
        yield from _limits(state)
        yield _event(state.task)
        if printer.introduced.commands:
            yield from _controls(state)
    for name, meter in printer.introduced.meters.items():
        yield _meter(name, meter.unit)


def is_key(key: str) -> bool:
    """Return whether discovery makes entities with such a key."""
    if key.startswith("task."):
        return not key.endswith(".last_done_on")
    return key.startswith("meter.") or key in {row.key for row in _PRINTER}


# Values


def _summed(field: Callable[[Summary], Any]) -> Value:
    def value(printer: Printer) -> Any:
        return None if printer.summary is None else field(printer.summary)

    return value


def _of(task: str, field: Callable[[State], Any]) -> Value:
    def value(printer: Printer) -> Any:
        state = printer.tasks.get(task)
        return None if state is None else field(state)

    return value


def _time(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC)


# Rows

_PRINTER: Final = (
    # Its name begins with punctuation, so that Home Assistant lists it first.
    Row(
        "due_now",
        Platform.SENSOR,
        "due_now",
        value=_summed(lambda summary: DueNow(summary.due, summary.due_labels)),
        more=_summed(lambda summary: {"count": summary.due}),
        config={"icon": "mdi:clipboard-alert"},
    ),
    Row(
        "maintenance_due",
        Platform.BINARY_SENSOR,
        "maintenance_due",
        value=_summed(lambda summary: summary.due > 0),
        more=_summed(ahead),
        config={"icon": "mdi:wrench-clock"},
    ),
    Row(
        "tasks_due",
        Platform.SENSOR,
        "tasks_due",
        value=_summed(lambda summary: summary.due),
        config={
            "icon": "mdi:wrench-clock",
            "state_class": SensorStateClass.MEASUREMENT,
            "suggested_display_precision": 0,
        },
    ),
    Row(
        "next_task",
        Platform.SENSOR,
        "next_task",
        value=_summed(lambda summary: (summary.next_label or "")[:255] or None),
        config={"icon": "mdi:wrench-clock"},
    ),
    Row(
        "next_due_at",
        Platform.SENSOR,
        "next_due_at",
        value=_summed(lambda summary: _time(summary.next_due_at)),
        config={"icon": "mdi:calendar-clock", **TIMESTAMP},
    ),
    Row(
        "connected",
        Platform.BINARY_SENSOR,
        "connected",
        value=lambda printer: printer.online,
        config={"device_class": BinarySensorDeviceClass.CONNECTIVITY, **DIAGNOSTIC},
    ),
)


def _task(state: State) -> Iterator[Row]:
    task = state.task

    def row(field: str, value: Callable[[State], Any], **config: Any) -> Row:
        key, shown = f"task.{task}.{field}", _of(task, value)
        return Row(key, Platform.SENSOR, field, task, value=shown, config=config)

    yield row("due", lambda s: s.status == DUE)._replace(
        platform=Platform.BINARY_SENSOR,
        more=lambda printer: _of(task, lambda s: seldom(s, printer))(printer),
        config={"device_class": BinarySensorDeviceClass.PROBLEM},
    )
    yield row(
        "status",
        lambda s: s.status,
        device_class=SensorDeviceClass.ENUM,
        options=list(STATUSES),
        icon="mdi:list-status",
    )._replace(more=lambda printer: _of(task, lambda s: often(s, printer))(printer))
    yield row(
        "percent",
        lambda s: s.deciding.percent,
        native_unit_of_measurement="%",
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=0,
        icon="mdi:progress-wrench",
        **HIDDEN,
    )
    yield row(
        "due_at",
        lambda s: _time(s.due_at),
        icon="mdi:calendar-clock",
        **TIMESTAMP,
        **HIDDEN,
    )
    yield row(
        "last_done",
        lambda s: _time(s.last_done),
        icon="mdi:calendar-check",
        **TIMESTAMP,
        **DIAGNOSTIC,
        **HIDDEN,
    )
    if len({_unit(each) for each in state.limits}) > 1:
        yield row("remaining", _any_unit, icon="mdi:timer-sand")
        return
    least = min(state.limits, key=lambda limit: limit.threshold)
    measured = _measured_of(least)
    remaining, used = _AMOUNTS["remaining"], _AMOUNTS["used"]
    yield row(
        "remaining",
        lambda s: _amount(s.deciding, "remaining"),
        **{**measured, **remaining},
    )
    yield row("used", lambda s: _amount(s.deciding, "used"), **{**measured, **used})


_AMOUNTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "remaining": {"icon": "mdi:timer-sand"},
    "used": {"icon": "mdi:counter", **DIAGNOSTIC, **HIDDEN},
}


def _limits(state: State) -> Iterator[Row]:
    """Return the amounts of each limit, if there are several; disabled by default."""
    for limit in state.limits if len(state.limits) > 1 else ():
        for field, config in _AMOUNTS.items():
            yield Row(
                f"task.{state.task}.{slug(limit.meter)}.{field}",
                Platform.SENSOR,
                field,
                state.task,
                limit.meter,
                _of_limit(state.task, limit.meter, field),
                config={**_measured_of(limit), **config, **DIAGNOSTIC, **HIDDEN},
            )


def _of_limit(task: str, meter: str, field: str) -> Value:
    def value(state: State) -> Any:
        amounts = (_amount(each, field) for each in state.limits if each.meter == meter)
        return next(amounts, None)

    return _of(task, value)


def _unit(limit: Limit) -> str:
    return "d" if limit.meter == CALENDAR else limit.unit


def _amount(limit: Limit, field: str) -> float:
    amount = float(getattr(limit, field))
    return round(amount / 24, 2) if limit.meter == CALENDAR else amount


def _any_unit(state: State) -> str:
    """Return the deciding limit's amount with its unit, as the limits' units differ."""
    limit = state.deciding
    if limit.meter == CALENDAR:
        return f"{limit.remaining / 24:.3g} d"
    return f"{limit.remaining:.10g} {limit.unit}".strip()


def _measured_of(limit: Limit) -> dict[str, Any]:
    return _measured(_unit(limit), limit.threshold >= SHOWN_WHOLE)


def _measured(unit: str, is_whole: bool) -> dict[str, Any]:
    config = dict(UNITS.get(unit, {"native_unit_of_measurement": unit}))
    config["suggested_display_precision"] = 1 if unit and not is_whole else 0
    if not unit:
        config["state_class"] = SensorStateClass.MEASUREMENT
    return config


def _controls(state: State) -> Iterator[Row]:
    task = state.task

    def row(field: str, platform: Platform, order: Order, **config: Any) -> Row:
        key = f"task.{task}.{field}"
        return Row(key, platform, field, task, order=order, config=config)

    yield row(
        "done",
        Platform.BUTTON,
        lambda _: Command("done"),
        icon="mdi:wrench-check",
        **CONFIG,
    )
    yield row(
        "snooze",
        Platform.BUTTON,
        lambda _: Command("snooze", hours=SNOOZE_HOURS),
        icon="mdi:alarm-snooze",
        **CONFIG,
        **HIDDEN,
    )
    yield row(
        "enabled",
        Platform.SWITCH,
        lambda on: Command("enable" if on else "disable"),
        icon="mdi:bell-cog",
        **CONFIG,
        **HIDDEN,
    )._replace(value=_of(task, lambda s: s.enabled))
    yield row(
        "learn",
        Platform.BUTTON,
        lambda _: Command("learn"),
        icon="mdi:school",
        **CONFIG,
        **HIDDEN,
    )._replace(rare=state.habit is None and state.suggestion is None)
    for limit in state.limits:
        yield _threshold(state, limit)
    if state.kind:
        yield row(
            "place", Platform.SELECT, _fit, icon="mdi:swap-horizontal", **CONFIG
        )._replace(
            value=_of(task, lambda s: s.place),
            more=_of(task, lambda s: {"places": list(s.places)}),
        )


def _fit(place: str) -> Command:
    """Return the command that fits a part at *place*. An empty place is the shelf."""
    return Command("fit", place=place) if place else Command("remove")


def _threshold(state: State, limit: Limit) -> Row:
    """Return a threshold's row. If it is the only one, the meter's name is left out."""
    several = len(state.limits) > 1
    hours = 24 if limit.meter == CALENDAR else 1
    middle = f"{slug(limit.meter)}." if several else ""
    unit = _unit(limit)

    def order(value: float) -> Command:
        amount = value * hours
        return Command("set", threshold={limit.meter: amount} if several else amount)

    return Row(
        f"task.{state.task}.{middle}threshold",
        Platform.NUMBER,
        "threshold",
        state.task,
        limit.meter if several else "",
        _of_limit(state.task, limit.meter, "threshold"),
        order=order,
        config={
            **UNITS.get(unit, {"native_unit_of_measurement": unit}),
            "native_min_value": 0.0,
            "native_max_value": MOST,
            "native_step": 0.01 if unit else 1.0,
            "mode": NumberMode.BOX,
            "icon": "mdi:tune-variant",
            **CONFIG,
            **HIDDEN,
        },
    )


def _meter(meter: str, unit: str) -> Row:
    config = {
        **_measured(unit, unit == "m" or meter == CALENDAR),
        # This is not TOTAL_INCREASING: after a backup was restored, the whole reading
        # would be added to the statistics' sum a second time.
        "state_class": SensorStateClass.TOTAL,
        "icon": next(icon for start, icon in METER_ICONS if meter.startswith(start)),
        "entity_registry_enabled_default": meter in WANTED_METERS,
        **DIAGNOSTIC,
    }
    return Row(
        f"meter.{meter}",
        Platform.SENSOR,
        "",
        meter=meter,
        value=lambda printer: printer.meters.get(meter),
        config=config,
    )


def _event(task: str) -> Row:
    config = {"event_types": list(EVENTS), "icon": "mdi:history", **HIDDEN}
    return Row(f"task.{task}.event", Platform.EVENT, "event", task, config=config)
