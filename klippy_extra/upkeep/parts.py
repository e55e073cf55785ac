"""Commands for parts: fit, take off, and move to another printer.

No count of a part is lost or counted twice. An export removes the part from this
printer, is for one other printer, and can be imported there only once.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

from ..contract import BAD_ARGUMENT
from ..language import mark, tr
from ..ledger import inventory, records
from ..ledger.records import SHELF, Plan, Record
from ..wording import quantity
from .refused import RefusedError

if TYPE_CHECKING:
    from ..contract import Command
    from ..ledger.ledger import Ledger

CHANGED = "changed"
NO_EXPORT = mark("This is no export of a part.")
LEAST = 0.005  # people see a smaller amount as zero


class Moves(NamedTuple):
    """The changes by a command, beside its own part's record."""

    plans: Mapping[str, Plan] = {}  # the parts' plans with their new counters
    records: Mapping[str, Record] = {}  # the records of parts that were taken off
    fitted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    export: Mapping[str, Any] | None = None


def part_of(book: Ledger, task: str) -> Record:
    """Return the record of a part. RefusedError: the task is no part."""
    if task not in book.inventory.plans:
        raise RefusedError(BAD_ARGUMENT, tr("This is a task and no part."))
    return book.records[task]


def fit(book: Ledger, task: str, command: Command, now: int) -> Any:
    record, plan = part_of(book, task), book.inventory.plans[task]
    if record.export:
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "This part was given to the printer '{printer}'. Export it there and"
                " import it here first.",
                printer=str(record.export.get("to")),
            ),
        )
    place = _place(book, task, command.place or plan.home)
    if record.place == place:
        return record, "", tr("is fitted to {place} already.", place=place)
    if record.place:
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "This part is fitted to {place}. Take it off first: REMOVE_PART"
                " PART={part}.",
                place=record.place,
                part=task,
            ),
        )
    others = [
        other
        for other, each in book.inventory.plans.items()
        if each.kind == plan.kind and book.records[other].place == place
    ]
    fresh_plan = book.inventory.plan(task, place)
    used = book.used(task)
    fresh = inventory.moved(record, fresh_plan, book.readings, used, place)
    moves = Moves(
        plans={task: fresh_plan},
        records={other: _off(book, other) for other in others},
        fitted=(task,),
        removed=tuple(others),
    )
    log = tr("fitted to {place}", place=place)
    if others:
        names = ", ".join(others)
        log = tr(
            "fitted to {place}, in the place of {others}", place=place, others=names
        )
    return fresh, CHANGED, tr("is fitted to {place}.", place=place), log, moves


def _place(book: Ledger, task: str, wanted: str) -> str:
    place = book.inventory.find(wanted)
    if not wanted:
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "Name the place. There are: {places}.",
                places=", ".join(book.inventory.places),
            ),
        )
    if not place:
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "There is no place '{place}'. There are: {places}.",
                place=wanted,
                places=", ".join(book.inventory.places),
            ),
        )
    return place


def _off(book: Ledger, task: str) -> Record:
    """Return the record of a part after it is taken off, with its use."""
    record = book.records[task]
    fresh = record._replace(place=SHELF)
    return records.changed(record, book.plans[task], book.readings, fresh)


def remove(book: Ledger, task: str, command: Command, now: int) -> Any:
    record = part_of(book, task)
    if not record.place:
        return record, "", tr("is on the shelf already.")
    log = tr("taken off {place}", place=record.place)
    text = tr("is taken off {place}, and keeps its counts.", place=record.place)
    return _off(book, task), CHANGED, text, log, Moves(removed=(task,))


def export(book: Ledger, task: str, command: Command, now: int) -> Any:
    record, to = part_of(book, task), command.to or ""
    if record.export:
        given = str(record.export.get("to"))
        if given != to:
            raise RefusedError(
                BAD_ARGUMENT,
                tr(
                    "This part was given to the printer '{printer}' already.",
                    printer=given,
                ),
            )
        # A client that has not received the first answer gets the same one again.
        text = tr("is given to the printer '{printer}'.", printer=given)
        return record, "", text, "", Moves(export=record.export)
    if not to or to == book.inventory.printer:
        raise RefusedError(
            BAD_ARGUMENT,
            tr("Give the slug of the other printer, as its topic has it."),
        )
    document = {
        "id": uuid.uuid4().hex,
        "part": task,
        "kind": book.inventory.plans[task].kind,
        "to": to,
        "used": book.used(task),
        "done_count": record.done_count,
        "last_done": record.last_done,
        "last_by": record.last_by,
    }
    fresh = _off(book, task)._replace(export=document)
    removed = (task,) if record.place else ()
    text = tr("is given to the printer '{printer}'.", printer=to)
    log = tr("given to the printer {printer}", printer=to)
    return fresh, CHANGED, text, log, Moves(removed=removed, export=document)


def take_in(book: Ledger, task: str, command: Command, now: int) -> Any:
    record, document = part_of(book, task), dict(command.part or {})
    number, used = _read(document)
    if number in record.imports:
        raise RefusedError(
            BAD_ARGUMENT, tr("This export was imported already. Nothing is changed.")
        )
    _fits(book, task, document)
    mine = book.used(task)
    if not record.export and (record.done_count or max(mine.values()) >= LEAST):
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "This printer counts for that part itself, and has {used} already."
                " Nothing is imported.",
                used=_amounts(book, task, mine),
            ),
        )
    fresh = book.restart(task, {name: used.get(name, 0.0) for name in mine})
    fresh = fresh._replace(
        held={**fresh.held, **used},
        done_count=int(document.get("done_count") or 0),
        last_done=document.get("last_done"),
        last_by=str(document.get("last_by") or ""),
        imports=(*record.imports, number),
        export={},
    )
    amounts = _amounts(book, task, used)
    text = tr("was imported, with {used}.", used=amounts)
    return fresh, CHANGED, text, tr("imported {used}", used=amounts)


def _fits(book: Ledger, task: str, document: Mapping[str, Any]) -> None:
    if document.get("part") != task:
        raise RefusedError(
            BAD_ARGUMENT,
            tr("This export is of the part '{part}'.", part=str(document.get("part"))),
        )
    if document.get("to") != book.inventory.printer:
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "This export is for the printer '{printer}', and this one is '{here}'.",
                printer=str(document.get("to")),
                here=book.inventory.printer,
            ),
        )


def _read(document: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    number, used = document.get("id"), document.get("used")
    if not isinstance(number, str) or not isinstance(used, dict):
        raise RefusedError(BAD_ARGUMENT, tr(NO_EXPORT))
    optional = [document.get("done_count") or 0, document.get("last_done") or 0]
    if not all(map(_is_amount, [*used.values(), *optional])):
        raise RefusedError(BAD_ARGUMENT, tr(NO_EXPORT))
    return number, {str(name): float(each) for name, each in used.items()}


def _is_amount(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0.0 <= value < 1e12


def _amounts(book: Ledger, task: str, used: Mapping[str, float]) -> str:
    units = {limit.name: limit.unit for limit in book.inventory.plans[task].limits}
    return ", ".join(
        f"{name} {quantity(amount, units.get(name, ''))}"
        for name, amount in used.items()
    )
