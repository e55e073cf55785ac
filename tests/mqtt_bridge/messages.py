"""Messages of printers, for tests."""

from __future__ import annotations

from mqtt_bridge import contract
from mqtt_bridge.contract import Info, Limit, Meter, Meters, State, Summary
from mqtt_bridge.fleet.items import Shapes

BASE = contract.BASE


def limit(meter="print_time", unit="h", used=37.5, threshold=150.0, warn_at=15.0):
    percent = round(100 * used / threshold, 2)
    return Limit(meter, unit, threshold, used, threshold - used, percent, warn_at)


def state(task="rods", seq=1, time=1000.0, limits=None, **fields):
    limits = limits or (limit(),)
    fields = {
        "label": "Oil the rods",
        "status": "ok",
        "trigger": limits[0].meter,
        **fields,
    }
    return State(seq=seq, time=time, task=task, limits=limits, **fields)


def values(state):
    """Return the values of a task's items by their fields, and the task's shape."""
    shape, made = Shapes(read_only=False).task(state)
    return dict(zip([each.name for each in shape.fields], made, strict=True)), shape


def info(*tasks, meters=("print_time",), **fields):
    fields = {"uuid": "u-1", "name": "Voron", **fields}
    units = {"print_time": Meter("h", "Print time"), "filament": Meter("m", "Filament")}
    known = {name: units.get(name, Meter("", name)) for name in meters}
    return Info(tasks=tasks, meters=known, **fields)


def meters(seq=1, time=1000.0, **readings):
    return Meters(seq, time, readings or {"print_time": 12.5})


def summary(seq=1, time=1000.0, due=0, soon=0):
    return Summary(seq, time, due, soon, None, None, None)


def topic(printer, rest):
    return f"{BASE}/{printer}/{rest}"


def printer(slug="voron", tasks=(), **fields):
    """Return all retained messages of a printer as topic and payload."""
    tasks = tasks or (state(),)
    payloads = {
        topic(slug, "info"): info(*(t.task for t in tasks), **fields).encode(),
        topic(slug, "meters"): meters().encode(),
        topic(slug, "summary"): summary().encode(),
    }
    for each in tasks:
        payloads[topic(slug, f"tasks/{each.task}")] = each.encode()
    payloads[topic(slug, "availability")] = contract.ONLINE
    return payloads
