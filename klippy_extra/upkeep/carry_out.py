"""Carries out each command once, and gives each one an answer. Pure."""

from __future__ import annotations

import collections
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from .. import contract
from ..contract import (
    BAD_ARGUMENT,
    NOT_READY,
    UNKNOWN_TASK,
    Command,
    Entry,
    Result,
    Suggestion,
)
from ..language import mark, tr
from ..ledger import records
from ..ledger.ledger import Ledger
from ..wording import moment, quantity
from . import parts
from .parts import Moves
from .refused import RefusedError

REMEMBERED = 256  # answers that are remembered
LEAST, MOST = 0.001, 1e9  # the bounds of a threshold; amounts may be 0
LONGEST_SNOOZE = 10 * 365 * 24.0  # hours
# The log's text about a change.
THRESHOLD_SET = mark("threshold {now}, before {before}")
WARNING_SET = mark("warning at {now}, before {before}")
USED_SET = mark("used {now}, before {before}")
TOLERANCE = 60  # seconds that another machine's clock may be ahead


class Change(NamedTuple):
    """The effect of a command on a task. *event* is empty if there is none."""

    record: records.Record
    event: str
    text: str  # a text for people
    entry: Entry | None = None
    moves: Moves = Moves()


class CommandHandler:
    """Answers commands. A repeated transaction gets its first answer again."""

    def __init__(self, book: Ledger, answers: Iterable[Any] = ()) -> None:
        self._book = book
        self._answers: collections.OrderedDict[str, Result] = collections.OrderedDict()
        self._open: set[str] = set()
        # Returns the suggested threshold of a task.
        self.suggestion: Callable[[str], Suggestion | None] = lambda task: None
        for row in answers:
            self._answers[row[0]] = Result(*row)

    def known(self, transaction: str) -> bool:
        """Return whether the transaction has an answer, or will have one soon."""
        return transaction in self._answers

    def answer(self, transaction: str) -> Result | None:
        """Return the first answer, or None while it is not ready."""
        return None if transaction in self._open else self._answers[transaction]

    def opened(self, result: Result) -> None:
        """Remember the coming answer, so that it is stored with the change."""
        self._open.add(result.transaction)
        self._remember(result)

    def answered(self, result: Result) -> None:
        """Remember the answer. A repeated transaction gets it again."""
        self._open.discard(result.transaction)
        self._remember(result)

    def _remember(self, result: Result) -> None:
        self._answers[result.transaction] = result._replace(
            log=(), history={}, part=None
        )
        if len(self._answers) > REMEMBERED:
            forgotten, _ = self._answers.popitem(last=False)
            self._open.discard(forgotten)

    def join(self, earlier: CommandHandler) -> None:
        """Also remember the answers of *earlier*."""
        mine, self._answers = self._answers, earlier._answers.copy()
        for result in mine.values():
            self._remember(result)

    def answers(self) -> list[list[Any]]:
        """Return the answers for the store."""
        return [list(each[:5]) for each in self._answers.values()]

    def handle(self, task: str, command: Command, now: float, ready: bool) -> Change:
        """Return the change that *command* makes to *task*. The caller applies it.

        RefusedError: the command is refused, and nothing must be changed.
        """
        if task not in self._book.plans:
            raise RefusedError(
                UNKNOWN_TASK, tr("There is no maintenance task '{name}'.", name=task)
            )
        if not ready:
            raise RefusedError(NOT_READY, tr("The printer is not ready for commands."))
        if command.command == "learn":
            command = self._as_learnt(task, command)
        carry_out = _COMMANDS[command.command]
        record, event, text, *more = carry_out(self._book, task, command, int(now))
        log = [each for each in more if isinstance(each, str)]
        moves = next((each for each in more if isinstance(each, Moves)), Moves())
        entry = None
        if event:
            entry = Entry(
                time=int(now) if command.at is None else command.at,
                task=task,
                event=event,
                by=command.by,
                note="; ".join(filter(None, [*log, command.note])),
                used=self._used_until(task, command, record),
                condition=command.condition,
            )
        return Change(record, event, text, entry, moves)

    def _used_until(
        self, task: str, command: Command, record: records.Record
    ) -> records.Amounts:
        """Return the use until the command, or until its earlier time `AT`."""
        used = self._book.used(task)
        if command.at is not None:
            kept = self._book.used(task, record)
            used = {name: max(0.0, used[name] - kept[name]) for name in used}
        return {name: round(amount, 6) for name, amount in used.items()}

    def _as_learnt(self, task: str, command: Command) -> Command:
        """Return the command that sets the task's suggested threshold."""
        suggestion = self.suggestion(task)
        if suggestion is None:
            text = tr("The log suggests no other threshold for this task.")
            raise RefusedError(BAD_ARGUMENT, text)
        threshold = {suggestion.meter: suggestion.threshold}
        return command._replace(command="set", threshold=threshold)


