"""A task's configuration (`Plan`) and its stored data (`Record`). Pure."""

from __future__ import annotations

from typing import Any, Collection, Dict, Mapping, NamedTuple

from ..contract import OK

CALENDAR = "time"  # the counter of hours, which always grows
SHELF = ""  # the place of a part that is not fitted

Amounts = Dict[str, float]


class Counter(NamedTuple):
    """A meter with a condition and a factor, as canonical texts."""

    meter: str
    condition: str = ""
    factor: str = ""
    place: str = ""  # it counts only while the tool of this place is active

    @property
    def key(self) -> str:
        key = self.meter
        if self.place:
            key += "@" + self.place
        if self.condition:
            key += "?" + self.condition
        if self.factor:
            key += "*" + self.factor
        return key


class Limit(NamedTuple):
    """A counter and a threshold, as configured."""

    name: str  # the contract's `meter`; unique within the task
    counter: Counter
    unit: str
    threshold: float
    warn: float = 10.0
    warn_in_percent: bool = True


class Plan(NamedTuple):
    """The configuration of a task."""

    task: str
    limits: tuple[Limit, ...]
    match: str = "any"
    disabled: bool = False
    kind: str = ""  # the kind of a part; "": it is no part
    home: str = SHELF  # the place of the part at first


class Override(NamedTuple):
    """A value given by command, and the configured one that it replaced."""

    value: float
    configured: float


class Record(NamedTuple):
    """A task's stored data. Fields that are times are UNIX seconds."""

    start: Mapping[
        str, float
    ] = {}  # by limit: the counter's reading when counting began
    counters: Mapping[str, str] = {}  # by limit: the counter that had this reading
    held: Mapping[str, float] = {}  # by limit: the use when the task was disabled
    enabled: bool = True
    configured_disabled: bool = False  # the option `disabled` at the last start
    thresholds: Mapping[str, Override] = {}
    warns: Mapping[str, Override] = {}
    snoozed_until: int | None = None  # the time that people see
    snoozed_to: float | None = None  # the calendar's reading, which decides
    last_done: int | None = None
    last_by: str = ""
    done_count: int = 0
    announced: str = OK  # ok, soon or due: the last status that was reported
    due_since: int | None = None
    reminded: float | None = None  # the calendar's reading at the last reminder
    ran: float | None = None  # the calendar's reading when `expired_gcode` last ran
    imported: bool = False  # whether an earlier extra's counts were imported
    place: str | None = None  # where a part is fitted; None: it is no part
    export: Mapping[str, Any] = {}  # the export of a part that left for another printer
    imports: tuple[str, ...] = ()  # the exports that were imported

    @property
    def counts(self) -> bool:
        """Whether the meters count for this task."""
        return self.enabled and self.place != SHELF

    def document(self) -> dict[str, Any]:
        fields = dict(self._asdict())
        for name in ("thresholds", "warns"):
            fields[name] = {n: list(each) for n, each in fields[name].items()}
        fields["imports"] = list(self.imports)
        if self.place is None:
            for name in ("place", "export", "imports"):
                del fields[name]
        return fields

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Record:
        known = {n: v for n, v in document.items() if n in cls._fields}
        for name in ("thresholds", "warns"):
            known[name] = {n: Override(*v) for n, v in known.get(name, {}).items()}
        known["imports"] = tuple(known.get("imports", ()))
        return cls(**known)


def threshold(record: Record, limit: Limit) -> float:
    override = record.thresholds.get(limit.name)
    return limit.threshold if override is None else override.value


def warn_at(record: Record, limit: Limit) -> float:
    override = record.warns.get(limit.name)
    if override is not None:
        return override.value
    if limit.warn_in_percent:
        return threshold(record, limit) * limit.warn / 100.0
    return limit.warn


