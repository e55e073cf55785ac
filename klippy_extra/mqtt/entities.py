"""Tables of the entities that Home Assistant shows for a printer. Pure.

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
    """A row of the tables below: an entity, with all that is equal for all tasks.

    ``value`` is a template's expression with ``it``, the object that is read. An absent
    or null field becomes None, which is *unknown* on the page.
    """

    field: str
    platform: str
    name: str  # it comes after the task's label
    icon: str = ""
    value: str = ""
    config: Mapping[str, Any] = _NOTHING


def order(command: str, **arguments: Any) -> str:
    """Return the template of the command that a control sends."""
    return json.dumps(dict(command=command, by="Home Assistant", **arguments))


# Before it sends a press, Home Assistant writes the button's state in the context of
# the user. So the template can read who pressed the button.
BY_WHOM = (
    "{{ dict(value|from_json, by=states.person"
    "|selectattr('attributes.user_id','defined')"
    "|selectattr('attributes.user_id','eq',this.context.user_id)"
    "|map(attribute='name')|first|default('Home Assistant'))|to_json }}"
)


CONFIG, DIAGNOSTIC = {"ent_cat": "config"}, {"ent_cat": "diagnostic"}
HIDDEN = {"en": False}  # the entity is disabled until a user enables it
PROBLEM = {"dev_cla": "problem"}
STATUS = {"dev_cla": "enum"}  # the options are in the printer's language
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

# The printer's own entities. `maintenance_due` is no *problem* sensor, since the task
# is one already, and a fact should be shown only once.
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
        "(it.get('next_label') | string)[:255]",  # the most letters of a state
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

# Home Assistant sorts the entities of a device by name, and punctuation comes before
# digits and letters. So a device's page begins with this entity, which tells in words
# what is due. The mark is no part of the text, so that no translation loses it.
FIRST = "\u2022"
DUE_NOW = Entity("due_now", "sensor", mark("Due now"), "mdi:clipboard-alert")
NOTHING_DUE = mark("Nothing")
OTHERS_DUE = mark("and {count} more")
LISTED = 225  # letters of labels; a state has at most 255
DUE_NOW_TEMPLATE = (
    "{%% set it=%(it)s %%}{%% set ns=namespace(text='',count=0) %%}"
    "{%% for label in it.get('due_labels') or [] %%}"
    "{%% set text=ns.text ~ (', ' if ns.text else '') ~ label[:100] %%}"
    "{%% if loop.index0 == ns.count and text | length <= %(listed)d %%}"
    "{%% set ns.text=text %%}{%% set ns.count=loop.index %%}"
    "{%% endif %%}{%% endfor %%}"
    "{%% set more=(it.get('due') or 0) - ns.count %%}"
    "{{ none if it.get('due') is none else %(nothing)s if not it.get('due') else"
    " (ns.text ~ ' ' ~ %(others)s | replace('{count}', more)) | trim"
    " if more > 0 else ns.text }}"
)
DUE_NOW_ATTRIBUTES = "dict(count=it.get('due')) | to_json"

# Only this entity shows whether the printer is online. All others keep their state.
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
    # Home Assistant shows "Clean the rods: Problem", so no longer name is needed.
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

# There is no state class. The unit depends on the task's trigger, and a statistic
# that changes from hours to metres fills Home Assistant's log.
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

# For a task whose limits have several units: the deciding limit's amount with its unit.
# (The calendar has hours, but people count in days.)
ANY_UNIT = (
    "none if it.get('remaining') is none else"
    " '%.3g d' | format(it.get('remaining') / 24) if it.get('trigger') == 'time' else"
    " ('%.10g ' | format(it.get('remaining')) ~ it.get('unit')) | trim"
)

CONTROLS = (
    # These and the places of parts have the category `config`, so that a device's page
    # begins with what is due and not with a column of controls.
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

# If intervals learn: the button that sets the threshold suggested by the log.
LEARN = Entity(
    "learn",
    "button",
    mark("take the suggested threshold"),
    "mdi:school",
    config={"pl_prs": order("learn"), "cmd_tpl": BY_WHOM, **CONFIG, **HIDDEN},
)

# For a part: the select for its place. Its options are the places and the shelf.
PLACE = Entity("place", "select", mark("place"), "mdi:swap-horizontal", config=CONFIG)
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

# The attributes of each entity. The recorder accepts 16 KiB of them, and each change
# makes a row in the database. So `due`, which is used for reminders, has the attributes
# that seldom change, and `status`, which is used for lists, has all.
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
# UNIX seconds. They are needed while the printer is off, since time still passes then.
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
    # The running print, if tasks look ahead.
    ", **(dict(print_file=it.job.file[:255], print_hours=it.job.hours,"
    " print_makes_due=(it.job.ahead or [])[:30] | map(attribute='label')"
    " | map('truncate', 60, true) | list,"
    " print_made_due=(it.job.due or [])[:30] | map('truncate', 60, true) | list)"
    " if it.get('job') else {}))"
    " | to_json"
)

# These meters have an enabled entity on each printer. The other meters' are disabled.
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

DAYS = "d"  # the unit that is shown for the calendar's hours
UNITS: Mapping[str, Config] = {
    DAYS: {"dev_cla": "duration", "unit_of_meas": "d"},
    "h": {"dev_cla": "duration", "unit_of_meas": "h"},
    "m": {"dev_cla": "distance", "unit_of_meas": "m"},
    "": {},
}

# The shortest configuration that Home Assistant accepts for an entity of a platform.
LEAST: Mapping[str, Config] = {
    "binary_sensor": {"stat_t": "klipper_upkeep/-"},
    "button": {"cmd_t": "klipper_upkeep/-"},
    "event": {"stat_t": "klipper_upkeep/-", "evt_typ": ["-"]},
    "number": {"cmd_t": "klipper_upkeep/-"},
    "select": {"cmd_t": "klipper_upkeep/-", "ops": ["-"]},
    "sensor": {"stat_t": "klipper_upkeep/-"},
    "switch": {"cmd_t": "klipper_upkeep/-"},
}
