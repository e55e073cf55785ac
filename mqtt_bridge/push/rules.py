"""Which events are told to whom, when, and in which words.

Pure: the caller brings the clock, keeps what is to be kept, and sends.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Set
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mqtt_bridge.fleet.records import PrinterEvent
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


class PushMessage(NamedTuple):
    """A message for one address, both by their numbers in the settings."""

    rule: int
    address: int
    title: str
    text: str
    guide: str = ""
    url: str = ""
    printer: str = ""  # with the task only where buttons fit
    task: str = ""


class QueuedMessage(NamedTuple):
    """A note that is to be sent. *held*: quiet hours or the digest kept it."""

    note: PushMessage
    due: float  # UNIX seconds
    since: float
    held: bool
    failures: int = 0


class PushQueue:
    """What has been told, and what waits.

    *local* turns UNIX seconds to local time; its `timestamp` must turn it back.
    """

    def __init__(
        self, push: Push, local: Callable[[float], datetime] = datetime.fromtimestamp
    ) -> None:
        self._push = push
        self._local = local
        self._told: OrderedDict[str, None] = OrderedDict()
        self._printers: set[str] = set()  # those that have been looked at
        self._waiting: list[QueuedMessage] = []
        self._sending: list[QueuedMessage] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._sending)

    def happened(self, told: PrinterEvent, now: float) -> bool:
        """Take an event; True if something is to be sent that was not yet known."""
        event = told.event
        ident = f"{told.printer}/{event.seq}/{event.task}/{event.event}"
        return self._take(told, ident, now)

    def look(
        self, printers: Set[str], standing: Iterable[PrinterEvent], now: float
    ) -> bool:
        """Take how the tasks of *printers* stand; True if something is to be kept.

        What became due while nobody listened is told. Of a printer that is seen for
        the first time it is only noted: it is no news to somebody who begins, and of
        a printer that moved here another bridge has told it.
        """
        changed = not printers <= self._printers
        for told in standing:
            if told.printer not in self._printers:
                self._remember(_standing(told))
            elif self._take(told, _standing(told), now):
                changed = True
        self._printers |= printers
        return changed

    def _take(self, told: PrinterEvent, ident: str, now: float) -> bool:
        notes = list(self._notes(told))
        if ident in self._told or not notes:
            return False
        self._remember(ident, _standing(told))
        due = self._when(now)
        self._waiting += [
            QueuedMessage(note, due, now, held=due > now) for note in notes
        ]
        return True

    def _remember(self, *idents: str) -> None:
        self._told.update(dict.fromkeys(idents))
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def due(self, now: float) -> list[QueuedMessage]:
        """Return what is to be sent now; each is then given to `sent` or `failed`.

        What was held for the same hour is put together into one for each address.
        """
        ready = [each for each in self._waiting if each.due <= now]
        self._waiting = [each for each in self._waiting if each.due > now]
        sending = [each for each in ready if not each.held]
        held: dict[tuple[int, int], list[QueuedMessage]] = {}
        for each in ready:
            if each.held:
                held.setdefault((each.note.rule, each.note.address), []).append(each)
        sending += [_together(several) for several in held.values()]
        self._sending += sending
        return sending

    def sent(self, waiting: QueuedMessage) -> None:
        self._sending.remove(waiting)

    def failed(self, waiting: QueuedMessage, now: float) -> bool:
        """Try it again later; False if that has gone on for too long."""
        self._sending.remove(waiting)
        if now - waiting.since > GIVE_UP:
            return False
        then = now + RETRY[min(waiting.failures, len(RETRY) - 1)]
        due = self._loud(then)
        self._waiting.append(
            waiting._replace(due=due, held=due > then, failures=waiting.failures + 1)
        )
        return True

    def next(self) -> float | None:
        """When `due` has something to give, in UNIX seconds."""
        return min((each.due for each in self._waiting), default=None)

    # What outlives a restart

    def kept(self) -> dict[str, Any]:
        return {
            "told": list(self._told),
            "printers": sorted(self._printers),
            "waiting": [
                [self._digest(each.note), *each.note, each.due, each.since, each.held]
                for each in self._waiting + self._sending
            ],
        }

    def restore(self, kept: Any, owns: Callable[[str], bool] = lambda _: True) -> None:
        """Take back what `kept` gave; what cannot be read is left out.

        So is a note whose address is not where it was in the settings, and a printer
        that is not ours any more: when it comes back, another bridge has looked at it.
        """
        if not isinstance(kept, dict):
            return
        self._told.update(dict.fromkeys(map(str, _list(kept, "told"))))
        self._printers.update(filter(owns, map(str, _list(kept, "printers"))))
        for row in _list(kept, "waiting"):
            try:
                digest, rule, address, *texts, due, since, held = row
                note = PushMessage(int(rule), int(address), *map(str, texts))
                if digest != self._digest(note):
                    continue
                waiting = QueuedMessage(note, float(due), float(since), bool(held))
            except (TypeError, ValueError, IndexError):
                continue
            self._waiting.append(waiting)

    # Helpers

    def _notes(self, told: PrinterEvent) -> Iterable[PushMessage]:
        for number, rule in enumerate(self._push.rules):
            if _fits(rule, told):
                for address in range(len(rule.to)):
                    yield _note(number, address, rule, told)

    def _digest(self, note: PushMessage) -> str:
        """Tell the note's address from any other, without giving it away."""
        address = self._push.rules[note.rule].to[note.address]
        return hashlib.sha256(address.encode()).hexdigest()[:16]

    def _when(self, now: float) -> float:
        """When something that happens now may be told: UNIX seconds."""
        if self._push.digest is not None:
            return self._next(now, self._push.digest)
        return self._loud(now)

    def _loud(self, now: float) -> float:
        """*now*, or the end of the quiet hours that it is in."""
        if self._push.quiet is None:
            return now
        begin, end = self._push.quiet
        here = self._local(now)
        minute = here.hour * 60 + here.minute
        inside = (
            begin <= minute < end if begin <= end else minute >= begin or minute < end
        )
        return self._next(now, end) if inside else now

    def _next(self, now: float, minute: int) -> float:
        """When the clock on the wall shows *minute* of a day next."""
        hour, minute = divmod(minute, 60)
        here = self._local(now).replace(
            hour=hour, minute=minute, second=0, microsecond=0, fold=0
        )
        # Where clocks are put back the hour comes twice in one day.
        again, tomorrow = here.replace(fold=1), here + timedelta(days=1)
        times = [each.timestamp() for each in (here, again, tomorrow)]
        return next((each for each in times if each > now), times[-1])


