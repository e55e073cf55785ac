"""Which events are told to whom, when, and in which words.

Pure: the caller brings the clock, keeps what is to be kept, and sends.
"""

from __future__ import annotations

import fnmatch
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mqtt_bridge.contract import Event
from mqtt_bridge.settings import Push, Rule

REMEMBERED = 250_000  # events that are known to have been told
RETRY = (10.0, 30.0, 60.0, 300.0, 900.0)  # seconds
GIVE_UP = 2 * 86400.0  # seconds: later it is no news

WHAT = {
    "soon": "It is due soon",
    "due": "It is due",
    "done": "It was done",
    "skipped": "It was skipped",
    "snoozed": "Its reminders wait",
    "unsnoozed": "Its reminders wait no longer",
    "enabled": "It is counted again",
    "disabled": "It is not counted any more",
    "changed": "It was changed",
}
ASKS = ("soon", "due")  # for something to be done: these get buttons


class Told(NamedTuple):
    """An event with the printer that it is of, as listeners get it."""

    printer: str
    name: str
    url: str
    event: Event
    done_count: int = 0  # how often the task had been done then


class Note(NamedTuple):
    """A message for one address, both by their numbers in the settings."""

    rule: int
    address: int
    title: str
    text: str
    guide: str = ""
    url: str = ""
    printer: str = ""  # with the task only where buttons fit
    task: str = ""


class Waiting(NamedTuple):
    """A note that is to be sent. *held*: quiet hours or the digest kept it."""

    note: Note
    due: float  # UNIX seconds
    since: float
    held: bool
    failures: int = 0


class Notifier:
    """What has been told, and what waits. *local* turns UNIX seconds to local time."""

    def __init__(
        self, push: Push, local: Callable[[float], datetime] = datetime.fromtimestamp
    ) -> None:
        self._push = push
        self._local = local
        self._told: OrderedDict[str, None] = OrderedDict()
        self._waiting: list[Waiting] = []
        self._sending: list[Waiting] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._sending)

    def happened(self, told: Told, now: float) -> bool:
        """Take an event; True if something is to be sent that was not yet known."""
        event = told.event
        ident = f"{told.printer}/{event.seq}/{event.task}/{event.event}"
        return self._take(told, ident, now)

    def stands(self, told: Told, now: float) -> bool:
        """As `happened`, of a task that became so while nobody listened."""
        return self._take(told, _standing(told), now)

    def known(self, told: Told) -> None:
        """Take note of how a task stands without telling anybody."""
        self._remember(_standing(told))

    def _take(self, told: Told, ident: str, now: float) -> bool:
        notes = list(self._notes(told))
        if ident in self._told or not notes:
            return False
        self._remember(ident, _standing(told))
        due = self._when(now)
        self._waiting += [Waiting(note, due, now, held=due > now) for note in notes]
        return True

    def _remember(self, *idents: str) -> None:
        self._told.update(dict.fromkeys(idents))
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def due(self, now: float) -> list[Waiting]:
        """Return what is to be sent now; each is then given to `sent` or `failed`.

        What was held for the same hour is put together into one for each address.
        """
        ready = [each for each in self._waiting if each.due <= now]
        self._waiting = [each for each in self._waiting if each.due > now]
        sending = [each for each in ready if not each.held]
        held: dict[tuple[int, int], list[Waiting]] = {}
        for each in ready:
            if each.held:
                held.setdefault((each.note.rule, each.note.address), []).append(each)
        sending += [_together(several) for several in held.values()]
        self._sending += sending
        return sending

    def sent(self, waiting: Waiting) -> None:
        self._sending.remove(waiting)

    def failed(self, waiting: Waiting, now: float) -> bool:
        """Try it again later; False if that has gone on for too long."""
        self._sending.remove(waiting)
        if now - waiting.since > GIVE_UP:
            return False
        pause = RETRY[min(waiting.failures, len(RETRY) - 1)]
        failures = waiting.failures + 1
        self._waiting.append(
            waiting._replace(due=now + pause, held=False, failures=failures)
        )
        return True

    def next(self) -> float | None:
        """When `due` has something to give, in UNIX seconds."""
        return min((each.due for each in self._waiting), default=None)

    # What outlives a restart

    def kept(self) -> dict[str, Any]:
        return {
            "told": list(self._told),
            "waiting": [
                [*each.note, each.due, each.since, each.held]
                for each in self._waiting + self._sending
            ],
        }

    def restore(self, kept: Any) -> None:
        """Take back what `kept` gave; what cannot be read is left out."""
        if not isinstance(kept, dict):
            return
        told = kept.get("told")
        if isinstance(told, list):
            self._told.update(dict.fromkeys(str(each) for each in told))
        for row in kept.get("waiting") or ():
            try:
                rule, address, *texts, due, since, held = row
                note = Note(int(rule), int(address), *map(str, texts))
                self._push.rules[note.rule].to[note.address]  # still there?
            except (TypeError, ValueError, IndexError):
                continue
            self._waiting.append(Waiting(note, float(due), float(since), bool(held)))

    # Helpers

    def _notes(self, told: Told) -> Iterable[Note]:
        for number, rule in enumerate(self._push.rules):
            if _fits(rule, told):
                for address in range(len(rule.to)):
                    yield _note(number, address, rule, told)

    def _when(self, now: float) -> float:
        """When something that happens now may be told: UNIX seconds."""
        here = self._local(now)
        minute = here.hour * 60 + here.minute
        if self._push.digest is not None:
            return self._next(now, here, self._push.digest)
        if self._push.quiet is not None:
            begin, end = self._push.quiet
            inside = (
                begin <= minute < end
                if begin <= end
                else minute >= begin or minute < end
            )
            if inside:
                return self._next(now, here, end)
        return now

    def _next(self, now: float, here: datetime, minute: int) -> float:
        then = here.replace(
            hour=minute // 60, minute=minute % 60, second=0, microsecond=0
        )
        if then <= here:
            then += timedelta(days=1)
        return now + (then - here).total_seconds()


def _standing(told: Told) -> str:
    # Until it is done the next time, it becomes due once.
    event = told.event
    return f"{told.printer}/{event.task}/{event.event} after {told.done_count}"


def _fits(rule: Rule, told: Told) -> bool:
    def any_of(patterns: Iterable[str], name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return (
        told.event.event in rule.events
        and any_of(rule.printers, told.printer)
        and any_of(rule.tasks, told.event.task)
    )


def _note(number: int, address: int, rule: Rule, told: Told) -> Note:
    event = told.event
    words = {
        "printer": told.name,
        "slug": told.printer,
        "task": event.task,
        "label": event.label or event.task,
        "event": event.event,
        "what": WHAT[event.event],
        "message": event.message,
        "guide": event.guide,
        "by": event.by,
        "note": event.note,
        "url": told.url,
    }
    return Note(
        rule=number,
        address=address,
        title=rule.title.format(**words).strip(),
        text=rule.text.format(**words).strip(),
        guide=event.guide,
        url=told.url,
        printer=told.printer if event.event in ASKS else "",
        task=event.task if event.event in ASKS else "",
    )


def _together(held: list[Waiting]) -> Waiting:
    first = held[0]
    if len(held) == 1:
        return first
    lines = [f"{each.note.title}: {each.note.text}" for each in held]
    note = Note(
        first.note.rule,
        first.note.address,
        f"Maintenance: {len(held)} messages",
        "\n".join(lines),
    )
    return first._replace(note=note)