def _done(book: Ledger, task: str, command: Command, now: int) -> Any:
    record = book.records[task]
    at = now if command.at is None else command.at
    if at > now + TOLERANCE:
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "It cannot have been done in the future: {at} is later than the"
                " printer's clock, {now}.",
                at=moment(at),
                now=moment(now),
            ),
        )
    at = min(at, now)
    if command.at is not None and at < (record.last_done or 0):
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "It was done later than {at} already: at {last} by the printer's"
                " clock.",
                at=moment(at),
                last=moment(record.last_done or 0),
            ),
        )
    limits = book.plans[task].limits
    if command.used is not None:
        used = _by_limit(limits, command.used, "used", complete=True)
    elif command.at is not None:
        used = {each.name: book.since(each.counter, at, now) for each in limits}
    else:
        used = dict.fromkeys((each.name for each in limits), 0.0)
    # It is not more than the present use, since the past is only known by days.
    if command.used is None:
        was = book.used(task)
        used = {name: min(amount, was[name]) for name, amount in used.items()}
    fresh = _begun(book, task, used)._replace(
        last_done=at, last_by=command.by, done_count=record.done_count + 1
    )
    return fresh, "done", tr("is marked done; counting starts again.")


def _skip(book: Ledger, task: str, command: Command, now: int) -> Any:
    used = dict.fromkeys(book.used(task), 0.0)
    text = tr("is skipped this time; counting starts again.")
    return _begun(book, task, used), "skipped", text


def _begun(book: Ledger, task: str, used: records.Amounts) -> records.Record:
    return book.restart(task, used)._replace(snoozed_until=None, snoozed_to=None)


def _snooze(book: Ledger, task: str, command: Command, now: int) -> Any:
    hours = command.hours or 0.0
    if hours > LONGEST_SNOOZE:
        raise RefusedError(
            BAD_ARGUMENT, tr("Nothing can be snoozed for more than ten years.")
        )
    record = book.records[task]._replace(
        snoozed_until=int(now + hours * 3600), snoozed_to=book.calendar + hours
    )
    return record, "snoozed", tr("is snoozed for {count} hours.", count=hours)


def _unsnooze(book: Ledger, task: str, command: Command, now: int) -> Any:
    record = book.records[task]
    if record.snoozed_to is None:
        return record, "", tr("is not snoozed.")
    fresh = record._replace(snoozed_until=None, snoozed_to=None)
    return fresh, "unsnoozed", tr("is no longer snoozed.")


def _enable(book: Ledger, task: str, command: Command, now: int) -> Any:
    record = book.records[task]
    if record.enabled:
        return record, "", tr("is already enabled.")
    fresh = records.switch(record, book.plans[task], book.readings, enabled=True)
    return fresh, "enabled", tr("is enabled; counting goes on.")


def _disable(book: Ledger, task: str, command: Command, now: int) -> Any:
    record = book.records[task]
    if not record.enabled:
        return record, "", tr("is already disabled.")
    fresh = records.switch(record, book.plans[task], book.readings, enabled=False)
    return fresh, "disabled", tr("is disabled; nothing counts until it is enabled.")


