"""What Home Assistant is told of a printer: one retained device message. Pure.

Both supported versions (2025.4 and 2026.11) take every key that is used here
and in the tables without a word in their logs. Identity is the printer's uuid and
the task's slug, never a name that people may change.
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, Mapping, NamedTuple, Sequence, Tuple
from urllib.parse import urlsplit

from .contract import BASE, Info, Meter, State, Topic, slug
from .entities import (
    AMOUNTS,
    CONTROLS,
    DIAGNOSTIC,
    EVENT,
    LEAST,
    METER_ICONS,
    PRINTER,
    PROBLEM,
    SUMMARY_ATTRIBUTES,
    TASK,
    TASK_ATTRIBUTES,
    THRESHOLD,
    TOLD,
    TRIGGERS,
    UNITS,
    WANTED_METERS,
    Config,
    Entity,
    order,
)

PREFIX = "homeassistant"

# A topic that is cleared is an empty message, which is no JSON.
IT = "(value_json|default({}))"

REMEMBERED = 2000  # components that are gone

Component = Tuple[str, Config]  # a component's key, and what it is


def device(
    info: Info,
    states: Sequence[State],
    printer: str,
    *,
    base: str = BASE,
    prefix: str = PREFIX,
    before: Mapping[str, str] | None = None,
    revive: bool = False,
) -> tuple[str, bytes]:
    """Return topic and payload of *printer*'s device message.

    *before* is what ``components`` told of earlier messages. What has gone since
    is named with its platform alone, which removes it, in a Home Assistant that
    runs. One that was off keeps such entities as orphans: after its birth send
    the message once with *revive*, which makes them again, and then without.
    """
    found = dict(_components(info, states, printer, base))
    gone = {
        key: _least(info.uuid, key, platform, revive)
        for key, platform in (before or {}).items()
        if key not in found
    }
    message = {
        "dev": _device(info),
        "o": _known({"name": info.software, "sw": info.version}),
        "avty": [{"t": Topic(printer, "availability").format(base)}],
        "cmps": dict(found, **gone),
    }
    payload = json.dumps(message, allow_nan=False, ensure_ascii=False)
    return topic(info.uuid, prefix), payload.encode()


def topic(uuid: str, prefix: str = PREFIX) -> str:
    """Where the device message of the printer with that uuid is retained."""
    return f"{prefix}/device/klipper_upkeep_{uuid}/config"


def components(payload: bytes) -> dict[str, str]:
    """Return the platform of each component that *payload* makes, by key."""
    found = json.loads(payload)["cmps"].items()
    return {key: each["p"] for key, each in found if len(each) > 1}


def remembered(
    before: Mapping[str, str], components: Mapping[str, str]
) -> dict[str, str]:
    """Return what the next message is to know: what is gone, then what there is.

    A Home Assistant that is off may hear of it much later. So all stays, but for
    the oldest where there are too many: each message names them.
    """
    gone = [each for each in before.items() if each[0] not in components]
    return dict(gone[-REMEMBERED:], **components)


def _device(info: Info) -> Config:
    return _known(
        {
            "ids": [f"klipper_upkeep_{info.uuid}"],
            "name": info.name,
            "mdl": info.model or "3D printer",
            "sw": info.klipper_version and f"Klipper {info.klipper_version}",
            "cu": info.url if _is_web_page(info.url) else "",
        }
    )


def _known(fields: Config) -> Config:
    return {name: value for name, value in fields.items() if value}


def _is_web_page(url: str) -> bool:
    """Home Assistant refuses the whole message over any other link."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _least(uuid: str, key: str, platform: str, revive: bool) -> Config:
    """What removes a component, or first makes it again where that can be."""
    if not revive or platform not in LEAST:
        return {"p": platform}
    return dict(LEAST[platform], p=platform, uniq_id=f"{uuid}_{key}")


class _Subject(NamedTuple):
    """What a group of entities is about: a printer, a task, or a limit of it."""

    uuid: str
    key: str
    id: str  # what its entity ids begin with
    name: str  # what its entities' names begin with
    reads: str  # a topic
    commands: str  # a topic
    it: str = IT  # the expression for the object that is read

    def template(self, expression: str) -> str:
        return "{{ " + re.sub(r"\bit\b", lambda _: self.it, expression) + " }}"

    def make(self, row: Entity, **more: Any) -> Component:
        key = self.key + row.field
        config = dict(self._registration(row, key), **row.config)
        if row.icon:
            config["ic"] = row.icon
        if row.value:
            config.update(stat_t=self.reads, val_tpl=self.template(row.value))
        if row.platform in ("button", "switch", "number"):
            config["cmd_t"] = self.commands
        return key, dict(config, **more)

    def _registration(self, row: Entity, key: str) -> Config:
        # An entity id knows no hyphen, and no two underscores in a row.
        wish = re.sub("[^a-z0-9]+", "_", f"{self.id}_{row.field}").strip("_")
        return {
            "p": row.platform,
            "uniq_id": f"{self.uuid}_{key}",
            "name": f"{self.name} {row.name}".strip(),
            "qos": 1,
            # 2025.4 reads the first of these and 2026.11 the second.
            "obj_id": wish,
            "def_ent_id": f"{row.platform}.{wish}",
        }


