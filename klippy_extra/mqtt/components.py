"""Makes the entities of a printer from the tables in `entities`. Pure.

The unique id of a component is made from its key. Neither the key nor the platform of a
component ever changes.
"""

from __future__ import annotations

import json
import re
import unicodedata
from types import MappingProxyType
from typing import Any, Iterator, Mapping, NamedTuple, Sequence, Tuple

from ..contract import Info, Limit, Meter, State, Topic, slug
from ..entity_names import behind_label, meter_name
from ..language import ENGLISH, Catalogue, current
from ..ledger.precision import CALENDAR, places
from .entities import (
    ANY_UNIT,
    ANYTHING,
    CONNECTED,
    CONTROLS,
    DAYS,
    DIAGNOSTIC,
    DUE_NOW,
    DUE_NOW_ATTRIBUTES,
    DUE_NOW_TEMPLATE,
    EVENT,
    FIRST,
    HIDDEN,
    LEARN,
    LISTED,
    METER_ICONS,
    NOTHING_DUE,
    OTHERS_DUE,
    PLACE,
    PRINTER,
    REMAINING,
    SHELF,
    STATUS_WORDS,
    SUMMARY_ATTRIBUTES,
    TASK,
    TASK_ATTRIBUTES,
    THRESHOLD,
    UNITS,
    USED,
    WANTED_METERS,
    Config,
    Entity,
    order,
)

# A cleared topic sends an empty message, which is no JSON.
IT = "(value_json|default({}))"
SHOWN_WHOLE = 100.0  # from this threshold on, amounts are shown without decimals

# Letters that are no letter with an accent, as Home Assistant writes them in entity
# ids.
_LETTERS = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "\u0131": "i",
        "ħ": "h",
        "ŧ": "t",
        "ŋ": "ng",
    }
)

LONGEST = 100  # the most letters of a label in an entity's name

Component = Tuple[str, Config]  # a component's key, and its configuration
_NONE: Mapping[str, str] = MappingProxyType({})


class Names(NamedTuple):
    """Names of a printer and its tasks that the contract does not have.

    ``labels`` are short labels, and ``sections`` are the names in the configuration,
    both by the task's slug. ``learns`` tells whether the printer suggests thresholds.
    """

    printer: str = ""  # the printer's short name
    labels: Mapping[str, str] = _NONE
    sections: Mapping[str, str] = _NONE
    learns: bool = False


def object_id(text: str, otherwise: str = "") -> str:
    """Return *text* as a part of an entity id, as Home Assistant itself makes it.

    *otherwise* is returned if *text* has letters of another script.
    """
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    if otherwise and any(c.isalnum() and not c.isascii() for c in kept):
        return object_id(otherwise)
    return re.sub("[^a-z0-9]+", "_", kept).strip("_")


def components(
    info: Info, states: Sequence[State], printer: str, base: str, names: Names
) -> Iterator[Component]:
    def about(kind: str, task: str | None = None) -> str:
        return Topic(printer, kind, task).format(base)

    online = about("availability")
    own = object_id(info.name, printer)
    everything = _Subject(
        info.uuid, "", own, "", about("summary"), "", online, current.catalogue
    )
    yield _due_now(everything)
    for row in PRINTER:
        attributes = _attributes(everything, SUMMARY_ATTRIBUTES)
        yield everything.make(row, **(attributes if row.field == ANYTHING else {}))
    yield everything.make(CONNECTED, stat_t=online)
    for state in states:
        section = names.sections.get(state.task, state.task)
        task = everything._replace(
            key=f"task.{state.task}.",
            id=f"{own}_{object_id(section, state.task)}",
            name=(names.labels.get(state.task) or state.label)[:LONGEST],
            reads=about("task", state.task),
            commands=about("command", state.task) if info.commands else "",
        )
        yield from _task(task, state, info.meters)
        if names.learns and task.commands:
            yield task.make(LEARN)
        events = task._replace(reads=about("events"))
        yield events.make(EVENT._replace(value=EVENT.value % state.task))
        yield from _limits(task, state, info.meters)
    meters = everything._replace(key="meter.", reads=about("meters"))
    for name, meter in info.meters.items():
        yield _meter(meters, name, meter)


