"""Parts that are fitted and taken off: each one's place and its counters there. Pure.

A part is a task that counts while it is fitted. Its record has its place, and its plan
counts what that place wears: the filament of its own extruder, the hours of its tool.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, Iterator, Mapping, NamedTuple

from .records import CALENDAR, SHELF, Amounts, Counter, Plan, Record

# Hours that pass for every part that is fitted, whichever tool is at work.
_PASSING = (CALENDAR, "power_on")
_MACHINE = re.compile(r"(?:extruder\d*|(?:tool|gate|lane) ?\d+|T\d+)\Z")


class Place(NamedTuple):
    """A place where parts are fitted."""

    name: str
    meters: Mapping[str, str] = {}  # by meter: this place's own one
    takes_turns: bool = False  # its parts wear only while their tool is in use


class Inventory(NamedTuple):
    """All parts as configured, and the places of this printer."""

    plans: Mapping[str, Plan] = {}
    places: Mapping[str, Place] = {}
    printer: str = ""  # this one's slug

    def of(self, place: str) -> Place:
        return self.places.get(place) or Place(place)

    def find(self, name: str) -> str:
        """The place of that name, in whichever case it is written; or ""."""
        wanted = " ".join(name.lower().split())
        return next((each for each in self.places if each.lower() == wanted), "")

    def plan(self, task: str, place: str) -> Plan:
        """The part's plan, with the counters of *place*."""
        return placed(self.plans[task], self.of(place))

    def choices(self, task: str) -> tuple[str, ...]:
        """The places that people may choose for a part: where its kind belongs."""
        kind = self.plans[task].kind
        homes = {plan.home for plan in self.plans.values() if plan.kind == kind}
        of_tools = any(self.of(home).takes_turns for home in homes)
        return tuple(
            name
            for name, place in self.places.items()
            if name in homes or (of_tools and place.takes_turns)
        )

    def missing(self, task: str) -> str:
        """The part's own place, where this printer has no such place; or ""."""
        home = self.plans[task].home
        return home if home and home not in self.places else ""


def make(
    plans: Iterable[Plan], places: Iterable[Place], printer: str = ""
) -> Inventory:
    """The inventory of a printer: a place exists also where a section says so."""
    parts = {plan.task: plan for plan in plans if plan.kind}
    known = {place.name: place for place in places}
    for plan in parts.values():
        if plan.home and not _MACHINE.match(plan.home):
            known.setdefault(plan.home, Place(plan.home))
    return Inventory(parts, known if parts else {}, printer)


def placed(plan: Plan, place: Place) -> Plan:
    """Return *plan* with the counters of *place*."""
    limits = []
    for limit in plan.limits:
        counter = limit.counter
        if counter.meter in place.meters:
            counter = counter._replace(meter=place.meters[counter.meter])
        elif place.takes_turns and counter.meter not in _PASSING:
            counter = counter._replace(place=place.name)
        limits.append(limit._replace(counter=counter))
    return plan._replace(limits=tuple(limits))


def restored(
    inventory: Inventory, plans: Iterable[Plan], records: Mapping[str, Any]
) -> tuple[list[Plan], dict[str, Any]]:
    """The plans with the counters of where each part is, and the records with that.

    A part that was never seen is at its own place, if that is free. One whose place
    is gone goes to the shelf with what it has.
    """
    at_place, kept, taken = [], dict(records), set()
    for plan in plans:
        if not plan.kind:
            at_place.append(plan)
            continue
        record = dict(kept.get(plan.task) or {})
        place = record.get("place")
        is_new = place is None
        if is_new:
            place = plan.home
        if place not in inventory.places or (plan.kind, place) in taken:
            place = SHELF
        if place:
            taken.add((plan.kind, place))
        if is_new:
            record["place"] = place
            kept[plan.task] = record
        # Parts that do not count any more are taken off once their use is known.
        at_place.append(
            inventory.plan(plan.task, place or record.get("place") or SHELF)
        )
    return at_place, kept


def working(
    plans: Mapping[str, Plan], records: Mapping[str, Record]
) -> tuple[str, ...]:
    """All tasks, and of the parts those that are not on the shelf."""
    shelved = {task for task, record in records.items() if record.place == SHELF}
    return tuple(task for task in plans if task not in shelved)


def derived(plans: Iterable[Plan]) -> dict[str, list[Counter]]:
    """The counters that are more than a meter, by their meters."""
    counters = {
        limit.counter.key: limit.counter for plan in plans for limit in plan.limits
    }
    by_meter: dict[str, list[Counter]] = {}
    for key, counter in counters.items():
        if key != counter.meter:
            by_meter.setdefault(counter.meter, []).append(counter)
    return by_meter


def gone(inventory: Inventory, records: Mapping[str, Record]) -> Iterator[str]:
    """The parts that are fitted where nothing can be, or where another part is."""
    taken = set()
    for task, plan in inventory.plans.items():
        place = records[task].place
        if place and (place not in inventory.places or (plan.kind, place) in taken):
            yield task
        taken.add((plan.kind, place))


def moved(
    record: Record, plan: Plan, readings: Amounts, used: Amounts, place: str
) -> Record:
    """Return the record at *place*, where *plan* counts, with *used* as it was."""
    start = {
        limit.name: readings.get(limit.counter.key, 0.0) - used[limit.name]
        for limit in plan.limits
    }
    counters = {limit.name: limit.counter.key for limit in plan.limits}
    return record._replace(
        place=place,
        start=start,
        held={**record.held, **used} if record.enabled else record.held,
        counters=counters,
    )
