"""Carries out commands from all sources, saves the changes, and then answers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Callable, Sequence

from .. import wording
from ..contract import (
    INTERNAL,
    NOT_READY,
    Command,
    Entry,
    Event,
    Point,
    Result,
    State,
    Suggestion,
)
from ..language import tr
from .carry_out import Change
from .refused import RefusedError

if TYPE_CHECKING:
    from typing import Protocol

    from .upkeep import Upkeep

    class Audience(Protocol):
        """The people at the printer."""

        def say(self, text: str) -> None: ...
        def settled(self, task: str, by: str) -> None: ...
        def suggest(self, state: State, suggestion: Suggestion) -> None: ...
        def moved(self, fitted: Sequence[str], removed: Sequence[str]) -> None: ...


LISTED, MOST_LISTED = 20, 100  # entries of the log in an answer: default, and most

# Before these commands the meters are read, since the wear until now is from before the
# command.
COUNTED = ("done", "skip", "adjust", "enable", "disable", "fit", "remove", "export")

Tell = Callable[[str], None]
Saved = Callable[[], None]


class Commands:
    """Gives commands to the handler, then saves and publishes. The reactor uses it."""

    def __init__(self, upkeep: Upkeep, audience: Audience) -> None:
        self._upkeep = upkeep
        self._audience = audience
        self.unsaved = 0  # changes that are not on disk yet

    def give(
        self,
        task: str,
        command: Command,
        refuse: Tell,
        tell: Tell,
        saved: Saved | None = None,
    ) -> None:
        """Carry out *command*. *tell* is called when the disk has answered.

        *saved* is called only if the change is on disk and survives a power cut.
        *refuse* is called at once, and then nothing has changed.
        """
        # The texts go to the console, where a line break could begin another message.
        by, note = " ".join(command.by.split()), " ".join(command.note.split())
        command = command._replace(by=by, note=note)
        transaction = command.transaction
        if transaction is not None and self._upkeep.handler.known(transaction):
            answer = self._upkeep.handler.answer(transaction)
            if answer is not None:
                self._answer(answer)
            return
        upkeep = self._upkeep
        try:
            now, is_ready = upkeep.wall(), upkeep.is_ready
            if command.command in COUNTED:
                upkeep.count_now()
            change = upkeep.handler.handle(task, command, now, is_ready)
        except RefusedError as error:
            self._refuse(task, transaction, error.code, str(error))
            refuse(str(error))
        except Exception:
            logging.exception("maintain: the command %r failed", command.command)
            text = tr("It failed, and nothing has changed; klippy.log tells why.")
            self._refuse(task, transaction, INTERNAL, text)
            refuse(text)
        else:
            self._carry_out(task, command, change, tell, saved)

    def by_broker(self, task: str, command: Command) -> None:
        """Carry out a command from MQTT. *task* is a slug, perhaps of no task."""
        upkeep = self._upkeep
        if not upkeep.settings.allow_commands:
            text = tr(
                "This printer takes no commands over MQTT (allow_commands: False)."
            )
            self._refuse(task, command.transaction, NOT_READY, text)
            return
        command = command._replace(by=command.by or "MQTT")

        def tell(text: str) -> None:
            if command.command != "log":
                about = upkeep.tasks[task]
                by = tr("(by {by})", by=command.by)
                what = wording.happened(about.label, text, bool(about.plan.kind))
                self._audience.say(f"{what} {by}")

        self.give(task, command, lambda text: None, tell)

    def _carry_out(
        self,
        task: str,
        command: Command,
        change: Change,
        tell: Tell,
        saved: Saved | None,
    ) -> None:
        upkeep, book = self._upkeep, self._upkeep.book
        now = upkeep.wall()
        moves = change.moves
        self._apply(task, change)
        # A task that was done may be due again at once. Then it is reported again.
        book.records[task], events = book.examine(task, book.view(task, now), now)
        upkeep.learning.take(task, change.entry)
        state = upkeep.numbered(task)
        documents = {
            **upkeep.counting.documents(),
            **upkeep.memory.identity(),
            **upkeep.records([task, *moves.records]),
        }
        others = list(map(upkeep.numbered, moves.records))
        result = None
        if command.transaction is not None:
            result = self._result(command, command.transaction, state)
            result = result._replace(part=moves.export)
            self._upkeep.handler.opened(result)
            documents["answers"] = self._upkeep.handler.answers()
        published = [event_of(state, each) for each in events]
        if change.event:
            event = event_of(state, change.event)
            published.insert(0, event._replace(by=command.by, note=command.note))

        def written(problem: str) -> None:
            self.unsaved -= 1
            for other in others:
                upkeep.publisher.state(other)
            self._written(state, published, result, problem)
            self._audience.moved(moves.fitted, moves.removed)
            lost = tr("It would be lost at a restart: {problem}.", problem=problem)
            tell(f"{change.text} {lost}" if problem else change.text)
            if saved is not None and not problem:
                saved()

        self.unsaved += 1
        entries = [] if change.entry is None else [change.entry]
        upkeep.memory.save(documents, entries, written)
        if change.event:
            self._audience.settled(task, command.by)
        if change.event == "done" and state.suggestion is not None:
            self._audience.suggest(state, state.suggestion)

    def _apply(self, task: str, change: Change) -> None:
        book, moves = self._upkeep.book, change.moves
        book.plans.update(moves.plans)
        book.records.update({**moves.records, task: change.record})
        if moves.fitted or moves.removed:
            book.follow()

    def _result(self, command: Command, transaction: str, state: State) -> Result:
        log: tuple[Entry, ...] = ()
        history: dict[str, tuple[Point, ...]] = {}
        if command.command == "log":
            limit = LISTED if command.limit is None else command.limit
            about = None if command.every else state.task
            entries = self._upkeep.memory.log(about, min(limit, MOST_LISTED))
            log = tuple(entries)
        if command.history:
            points = self._upkeep.book.history(state.task, self._upkeep.wall())
            history = {name: tuple(each) for name, each in points.items()}
        return Result(transaction, state.task, seq=state.seq, log=log, history=history)

    def _written(
        self,
        state: State,
        events: Sequence[Event],
        result: Result | None,
        problem: str,
    ) -> None:
        """Publish the effects of a command: the state, the events, then the result."""
        if result is not None:
            if problem:
                text = tr(
                    "It is done, but would be lost at a restart: {problem}.",
                    problem=problem,
                )
                result = Result(
                    result.transaction, state.task, code=INTERNAL, text=text
                )
            self._upkeep.handler.answered(result)
        publisher = self._upkeep.publisher
        publisher.state(state)
        for event in events:
            publisher.event(event)
        if result is not None:
            publisher.result(result)
        self._upkeep.sum_up()

    def _refuse(self, task: str, transaction: str | None, code: str, text: str) -> None:
        if transaction is not None:
            result = Result(transaction, task, code=code, text=text)
            self._upkeep.handler.answered(result)
            self._answer(result)

    def _answer(self, result: Result) -> None:
        self._upkeep.publisher.result(result)


def event_of(state: State, event: str) -> Event:
    """Return an event of a task, with the fields of its state."""
    return Event(
        seq=state.seq,
        time=state.time,
        task=state.task,
        event=event,
        label=state.label,
        message=state.message,
        guide=state.guide,
    )
