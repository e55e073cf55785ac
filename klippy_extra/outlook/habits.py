"""Learns from a task's log when it is really done, and suggests a threshold. Pure."""

from __future__ import annotations

import math
import statistics
from typing import Mapping, NamedTuple, Sequence

from .. import wording
from ..contract import BROKEN, GOOD, Entry, Habit, Suggestion
from ..language import mark, tr
from ..ledger.records import Plan, Record, threshold

KEPT = 10  # completions from which a habit is computed
LAST = 3  # completions that must agree, or must all be good
AGREE = 0.1  # the share of their median by which the last completions may differ
WORTH = 0.1  # the share of the threshold by which a suggestion must differ
MISTAKE = 0.01  # the share of the threshold below which "done" was pressed twice
LONGER, SHORTER = 1.2, 0.8  # the factor after good parts, and after a broken part


class Completion(NamedTuple):
    """The use of each limit between two completions, and the part's condition."""

    used: Mapping[str, float]
    condition: str


def completions(
    entries: Sequence[Entry], least: Mapping[str, float]
) -> list[Completion]:
    """Return the use between completions. They and *entries* have the newest first.

    The use until a skip is added to the next completion, and so is a use of less than
    *least*. The use before the first completion is not known.
    """
    made: list[Completion] = []
    carried: dict[str, float] | None = None  # None: there is no completion yet
    for entry in reversed(entries):
        if entry.event not in ("done", "skipped"):
            continue
        if carried is None:
            carried = {} if entry.event == "done" else None
            continue
        for meter, amount in entry.used.items():
            carried[meter] = carried.get(meter, 0.0) + amount
        is_little = all(used <= least.get(name, 0.0) for name, used in carried.items())
        if entry.event == "done" and not is_little:
            made.append(Completion(carried, entry.condition))
            carried = {}
    return made[: -KEPT - 1 : -1]


def learnt(
    plan: Plan, record: Record, entries: Sequence[Entry]
) -> tuple[Habit | None, Suggestion | None]:
    """Return the habit of a task, and a better threshold if that is clear."""
    limits = {
        limit.name: (threshold(record, limit), limit.unit) for limit in plan.limits
    }
    least = {name: MISTAKE * most for name, (most, _) in limits.items()}
    done = completions(entries, least)
    habits = [
        habit(name, most, done) for name, (most, _) in limits.items() if most > 0.0
    ]
    known = [each for each in habits if each is not None]
    if not known:
        return None, None
    # This limit makes the task due: the fullest one, or the emptiest if all must be
    # reached.
    decide = max if plan.match == "any" else min
    decisive = decide(known, key=lambda each: each.late)
    most, unit = limits[decisive.meter]
    return decisive, suggestion(decisive, most, unit, done)


def habit(name: str, most: float, done: Sequence[Completion]) -> Habit | None:
    """Return how much of one limit is usually used when the task is done."""
    uses = [each.used[name] for each in done if name in each.used]
    if not uses:
        return None
    usual = statistics.median(uses)
    last = uses[:LAST]
    middle = statistics.median(last)
    agree = len(last) == LAST and all(
        abs(each - middle) <= AGREE * middle for each in last
    )
    return Habit(
        meter=name,
        times=len(uses),
        shortest=round(min(uses), 4),
        median=round(usual, 4),
        longest=round(max(uses), 4),
        late=round(usual / most - 1.0, 3),
        agree=agree,
    )


def suggestion(
    habit: Habit, most: float, unit: str, done: Sequence[Completion]
) -> Suggestion | None:
    """Return a better threshold than *most*, and the reason."""
    uses = [each.used[habit.meter] for each in done if habit.meter in each.used]
    conditions = [each.condition for each in done[:LAST]]
    before = wording.quantity(most, unit)

    def made(value: float, why: str, text: str, **fields: str) -> Suggestion | None:
        value = rounded(value, unit)
        if abs(value - most) < WORTH * most:
            return None
        amount = wording.quantity(value, unit)
        sentence = tr(text, amount=amount, threshold=before, **fields)
        return Suggestion(habit.meter, value, unit, why, sentence)

    if conditions[0] == BROKEN and SHORTER * uses[0] < most:
        used = wording.quantity(rounded(uses[0], unit), unit)
        return made(SHORTER * uses[0], "broken", BROKEN_AT, used=used)
    if BROKEN in conditions:
        return None
    middle = statistics.median(uses[:LAST])
    if conditions == [GOOD] * LAST:
        if middle < (1.0 - WORTH) * most:
            return None  # a part that is good early may still be worn later
        return made(max(LONGER * most, middle), "good", GOOD_THRICE)
    if habit.agree:
        return made(middle, "habit", YOU_DO)
    return None


YOU_DO = mark("You do this at {amount}, not at {threshold}. Set {amount}?")
GOOD_THRICE = mark("It was good three times. Set {amount} instead of {threshold}?")
BROKEN_AT = mark("It was broken at {used}. Set {amount} instead of {threshold}?")


def rounded(amount: float, unit: str, digits: int = 2) -> float:
    """Return an amount as people choose it: two digits, and counts as whole numbers."""
    if amount <= 0.0:
        return 0.0
    value = round(amount, digits - 1 - math.floor(math.log10(amount)))
    return value if unit else float(max(1, round(value)))


def sentences(habit: Habit, unit: str) -> list[str]:
    """Return sentences about a habit, for people."""
    # With two digits, 105 h would be "100 h", and still "5 % later" than 100 h.
    usual, shortest, longest = (
        wording.quantity(rounded(each, unit, digits=3), unit)
        for each in (habit.median, habit.shortest, habit.longest)
    )
    if habit.times == 1:
        texts = [tr("Between the last two times, {usual} were used.", usual=usual)]
    elif shortest == longest:
        texts = [
            tr(
                "The last {times} times it was done at {usual}.",
                times=habit.times,
                usual=usual,
            )
        ]
    else:
        texts = [
            tr(
                "The last {times} times it was done at {shortest} to {longest}, mostly"
                " at {usual}.",
                times=habit.times,
                shortest=shortest,
                longest=longest,
                usual=usual,
            )
        ]
    percent = round(100.0 * abs(habit.late))
    if percent >= 5:
        late = tr("That is {percent} % later than due.", percent=percent)
        early = tr("That is {percent} % earlier than due.", percent=percent)
        texts.append(late if habit.late > 0.0 else early)
    if habit.times >= LAST:
        agree = tr("The last three times agree.")
        differ = tr("The last three times differ.")
        texts.append(agree if habit.agree else differ)
    return texts
