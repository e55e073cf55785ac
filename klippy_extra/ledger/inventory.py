"""The places of parts that are fitted and taken off, and their counters there. Pure.

A part is a task that counts while it is fitted. Its record has its place, and its plan
has the counters of that place: the filament of that extruder, the hours of that tool.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, Iterator, Mapping, NamedTuple

from .records import CALENDAR, SHELF, Amounts, Counter, Plan, Record

# These hours count for all fitted parts, whichever tool is in use.
_PASSING = (CALENDAR, "power_on")
_MACHINE = re.compile(r"(?:extruder\d*|(?:tool|gate|lane) ?\d+|T\d+)\Z")


class Place(NamedTuple):
    """A place where parts are fitted."""

    name: str
    meters: Mapping[str, str] = {}  # for each meter, the place's own meter
    takes_turns: bool = False  # whether its parts wear only while their tool is in use


class Inventory(NamedTuple):
    """All configured parts, and the places of this printer."""

    plans: Mapping[str, Plan] = {}
    places: Mapping[str, Place] = {}
    printer: str = ""  # this printer's slug

    def of(self, place: str) -> Place:
        return self.places.get(place) or Place(place)

    def find(self, name: str) -> str:
        """Return the place with this name in any case, or ""."""
        wanted = " ".join(name.lower().split())
        return next((each for each in self.places if each.lower() == wanted), "")

    def plan(self, task: str, place: str) -> Plan:
        """Return the part's plan with the counters of *place*."""
        return placed(self.plans[task], self.of(place))

    def choices(self, task: str) -> tuple[str, ...]:
        """Return the places that people may choose for a part, by its kind."""
        kind = self.plans[task].kind
        homes = {plan.home for plan in self.plans.values() if plan.kind == kind}
        of_tools = any(self.of(home).takes_turns for home in homes)
        return tuple(
            name
            for name, place in self.places.items()
            if name in homes or (of_tools and place.takes_turns)
        )

    def missing(self, task: str) -> str:
        """Return the part's own place if this printer has no such place, or ""."""
        home = self.plans[task].home
        return home if home and home not in self.places else ""


def make(
    plans: Iterable[Plan], places: Iterable[Place], printer: str = ""
) -> Inventory:
    """Return a printer's inventory. A section can also define a place."""
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
    """Return the plans with the counters of the parts' places, and their records.

    A new part is at its own place, if that is free. A part whose place does not exist
    any more goes to the shelf with its counts.
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
        # Parts that do not count any more are taken off when their use is known.
        at_place.append(
            inventory.plan(plan.task, place or record.get("place") or SHELF)
        )
    return at_place, kept


def working(
    plans: Mapping[str, Plan], records: Mapping[str, Record]
) -> tuple[str, ...]:
    """Return all tasks, and the parts that are not on the shelf."""
    shelved = {task for task, record in records.items() if record.place == SHELF}
    return tuple(task for task in plans if task not in shelved)


def derived(plans: Iterable[Plan]) -> dict[str, list[Counter]]:
    """Return the counters with a condition, a factor or a place, by their meters."""
    counters = {
        limit.counter.key: limit.counter for plan in plans for limit in plan.limits
    }
    by_meter: dict[str, list[Counter]] = {}
    for key, counter in counters.items():
        if key != counter.meter:
            by_meter.setdefault(counter.meter, []).append(counter)
    return by_meter


def gone(inventory: Inventory, records: Mapping[str, Record]) -> Iterator[str]:
    """Yield the parts whose place does not exist, or has another part."""
    taken = set()
    for task, plan in inventory.plans.items():
        place = records[task].place
        if place and (place not in inventory.places or (plan.kind, place) in taken):
            yield task
        taken.add((plan.kind, place))


def moved(
    record: Record, plan: Plan, readings: Amounts, used: Amounts, place: str
) -> Record:
    """Return the record for *place*, with the counters of *plan* and the use *used*."""
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