def _set(book: Ledger, task: str, command: Command, now: int) -> Any:
    record, limits = book.records[task], book.plans[task].limits
    old = record
    texts, log = [], []
    if command.threshold is not None:
        requested = _by_limit(limits, command.threshold, "threshold", least=LEAST)
        configured = {each.name: each.threshold for each in limits}
        before = {each.name: records.threshold(old, each) for each in limits}
        record = record._replace(
            thresholds=_over(record.thresholds, requested, configured)
        )
        now_is = _listed(limits, requested)
        texts.append(tr("the threshold {amounts}", amounts=now_is))
        log.append(_changed(THRESHOLD_SET, limits, before, requested))
    if command.warn_at is not None:
        requested = _by_limit(limits, command.warn_at, "warn_at", least=LEAST)
        configured = {each.name: each.warn for each in limits}
        before = {each.name: records.warn_at(old, each) for each in limits}
        record = record._replace(warns=_over(record.warns, requested, configured))
        log.append(_changed(WARNING_SET, limits, before, requested))
        now_is = _listed(limits, requested)
        texts.append(tr("a warning {amounts} before the end", amounts=now_is))
    text = tr("has {values} from now on.", values=tr(" and ").join(texts))
    return record, "changed", text, "; ".join(log)


def _adjust(book: Ledger, task: str, command: Command, now: int) -> Any:
    limits = book.plans[task].limits
    requested = _by_limit(limits, command.used or 0.0, "used")
    before = book.used(task)
    amounts = _listed(limits, requested)
    text = tr("counts {amounts} as used now.", amounts=amounts)
    log = _changed(USED_SET, limits, before, requested)
    return book.restart(task, requested), "changed", text, log


def _log(book: Ledger, task: str, command: Command, now: int) -> Any:
    return book.records[task], "", tr("has this log.")


_COMMANDS = {
    "done": _done,
    "skip": _skip,
    "snooze": _snooze,
    "unsnooze": _unsnooze,
    "enable": _enable,
    "disable": _disable,
    "set": _set,
    "adjust": _adjust,
    "log": _log,
    "fit": parts.fit,
    "remove": parts.remove,
    "export": parts.export,
    "import": parts.take_in,
}


def _by_limit(
    limits: tuple[records.Limit, ...],
    requested: contract.Amount,
    name: str,
    least: float = 0.0,
    complete: bool = False,
) -> dict[str, float]:
    """Return the amount for each limit, from one number or from an object by meter."""
    names = [each.name for each in limits]
    if not isinstance(requested, dict):
        if len(names) > 1:
            raise RefusedError(
                BAD_ARGUMENT,
                tr(
                    "This task has several limits: name those of '{name}', as in"
                    " {example}.",
                    name=name,
                    example=",".join(f"{each}={requested:g}" for each in names),
                ),
            )
        requested = {names[0]: requested}
    if not requested:
        raise RefusedError(
            BAD_ARGUMENT,
            tr(
                "'{name}' is none of the limits {limits}.",
                name=name,
                limits=", ".join(names),
            ),
        )
    for meter, number in requested.items():
        if meter not in names:
            raise RefusedError(
                BAD_ARGUMENT,
                tr(
                    "This task has no limit '{limit}', only {limits}.",
                    limit=meter,
                    limits=", ".join(names),
                ),
            )
        if not least <= number <= MOST:
            raise RefusedError(
                BAD_ARGUMENT,
                tr(
                    "'{name}' must be from {least} to {most}.",
                    name=name,
                    least=least,
                    most=MOST,
                ),
            )
    missing = {each: 0.0 for each in names if complete and each not in requested}
    return dict(missing, **requested)


def _over(
    overrides: Mapping[str, records.Override],
    requested: dict[str, float],
    configured: dict[str, float],
) -> dict[str, records.Override]:
    fresh = {n: records.Override(v, configured[n]) for n, v in requested.items()}
    return dict(overrides, **fresh)


def _changed(
    what: str,
    limits: tuple[records.Limit, ...],
    before: dict[str, float],
    after: dict[str, float],
) -> str:
    """Return an old and a new value as text for the log."""
    was = _listed(limits, {name: before[name] for name in after})
    return tr(what, now=_listed(limits, after), before=was)


def _listed(limits: tuple[records.Limit, ...], amounts: dict[str, float]) -> str:
    if len(limits) == 1:
        return quantity(amounts[limits[0].name], limits[0].unit)
    return ", ".join(
        f"{each.name} {quantity(amounts[each.name], each.unit)}"
        for each in limits
        if each.name in amounts
    )
