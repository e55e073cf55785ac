"""The entities that Home Assistant shows for a printer: tables, no code. Pure.

Keys of ``config`` are Home Assistant's abbreviations for MQTT discovery.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple

from .contract import EVENTS, STATUSES

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
PROBLEM = {"dev_cla": "problem"}
STATUS = {"dev_cla": "enum", "ops": list(STATUSES)}
PERCENT = {"unit_of_meas": "%", "stat_cla": "measurement", "sug_dsp_prc": 0}
TIMESTAMP = {"dev_cla": "timestamp"}
NUMBER = {"mode": "box", "max": 1e9, **CONFIG}

PRINTER = (
    Entity(
        "maintenance_due",
        "binary_sensor",
        "Maintenance due",
        value="'ON' if it.get('due') else 'OFF'",
        config=PROBLEM,
    ),
    Entity(
        "tasks_due",
        "sensor",
        "Tasks due",
        "mdi:wrench-clock",
        "it.get('due')",
        {"stat_cla": "measurement", "sug_dsp_prc": 0},
    ),
    Entity(
        "next_task",
        "sensor",
        "Next task",
        "mdi:wrench-clock",
        "(it.get('next_label') | string)[:255]",  # no state is longer
    ),
    Entity(
        "next_due_at",
        "sensor",
        "Next task due",
        "mdi:calendar-clock",
        "it.get('next_due_at')",
        TIMESTAMP,
    ),
)

TASK = (
    # "Clean the rods: Problem" needs no more words.
    Entity(
        "due",
        "binary_sensor",
        "",
        value="'ON' if it.get('status') == 'due' else 'OFF'",
        config=PROBLEM,
    ),
    Entity("status", "sensor", "status", "mdi:list-status", "it.get('status')", STATUS),
    Entity(
        "percent",
        "sensor",
        "used up",
        "mdi:progress-wrench",
        "it.get('percent')",
        PERCENT,
    ),
    Entity(
        "due_at",
        "sensor",
        "next due",
        "mdi:calendar-clock",
        "it.get('due_at')",
        TIMESTAMP,
    ),
    Entity(
        "last_done",
        "sensor",
        "last done",
        "mdi:calendar-check",
        "it.get('last_done')",
        dict(TIMESTAMP, **DIAGNOSTIC),
    ),
)

# No state class: the unit follows the task's trigger, and a statistic of hours
# that go on as metres fills Home Assistant's log.
AMOUNTS = (
    Entity("remaining", "sensor", "remaining", "mdi:timer-sand", "it.get('remaining')"),
    Entity("used", "sensor", "used", "mdi:counter", "it.get('used')", DIAGNOSTIC),
)

CONTROLS = (
    Entity(
        "done",
        "button",
        "done",
        "mdi:wrench-check",
        config={"pl_prs": order("done"), "cmd_tpl": BY_WHOM},
    ),
    Entity(
        "snooze",
        "button",
        "snooze",
        "mdi:alarm-snooze",
        config={
            "pl_prs": order("snooze", **{"for": SNOOZE_HOURS}),
            "cmd_tpl": BY_WHOM,
        },
    ),
    Entity(
        "enabled",
        "switch",
        "enabled",
        "mdi:bell-cog",
        "'ON' if it.get('enabled') else 'OFF'",
        dict(
            CONFIG,
            stat_on="ON",
            stat_off="OFF",
            pl_on=order("enable"),
            pl_off=order("disable"),
        ),
    ),
)

THRESHOLD = Entity(
    "threshold",
    "number",
    "threshold",
    "mdi:tune-variant",
    "it.get('threshold')",
    NUMBER,
)

EVENT = Entity(
    "event",
    "event",
    "event",
    "mdi:history",
    "(dict(event_type=it.get('event'), by=it.get('by'), note=it.get('note'))"
    " | to_json) if it.get('task') == '%s' else ''",
    {"evt_typ": list(EVENTS)},
)

# A device trigger for each of these events, and how it reads after the task.
TRIGGERS = (("due", "due"), ("soon", "due soon"), ("done", "done"))

# What has the attributes: the sensor to be reminded by, and the one to list by.
TOLD = frozenset(["due", "percent"])

# Attributes are what seldom changes: each change is a row in somebody's database.
TASK_ATTRIBUTES = (
    "dict(task=it.get('task'), label=it.get('label'), message=it.get('message'),"
    " guide=it.get('guide'), parts=it.get('parts'), status=it.get('status'),"
    " snoozed_until=it.get('snoozed_until'), last_by=it.get('last_by'),"
    " done_count=it.get('done_count'), problem=it.get('problem'),"
    " command_topic=%s) | to_json"
)
SUMMARY_ATTRIBUTES = (
    "dict(due_tasks=it.get('due_labels'), problem=it.get('problem')) | to_json"
)

# Worth an entity on every printer. The other meters are there too, disabled
# until somebody wants them, unless a task counts by them.
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

UNITS: Mapping[str, Config] = {
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
    "sensor": {"stat_t": "klipper_upkeep/-"},
    "switch": {"cmd_t": "klipper_upkeep/-"},
}