def _list(kept: dict[str, Any], name: str) -> list[Any]:
    found = kept.get(name)
    return found if isinstance(found, list) else []


def _standing(told: PrinterEvent) -> str:
    # Until it is done the next time, it becomes due once.
    event = told.event
    return f"{told.printer}/{event.task}/{event.event} after {told.done_count}"


def _fits(rule: Rule, told: PrinterEvent) -> bool:
    def any_of(patterns: Iterable[str], name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return (
        told.event.event in rule.events
        and any_of(rule.printers, told.printer)
        and any_of(rule.tasks, told.event.task)
    )


def _note(number: int, address: int, rule: Rule, told: PrinterEvent) -> PushMessage:
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
    return PushMessage(
        rule=number,
        address=address,
        title=rule.title.format(**words).strip(),
        text=rule.text.format(**words).strip(),
        guide=event.guide,
        url=told.url,
        printer=told.printer if event.event in ASKS else "",
        task=event.task if event.event in ASKS else "",
    )


def _together(held: list[QueuedMessage]) -> QueuedMessage:
    first = held[0]
    if len(held) == 1:
        return first
    lines = [f"{each.note.title}: {each.note.text}" for each in held]
    note = PushMessage(
        first.note.rule,
        first.note.address,
        f"Maintenance: {len(held)} messages",
        "\n".join(lines),
    )
    return first._replace(note=note)