class _Subject(NamedTuple):
    """The subject of a group of entities: a printer, a task, or a limit of it."""

    uuid: str
    key: str
    id: str  # the beginning of its entity ids
    name: str  # the beginning of its entities' names
    reads: str  # the topic of its values
    commands: str  # the topic of its commands
    online: str  # the topic of its availability
    language: Catalogue
    it: str = IT  # the template's expression for the object that is read

    def template(self, expression: str) -> str:
        return "{% set it=" + self.it + " %}{{ " + expression + " }}"

    def make(self, row: Entity, **more: Any) -> Component:
        key = self.key + row.field
        config = dict(self._registration(row, key), **row.config)
        if row.icon:
            config["ic"] = row.icon
        if row.value:
            config.update(stat_t=self.reads, val_tpl=self.template(row.value))
        if row.platform in ("button", "switch", "number", "select"):
            # Values stay valid while the printer is off, but a command would be lost.
            config.update(cmd_t=self.commands, avty=[{"t": self.online}])
        return key, dict(config, **more)

    def _registration(self, row: Entity, key: str) -> Config:
        # An entity id has no hyphen, and no two underscores in a row.
        wish = object_id(f"{self.id}_{row.field}")
        name = self.language.tr(row.name)
        return {
            "p": row.platform,
            "uniq_id": f"{self.uuid}_{key}",
            "name": f"{self.name} {name}".strip(),
            "qos": 1,
            # 2025.4 reads the first of these and 2026.11 the second.
            "obj_id": wish,
            "def_ent_id": f"{row.platform}.{wish}",
        }


def _due_now(printer: _Subject) -> Component:
    """Return the sensor that tells what is due, in words of the printer's language."""

    def word(text: str) -> str:
        return json.dumps(printer.language.tr(text), ensure_ascii=False)

    template = DUE_NOW_TEMPLATE % {
        "it": IT,
        "listed": LISTED,
        "nothing": word(NOTHING_DUE),
        "others": word(OTHERS_DUE),
    }
    return printer._replace(name=FIRST).make(
        DUE_NOW,
        stat_t=printer.reads,
        val_tpl=template,
        **_attributes(printer, DUE_NOW_ATTRIBUTES),
    )


def _task(
    task: _Subject, state: State, meters: Mapping[str, Meter]
) -> Iterator[Component]:
    topic = json.dumps(task.commands) if task.commands else "none"
    for row in TASK:
        attributes = TASK_ATTRIBUTES.get(row.field)
        more = _attributes(task, attributes % topic) if attributes else {}
        if row.field == "status":
            more.update(_status(task))
        yield task.make(row, **more)
    yield from _amounts(task, state.limits)
    for row in CONTROLS if task.commands else ():
        yield task.make(row)
    if state.kind and task.commands:
        yield _place(task, state)


def _place(part: _Subject, state: State) -> Component:
    """Return the select for a part's place: one of its places, or the shelf."""
    shelf = part.language.tr(SHELF)
    word = json.dumps(shelf, ensure_ascii=False)
    fit = order("fit", place="$").replace('"$"', "{{ value | to_json }}")
    template = (
        f"{{% if value == {word} %}}{order('remove')}{{% else %}}{fit}{{% endif %}}"
    )
    return part.make(
        PLACE._replace(value=f"it.get('place') or {word}"),
        ops=[shelf, *state.places],
        cmd_tpl=template,
    )


def _status(task: _Subject) -> Config:
    """Return the configuration of the status sensor.

    Home Assistant cannot translate the state of an MQTT sensor. So the state is in the
    printer's language, and the attribute ``status`` has the contract's word.
    """
    words = {each: task.language.tr(text) for each, text in STATUS_WORDS.items()}
    config: Config = {"ops": list(words.values())}
    if task.language.code != ENGLISH:
        table = json.dumps(words, ensure_ascii=False)
        config["val_tpl"] = task.template(f"{table}.get(it.get('status'))")
    return config


def _amounts(task: _Subject, limits: Sequence[Limit]) -> Iterator[Component]:
    """Yield the deciding limit's amounts. They are numbers if all units are equal."""
    units = {_unit(limit.meter, limit.unit) for limit in limits}
    if len(units) > 1:
        yield task.make(REMAINING._replace(value=ANY_UNIT))
        return
    least = min(limits, key=lambda limit: limit.threshold)
    yield _amount(task, REMAINING, least)
    yield _amount(task, USED, least)
    if task.commands and len(limits) == 1:
        yield _threshold(task, "value | float", *limits)


