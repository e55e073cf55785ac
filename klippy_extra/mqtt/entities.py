"""The entities that Home Assistant shows for a printer: tables, no code. Pure.

Keys of ``config`` are Home Assistant's abbreviations for MQTT discovery.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple

from ..contract import (
    DISABLED,
    DUE,
    EVENTS,
    OFFLINE,
    OK,
    ONLINE,
    SNOOZED,
    SOON,
)
from ..language import mark

SNOOZE_HOURS = 24

Config = Dict[str, Any]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Entity(NamedTuple):
    """A row of the tables below: an entity, and all that no task changes.

    ``value`` is a template's expression on ``it``, the object that is read.
    A field that is absent or null becomes None, and *unknown* on the page.
    """

    field: str
    platform: str
    name: str  # follows the task's label
    icon: str = ""
    value: str = ""
    config: Mapping[str, Any] = _NOTHING


def order(command: str, **arguments: Any) -> str:
    """A command as a control sends it."""
    return json.dumps(dict(command=command, by="Home Assistant", **arguments))


# A button's state is written before its press is sent, in the context of the user
# who pressed it: so its template can name the person.
BY_WHOM = (
    "{{ dict(value|from_json, by=states.person"
    "|selectattr('attributes.user_id','defined')"
    "|selectattr('attributes.user_id','eq',this.context.user_id)"
    "|map(attribute='name')|first|default('Home Assistant'))|to_json }}"
)


CONFIG, DIAGNOSTIC = {"ent_cat": "config"}, {"ent_cat": "diagnostic"}
HIDDEN = {"en": False}  # there for whoever enables it
PROBLEM = {"dev_cla": "problem"}
STATUS = {"dev_cla": "enum"}  # its options are in the printer's language
STATUS_WORDS = {
    OK: mark("ok"),
    SOON: mark("soon"),
    DUE: mark("due"),
    SNOOZED: mark("snoozed"),
    DISABLED: mark("disabled"),
}
PERCENT = {"unit_of_meas": "%", "stat_cla": "measurement", "sug_dsp_prc": 0, **HIDDEN}
TIMESTAMP = {"dev_cla": "timestamp"}
NUMBER = {"mode": "box", "max": 1e9, **CONFIG, **HIDDEN}

# Of the printer as a whole. That anything is due is no problem of its own: the task
# is one already, and one fact is to show once.
ANYTHING = "maintenance_due"
PRINTER = (
    Entity(
        ANYTHING,
        "binary_sensor",
        mark("Maintenance due"),
        "mdi:wrench-clock",
        "'ON' if it.get('due') else 'OFF'",
    ),
    Entity(
        "tasks_due",
        "sensor",
        mark("Tasks due"),
        "mdi:wrench-clock",
        "it.get('due')",
        {"stat_cla": "measurement", "sug_dsp_prc": 0},
    ),
    Entity(
        "next_task",
        "sensor",
        mark("Next task"),
        "mdi:wrench-clock",
        "(it.get('next_label') | string)[:255]",  # no state is longer
    ),
    Entity(
        "next_due_at",
        "sensor",
        mark("Next task due"),
        "mdi:calendar-clock",
        "it.get('next_due_at')",
        TIMESTAMP,
    ),
)

# The one entity that tells whether the printer is on. All others keep their state.
CONNECTED = Entity(
    "connected",
    "binary_sensor",
    mark("Connection"),
    config={
        "dev_cla": "connectivity",
        "pl_on": ONLINE.decode(),
        "pl_off": OFFLINE.decode(),
        **DIAGNOSTIC,
    },
)

TASK = (
    # "Clean the rods: Problem" is clear without a longer name.
    Entity(
        "due",
        "binary_sensor",
        "",
        value="'ON' if it.get('status') == 'due' else 'OFF'",
        config=PROBLEM,
    ),
    Entity(
        "status",
        "sensor",
        mark("status"),
        "mdi:list-status",
        "it.get('status')",
        STATUS,
    ),
    Entity(
        "percent",
        "sensor",
        mark("used up"),
        "mdi:progress-wrench",
        "it.get('percent')",
        PERCENT,
    ),
    Entity(
        "due_at",
        "sensor",
        mark("next due"),
        "mdi:calendar-clock",
        "it.get('due_at')",
        dict(TIMESTAMP, **HIDDEN),
    ),
    Entity(
        "last_done",
        "sensor",
        mark("last done"),
        "mdi:calendar-check",
        "it.get('last_done')",
        dict(TIMESTAMP, **DIAGNOSTIC, **HIDDEN),
    ),
)

# No state class: the unit follows the task's trigger, and a statistic of hours
# that go on as metres fills Home Assistant's log.
REMAINING = Entity(
    "remaining", "sensor", mark("remaining"), "mdi:timer-sand", "it.get('remaining')"
)
USED = Entity(
    "used",
    "sensor",
    mark("used"),
    "mdi:counter",
    "it.get('used')",
    dict(DIAGNOSTIC, **HIDDEN),
)

# Where a task's limits have several units: of the one that decides, with its unit.
# (The calendar counts hours, and people count days.)
ANY_UNIT = (
    "none if it.get('remaining') is none else"
    " '%.3g d' | format(it.get('remaining') / 24) if it.get('trigger') == 'time' else"
    " ('%.10g ' | format(it.get('remaining')) ~ it.get('unit')) | trim"
)

CONTROLS = (
    # Of this category, so that a device's page begins with what is due and not
    # with a column of buttons.
    Entity(
        "done",
        "button",
        mark("done"),
        "mdi:wrench-check",
        config={"pl_prs": order("done"), "cmd_tpl": BY_WHOM, **CONFIG},
    ),
    Entity(
        "snooze",
        "button",
        mark("snooze"),
        "mdi:alarm-snooze",
        config={
            "pl_prs": order("snooze", **{"for": SNOOZE_HOURS}),
            "cmd_tpl": BY_WHOM,
            **CONFIG,
            **HIDDEN,
        },
    ),
    Entity(
        "enabled",
        "switch",
        mark("enabled"),
        "mdi:bell-cog",
        "'ON' if it.get('enabled') else 'OFF'",
        dict(
            CONFIG,
            stat_on="ON",
            stat_off="OFF",
            pl_on=order("enable"),
            pl_off=order("disable"),
            **HIDDEN,
        ),
    ),
)

THRESHOLD = Entity(
    "threshold",
    "number",
    mark("threshold"),
    "mdi:tune-variant",
    "it.get('threshold')",
    NUMBER,
)

# Where intervals learn: sets the threshold that the log suggests.
LEARN = Entity(
    "learn",
    "button",
    mark("take the suggested threshold"),
    "mdi:school",
    config={"pl_prs": order("learn"), "cmd_tpl": BY_WHOM, **CONFIG, **HIDDEN},
)

# Of a part: where it is fitted. Its options are the places and the shelf.
PLACE = Entity("place", "select", mark("place"), "mdi:swap-horizontal")
SHELF = mark("Shelf")

EVENT = Entity(
    "event",
    "event",
    mark("event"),
    "mdi:history",
    "(dict(event_type=it.get('event'), by=it.get('by'), note=it.get('note'))"
    " | to_json) if it.get('task') == '%s' else ''",
    {"evt_typ": list(EVENTS), **HIDDEN},
)

# Attributes, by the entity that has them. A recorder takes 16 KiB of them, and each
# change is a row: so `due`, the sensor to be reminded by, has what seldom changes,
# and `status`, the one to list by, has all.
_TEXTS = {"label": 255, "message": 1500, "guide": 500, "parts": 500, "last_by": 100}
_FIELDS = ("task", "status", "snoozed_until", "last_done", "done_count")
_NUMBERS = ("percent", "remaining", "unit", "threshold", "trigger", "due_at")
_SELDOM = (
    ", ".join(f"{name}=it.get('{name}')" for name in _FIELDS)
    + "".join(f", {n}=(it.get('{n}') or '')[:{most}]" for n, most in _TEXTS.items())
    + ", problem=it.get('problem')[:500] if it.get('problem') else none"
    + ", command_topic=%s"
)
_OFTEN = "".join(f", {name}=it.get('{name}')" for name in _NUMBERS)
# UNIX seconds, for whoever looks while the printer is off: the calendar goes on then.
_HOURS = (
    "(it.get('limits') or []) | selectattr('meter', 'eq', 'time')"
    " | map(attribute='remaining') | select('number')"
)
_CALENDAR = (
    f"(it.get('time') + ({_HOURS} | first) * 3600) | int if it.get('match') == 'any'"
    f" and ({_HOURS} | list) and it.get('time') else none"
)
# Attributes that exist only if intervals learn.
_LEARNT = (
    ", **(dict(suggestion=(it.get('suggestion') or {}).get('text'),"
    " usual=(it.get('habit') or {}).get('median'), due_from=it.get('due_from'),"
    " due_to=it.get('due_to')) if it.get('habit') or it.get('due_from') else {})"
)
TASK_ATTRIBUTES = {
    "due": f"dict({_SELDOM}) | to_json",
    "status": f"dict({_SELDOM}{_OFTEN}, calendar_due_at={_CALENDAR}{_LEARNT})"
    " | to_json",
}
SUMMARY_ATTRIBUTES = (
    "dict(due_tasks=(it.get('due_labels') or [])[:30] | map('truncate', 60, true)"
    " | list, problem=it.get('problem')[:500] if it.get('problem') else none"
    # The print that runs, where tasks look ahead.
    ", **(dict(print_file=it.job.file[:255], print_hours=it.job.hours,"
    " print_makes_due=(it.job.ahead or [])[:30] | map(attribute='label')"
    " | map('truncate', 60, true) | list,"
    " print_made_due=(it.job.due or [])[:30] | map('truncate', 60, true) | list)"
    " if it.get('job') else {}))"
    " | to_json"
)

# Worth an entity on every printer. The other meters are there too, disabled.
WANTED_METERS = frozenset(["print_time", "filament", "jobs_completed"])

METER_ICONS = (
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

DAYS = "d"  # the unit in which the calendar's hours are shown
UNITS: Mapping[str, Config] = {
    DAYS: {"dev_cla": "duration", "unit_of_meas": "d"},
    "h": {"dev_cla": "duration", "unit_of_meas": "h"},
    "m": {"dev_cla": "distance", "unit_of_meas": "m"},
    "": {},
}

# The least that Home Assistant takes for an entity of a platform.
LEAST: Mapping[str, Config] = {
    "binary_sensor": {"stat_t": "klipper_upkeep/-"},
    "button": {"cmd_t": "klipper_upkeep/-"},
    "event": {"stat_t": "klipper_upkeep/-", "evt_typ": ["-"]},
    "number": {"cmd_t": "klipper_upkeep/-"},
    "select": {"cmd_t": "klipper_upkeep/-", "ops": ["-"]},
    "sensor": {"stat_t": "klipper_upkeep/-"},
    "switch": {"cmd_t": "klipper_upkeep/-"},
}