def reconciled(plan: Plan, record: Record, old: Amounts, new: Amounts) -> Record:
    """Return the record, adjusted to the present configuration.

    The use stays, even if the limit's condition or factor has changed. A value that was
    set by a command stays until the configured value changes.
    """
    start, held, counters = {}, {}, {}
    for limit in plan.limits:
        name, key = limit.name, limit.counter.key
        before = record.counters.get(name)
        used = 0.0
        if before in old and name in record.start:
            used = max(0.0, old[before] - record.start[name])
        counters[name] = key
        start[name] = new[key] - used
        held[name] = record.held.get(name, used)
    fitted = record._replace(
        start=start,
        held=held,
        counters=counters,
        thresholds={
            limit.name: record.thresholds[limit.name]
            for limit in plan.limits
            if limit.name in record.thresholds
            and record.thresholds[limit.name].configured == limit.threshold
        },
        warns={
            limit.name: record.warns[limit.name]
            for limit in plan.limits
            if limit.name in record.warns
            and record.warns[limit.name].configured == limit.warn
        },
    )
    if plan.disabled == record.configured_disabled:
        return fitted
    switched = switch(fitted, plan, new, enabled=not plan.disabled)
    return switched._replace(configured_disabled=plan.disabled)


def switch(record: Record, plan: Plan, readings: Amounts, enabled: bool) -> Record:
    """Return the record, enabled or disabled. Its use stays."""
    return changed(record, plan, readings, record._replace(enabled=enabled))


def changed(record: Record, plan: Plan, readings: Amounts, fresh: Record) -> Record:
    """Return *fresh* with the use of *record*, whether it still counts or not."""
    if fresh.counts == record.counts:
        return fresh
    if fresh.counts:
        start = {
            limit.name: readings[limit.counter.key] - record.held[limit.name]
            for limit in plan.limits
        }
        return fresh._replace(start=start)
    held = {
        limit.name: max(0.0, readings[limit.counter.key] - record.start[limit.name])
        for limit in plan.limits
    }
    return fresh._replace(held=held)


_ON_THE_CALENDAR = ("snoozed_to", "reminded", "ran")


def joined(
    began: Record,
    mine: Record,
    stored: Record,
    restarted: Collection[str],
    before: Amounts,
    counted: Amounts,
) -> Record:
    """Return *stored* with the changes from *began* to *mine* added.

    The use of the limits in *restarted* is known since then. The readings of *mine*
    began from zero: *counted* are the readings now, and *before* are the readings when
    *stored* was saved.
    """
    changed = {
        name: value
        for name, value in mine._asdict().items()
        if value != getattr(began, name)
    }
    changed["done_count"] = stored.done_count + mine.done_count
    if restarted:
        # A task that was done or skipped is not snoozed any more.
        changed.update(snoozed_to=mine.snoozed_to, snoozed_until=mine.snoozed_until)
    for name in _ON_THE_CALENDAR:
        if changed.get(name) is not None:
            changed[name] += before[CALENDAR]
    start, held = dict(stored.start), dict(stored.held)
    for name, key in mine.counters.items():
        now = before.get(key, 0.0) + counted[key]
        if name in restarted:
            used = max(0.0, counted[key] - mine.start[name])
            held[name] = used if mine.counts else mine.held[name]
            start[name] = now - held[name]
        elif mine.counts and not began.counts:
            since = counted[key] - mine.start[name]
            start[name] = now - since - stored.held[name]
        elif began.counts and not mine.counts and stored.counts:
            used = max(0.0, before.get(key, 0.0) - stored.start[name])
            held[name] = used + mine.held[name]
    return stored._replace(**{**changed, "start": start, "held": held})


def counters_of(
    records: Mapping[str, Mapping[str, Any]], plans: Collection[str]
) -> set[str]:
    """Return the counters of tasks that are not configured now, but may return."""
    away = [record for task, record in records.items() if task not in plans]
    return {key for each in away for key in each.get("counters", {}).values()}


def sum_of_rates(
    before: Mapping[str, tuple[float, float]], since: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    rates = dict(before)
    for key, (used, hours) in since.items():
        used_before, hours_before = rates.get(key, (0.0, 0.0))
        rates[key] = (used_before + used, hours_before + hours)
    return rates