def _limits(
    task: _Subject, state: State, meters: Mapping[str, Meter]
) -> Iterator[Component]:
    """Yield the amounts of each limit, if there are several. They are disabled."""
    for limit in state.limits if len(state.limits) > 1 else ():
        one = _limit(task, limit.meter, _label(limit.meter, meters, task.language))
        yield _amount(one, REMAINING, limit, **DIAGNOSTIC, **HIDDEN)
        yield _amount(one, USED, limit)
        if task.commands:
            meter = json.dumps(limit.meter, ensure_ascii=False)
            yield _threshold(one, f"{{{meter}: value | float}}", limit)


def _limit(task: _Subject, meter: str, label: str) -> _Subject:
    name = slug(meter)  # of a meter that is counted twice it has the condition in it
    return task._replace(
        key=f"{task.key}{name}.",
        id=f"{task.id}_{name}",
        name=f"{task.name} {behind_label(label, task.language)}",
        it=f"({IT}.get('limits') or [])|selectattr('meter','eq',"
        f"{json.dumps(meter)})|first|default({{}},true)",
    )


def _unit(meter: str, unit: str) -> str:
    return DAYS if meter == CALENDAR else unit


def _read(field: str, unit: str) -> str:
    """Return the template's expression for an amount in *unit*."""
    if unit != DAYS:
        return f"it.get('{field}')"
    given = f"it.get('{field}')"
    return f"none if {given} is none else ({given} / 24) | round(2)"


def _threshold(subject: _Subject, amount: str, limit: Limit) -> Component:
    """Return the number for a threshold. *amount* is an expression for `set`."""
    unit = _unit(limit.meter, limit.unit)
    if unit == DAYS:
        amount = amount.replace("| float", "| float * 24")
    # The bounds allow all thresholds, since one out of bounds is logged as an error.
    return subject.make(
        THRESHOLD._replace(value=_read("threshold", unit)),
        min=0,
        step=0.01 if unit else 1,
        cmd_tpl=order("set", threshold="$").replace(
            '"$"', "{{ (" + amount + ") | to_json }}"
        ),
        **UNITS.get(unit, {"unit_of_meas": unit}),
    )


def _amount(subject: _Subject, row: Entity, limit: Limit, **more: Any) -> Component:
    unit = _unit(limit.meter, limit.unit)
    # Home Assistant shows a tenth of an hour as minutes: "8,999h, 53m".
    is_long = limit.threshold >= SHOWN_WHOLE
    decimals = 0 if is_long else places(limit.threshold, limit.unit, limit.meter)
    return subject.make(
        row._replace(value=_read(row.field, unit)),
        **dict(_measured(unit, decimals), **more),
    )


def _measured(unit: str, decimals: int) -> Config:
    config: Config = dict(UNITS.get(unit, {"unit_of_meas": unit}))
    config["sug_dsp_prc"] = max(0, min(decimals, 1))
    if not unit:
        config["stat_cla"] = "measurement"
    return config


def _attributes(subject: _Subject, expression: str) -> Config:
    template = subject.template(expression)
    return {"json_attr_t": subject.reads, "json_attr_tpl": template}


def _meter(meters: _Subject, name: str, meter: Meter) -> Component:
    icon = next(icon for start, icon in METER_ICONS if name.startswith(start))
    value = f"(it.get('meters') or {{}}).get('{name}')"
    label = _label(name, {name: meter}, meters.language)
    row = Entity(name, "sensor", label, icon, value, DIAGNOSTIC)
    # This is not `total_increasing`: after a correction or a restored backup, the whole
    # reading would be added to the statistics' sum a second time.
    more = {"en": name in WANTED_METERS, "stat_cla": "total"}
    decimals = places(1000.0, meter.unit, name)
    return meters.make(row, **dict(_measured(meter.unit, decimals), **more))


def _label(meter: str, meters: Mapping[str, Meter], language: Catalogue) -> str:
    """Return a meter's label, or its name as words if it has no label."""
    label = meters[meter].label if meter in meters else ""
    if not label:
        return meter.replace("_", " ").replace("-", " ").capitalize()
    return meter_name(label, language)