def _components(
    info: Info, states: Sequence[State], printer: str, base: str
) -> Iterator[Component]:
    def about(kind: str, task: str | None = None) -> str:
        return Topic(printer, kind, task).format(base)

    everything = _Subject(info.uuid, "", printer, "", about("summary"), "")
    for row in PRINTER:
        attributes = _attributes(everything, SUMMARY_ATTRIBUTES)
        yield everything.make(row, **(attributes if row.config is PROBLEM else {}))
    for state in states:
        task = _Subject(
            info.uuid,
            f"task.{state.task}.",
            f"{printer}_{state.task}",
            state.label,
            about("task", state.task),
            about("command", state.task) if info.commands else "",
        )
        yield from _task(task, state, info.meters)
        yield from _events(task._replace(reads=about("events")), state.task)
    meters = everything._replace(key="meter.", reads=about("meters"))
    counted = {limit.meter for state in states for limit in state.limits} - {"time"}
    for name, meter in info.meters.items():
        yield _meter(meters, name, meter, name in WANTED_METERS | counted)


def _task(
    task: _Subject, state: State, meters: Mapping[str, Meter]
) -> Iterator[Component]:
    topic = json.dumps(task.commands) if task.commands else "none"
    attributes = _attributes(task, TASK_ATTRIBUTES % topic)
    for row in TASK:
        yield task.make(row, **(attributes if row.field in TOLD else {}))
    if task.commands:
        for row in CONTROLS:
            yield task.make(row)
    yield from _limits(task, state, meters)


def _limits(
    task: _Subject, state: State, meters: Mapping[str, Meter]
) -> Iterator[Component]:
    """Amounts of the task where its limits share a unit, and of each limit where
    there are several."""
    several = len(state.limits) > 1
    units = {limit.unit for limit in state.limits}
    if len(units) == 1:
        for row in AMOUNTS:
            yield _amount(task, row, state.trigger, *units)
    minor = DIAGNOSTIC if len(units) == 1 else {}
    for limit in state.limits if several else ():
        one = _limit(task, limit.meter, _label(limit.meter, meters))
        for row in AMOUNTS:
            yield _amount(one, row, limit.meter, limit.unit, **minor)
        if task.commands:
            amount = "{" + json.dumps(limit.meter) + ": {{ value }}}"
            yield _threshold(one, amount, limit.unit)
    if task.commands and not several:
        yield _threshold(task, "{{ value }}", *units)


def _limit(task: _Subject, meter: str, label: str) -> _Subject:
    name = slug(meter)  # of a meter that is counted twice it has the condition in it
    return task._replace(
        key=f"{task.key}{name}.",
        id=f"{task.id}_{name}",
        name=f"{task.name} {label[:1].lower()}{label[1:]}",
        it=f"(({IT}.get('limits') or []) | selectattr('meter', 'eq',"
        f" {json.dumps(meter)}) | first | default({{}}, true))",
    )


def _threshold(subject: _Subject, amount: str, unit: str) -> Component:
    """*amount* is the template of what `set` is given."""
    # The state may be any threshold: one out of bounds would be logged as an error.
    return subject.make(
        THRESHOLD,
        min=0,
        step=0.01 if unit else 1,
        cmd_tpl=order("set", threshold="$").replace('"$"', amount),
        **UNITS.get(unit, {"unit_of_meas": unit}),
    )


def _amount(
    subject: _Subject, row: Entity, meter: str, unit: str, **more: Any
) -> Component:
    # Nobody wants to read 158,126.8 m.
    precision = 1 if unit and not meter.startswith("travel") else 0
    config: Config = dict(UNITS.get(unit, {"unit_of_meas": unit}))
    config["sug_dsp_prc"] = precision
    if not unit:
        config["stat_cla"] = "measurement"
    return subject.make(row, **dict(config, **more))


def _attributes(subject: _Subject, expression: str) -> Config:
    template = subject.template(expression)
    return {"json_attr_t": subject.reads, "json_attr_tpl": template}


def _events(events: _Subject, task: str) -> Iterator[Component]:
    yield events.make(EVENT._replace(value=EVENT.value % task))
    told = "it.get('task') ~ ' ' ~ it.get('event')"
    for event, words in TRIGGERS:
        yield (
            f"{events.key}trigger.{event}",
            {
                "p": "device_automation",
                "atype": "trigger",
                "type": words,
                "stype": task,
                "t": events.reads,
                "qos": 1,
                "val_tpl": events.template(told),
                "pl": f"{task} {event}",
            },
        )


def _meter(meters: _Subject, name: str, meter: Meter, wanted: bool) -> Component:
    icon = next(icon for start, icon in METER_ICONS if name.startswith(start))
    value = f"(it.get('meters') or {{}}).get('{name}')"
    row = Entity(name, "sensor", _label(name, {name: meter}), icon, value, DIAGNOSTIC)
    more = {"en": wanted, "stat_cla": "total_increasing"}
    return _amount(meters, row, name, meter.unit, **more)


def _label(meter: str, meters: Mapping[str, Meter]) -> str:
    """A meter's label, or where it has none its name as words."""
    label = meters[meter].label if meter in meters else ""
    return label or meter.replace("_", " ").replace("-", " ").capitalize()
