"""Decides which events become messages to people, and when they are sent.

Pure: the caller passes the time, stores the entries, and sends the messages.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Set
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.push.messages import PushMessage, compose, together
from mqtt_bridge.settings import Push, Rule

REMEMBERED = 250_000  # events about which messages have been sent
RETRY = (10.0, 30.0, 60.0, 300.0, 900.0)  # seconds
GIVE_UP = 2 * 86400.0  # seconds after which a message is out of date
# How many messages about one printer an address gets at once, and the seconds until it
# gets one more. Messages above that are put together.
BURST, REFILL = 5.0, 60.0
MOST_HELD = 50  # messages that are put together; more of them are only counted
MOST_WAITING = 10_000  # messages that wait; the oldest are dropped
MOST_PRINTERS = 100_000  # known printers, and rates of addresses and printers

# A change of the remembered data: its kind, and the values for `Memory`'s SQL.
Entry = tuple[Any, ...]
Key = tuple[int, int, str]  # the rule, the address, the printer


class QueuedMessage(NamedTuple):
    """A message to be sent. If it is *held*, it is later put together with others."""

    note: PushMessage
    due: float  # UNIX seconds
    since: float
    held: bool
    failures: int = 0
    number: int = 0
    more: int = 0  # how many similar messages were only counted


class Rate:
    """Decides when an address may get a message about a printer."""

    def __init__(self) -> None:
        self._credit: dict[Key, tuple[float, float]] = {}  # messages, and the time
        self._batches: dict[Key, float] = {}  # the times of common messages

    def due(self, key: Key, now: float) -> float:
        """Return when a message for *key* may be sent: *now*, or later with others."""
        batch = self._batches.get(key, 0.0)
        if batch > now:
            return batch
        credit, when = self._credit.pop(key, (BURST, now))
        credit = min(BURST, credit + max(0.0, now - when) / REFILL)
        self._credit[key] = (max(0.0, credit - 1.0), now)
        _keep_newest(self._credit, MOST_PRINTERS)
        if credit >= 1.0:
            return now
        self._batches.pop(key, None)
        self._batches[key] = due = now + (1.0 - credit) * REFILL
        _keep_newest(self._batches, MOST_PRINTERS)
        return due


class PushQueue:
    """The messages that have been sent, and those that wait.

    *local* converts UNIX seconds to local time. `timestamp` of that must convert back.
    """

    def __init__(
        self, push: Push, local: Callable[[float], datetime] = datetime.fromtimestamp
    ) -> None:
        self._push = push
        self._local = local
        self._pushed: OrderedDict[str, None] = OrderedDict()
        self._printers: dict[str, None] = {}  # the known printers, oldest first
        self._waiting: list[QueuedMessage] = []
        self._sending: list[QueuedMessage] = []
        self._rate = Rate()
        self._number = 0
        self._entries: list[Entry] = []
        self.dropped = 0  # messages that did not wait until they could be sent

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._sending)

    def entries(self) -> list[Entry]:
        """Return the changes since the last call, which the caller stores."""
        entries, self._entries = self._entries, []
        return entries

    def happened(self, event: PrinterEvent, now: float) -> bool:
        """Handle an event. True: it has caused a new message."""
        inner = event.event
        ident = f"{event.printer}/{inner.seq}/{inner.task}/{inner.event}"
        return self._take(event, ident, now)

    def stand(
        self, printers: Set[str], standing: Iterable[PrinterEvent], now: float
    ) -> bool:
        """Handle the present statuses of *printers*' tasks. True: there are entries.

        A task that became due in the meantime causes a message. The tasks of a new
        printer are only noted: its owner knows them already, and if another bridge had
        the printer before, that one has sent the messages.
        """
        new = [slug for slug in sorted(printers) if slug not in self._printers]
        changed = bool(new)
        for event in standing:
            if event.printer not in self._printers:
                self._remember(_standing(event))
            elif self._take(event, _standing(event), now):
                changed = True
        self._entries += [("printer", slug) for slug in new]
        self._printers.update(dict.fromkeys(new))
        _keep_newest(self._printers, MOST_PRINTERS)
        return changed

    def _take(self, event: PrinterEvent, ident: str, now: float) -> bool:
        messages = list(self._messages(event))
        if ident in self._pushed or not messages:
            return False
        self._remember(ident, _standing(event))
        for message in messages:
            self._queue(message, event.printer, now)
        return True

    def _queue(self, message: PushMessage, printer: str, now: float) -> None:
        due = self._when(now)
        if due <= now:
            due = self._rate.due((message.rule, message.address, printer), now)
        held = due > now
        if held:
            same = [each for each in self._waiting if _is_with(each, message, due)]
            if len(same) >= MOST_HELD:
                self._replace(same[-1], same[-1]._replace(more=same[-1].more + 1))
                return
        self._add(QueuedMessage(message, due, now, held))

    def _remember(self, *idents: str) -> None:
        self._pushed.update(dict.fromkeys(idents))
        self._entries += [("told", ident) for ident in idents]
        while len(self._pushed) > REMEMBERED:
            self._pushed.popitem(last=False)

    def due(self, now: float) -> list[QueuedMessage]:
        """Return the messages to send now. The caller gives each to `sent` or `failed`.

        The held messages for an address are put together.
        """
        ready = [each for each in self._waiting if each.due <= now]
        self._waiting = [each for each in self._waiting if each.due > now]
        sending = [each for each in ready if not each.held]
        held: dict[tuple[int, int], list[QueuedMessage]] = {}
        for each in ready:
            if each.held:
                held.setdefault((each.note.rule, each.note.address), []).append(each)
        sending += [self._together(several) for several in held.values()]
        self._sending += sending
        return sending

    def _together(self, several: list[QueuedMessage]) -> QueuedMessage:
        more = sum(each.more for each in several)
        note = together([each.note for each in several], more)
        one = several[0]._replace(note=note, more=0)
        self._entries += [("over", each.number) for each in several[1:]]
        self._entries.append(self._row(one))
        return one

    def sent(self, queued: QueuedMessage) -> None:
        self._sending.remove(queued)
        self._entries.append(("over", queued.number))

    def failed(self, queued: QueuedMessage, now: float) -> bool:
        """Let a message be tried again later. False: it is too old, and is given up."""
        if now - queued.since > GIVE_UP:
            self.sent(queued)
            return False
        self._sending.remove(queued)
        then = now + RETRY[min(queued.failures, len(RETRY) - 1)]
        due = self._loud(then)
        again = queued._replace(due=due, held=due > then, failures=queued.failures + 1)
        self._waiting.append(again)
        self._entries.append(self._row(again))
        return True

    def next(self) -> float | None:
        """Return when `due` will have a message, in UNIX seconds."""
        return min((each.due for each in self._waiting), default=None)

    # After a restart

    def restore(self, kept: Any, owns: Callable[[str], bool] = lambda _: True) -> None:
        """Restore what `Memory.load` returned. Unreadable entries are left out.

        A message is also left out if the settings have no such address any more. So is
        a printer that this bridge does not have any more, since another bridge then
        sends the messages about it.
        """
        if not isinstance(kept, dict):
            return
        self._pushed.update(dict.fromkeys(map(str, _list(kept, "told"))))
        printers = filter(owns, map(str, _list(kept, "printers")))
        self._printers.update(dict.fromkeys(printers))
        for row in _list(kept, "waiting"):
            try:
                number, digest, note, due, since, held, more = row
                message = PushMessage(*note)
                if digest != self._digest(message):
                    self._entries.append(("over", int(number)))
                    continue
                queued = QueuedMessage(
                    message, float(due), float(since), bool(held), 0, int(number),
                    int(more),
                )  # fmt: skip
            except (TypeError, ValueError, IndexError):
                continue
            self._waiting.append(queued)
            self._number = max(self._number, queued.number)

    def _add(self, queued: QueuedMessage) -> None:
        self._number += 1
        queued = queued._replace(number=self._number)
        self._waiting.append(queued)
        self._entries.append(self._row(queued))
        if len(self._waiting) > MOST_WAITING:
            self._entries.append(("over", self._waiting.pop(0).number))
            self.dropped += 1

    def _replace(self, old: QueuedMessage, new: QueuedMessage) -> None:
        self._waiting[self._waiting.index(old)] = new
        self._entries.append(self._row(new))

    def _row(self, queued: QueuedMessage) -> Entry:
        digest = self._digest(queued.note)
        row = (
            digest, queued.note, queued.due, queued.since, queued.held, queued.more,
        )  # fmt: skip
        return "waiting", queued.number, json.dumps(row)

    # Helpers

    def _messages(self, event: PrinterEvent) -> Iterable[PushMessage]:
        for number, rule in enumerate(self._push.rules):
            if _fits(rule, event):
                for address in range(len(rule.to)):
                    yield compose(number, address, rule, event)

    def _digest(self, note: PushMessage) -> str:
        """Return a digest of the message's address, which does not show the address."""
        address = self._push.rules[note.rule].to[note.address]
        return hashlib.sha256(address.encode()).hexdigest()[:16]

    def _when(self, now: float) -> float:
        """Return when people may get a message about an event at *now*."""
        if self._push.digest is not None:
            return self._next(now, self._push.digest)
        return self._loud(now)

    def _loud(self, now: float) -> float:
        """Return *now*, or the end of the quiet hours if it is within them."""
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
        """Return when the local time is next the *minute* of a day."""
        hour, minute = divmod(minute, 60)
        here = self._local(now).replace(
            hour=hour, minute=minute, second=0, microsecond=0, fold=0
        )
        # On the day on which clocks are put back, an hour occurs twice.
        again, tomorrow = here.replace(fold=1), here + timedelta(days=1)
        times = [each.timestamp() for each in (here, again, tomorrow)]
        return next((each for each in times if each > now), times[-1])


def _keep_newest(entries: dict[Any, Any], most: int) -> None:
    while len(entries) > most:
        del entries[next(iter(entries))]


def _list(kept: dict[str, Any], name: str) -> list[Any]:
    values = kept.get(name)
    return values if isinstance(values, list) else []


def _is_with(queued: QueuedMessage, message: PushMessage, due: float) -> bool:
    """Return whether *queued* will be put together with *message*."""
    note = queued.note
    return (
        queued.held
        and queued.due == due
        and (note.rule, note.address) == (message.rule, message.address)
    )


def _standing(event: PrinterEvent) -> str:
    # A task becomes due only once until it is done.
    inner = event.event
    return f"{event.printer}/{inner.task}/{inner.event} after {event.done_count}"


def _fits(rule: Rule, event: PrinterEvent) -> bool:
    def any_of(patterns: Iterable[str], name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return (
        event.event.event in rule.events
        and any_of(rule.printers, event.printer)
        and any_of(rule.tasks, event.event.task)
    )
