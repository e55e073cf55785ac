"""The bridge itself: the fleet and all commands under way, one turn after the other.

It hands what changed to a `Sink`, and knows nothing of mKTL.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from mqtt_bridge import contract
from mqtt_bridge.broker.inbox import Batch, Inbox
from mqtt_bridge.broker.link import Link
from mqtt_bridge.contract import Command, ContractError, Event, Result, Topic
from mqtt_bridge.fleet import fleet, transactions
from mqtt_bridge.fleet.fleet import Changes, Fleet, ItemSource, Printer, Row
from mqtt_bridge.fleet.items import STATUS_AT
from mqtt_bridge.fleet.transactions import Outcome, Transactions
from mqtt_bridge.push.rules import PrinterEvent
from mqtt_bridge.settings import Settings

logger = logging.getLogger(__name__)

FORGET = 7 * 86400.0  # seconds that a printer may be missing on a broker that is back
FETCH = 20  # printers that are asked for again at once
DOZE = 0.25  # seconds between looks at the clock


class Sink(Protocol):
    """Where the mirrored items live. Called in the bridge's turn."""

    def change(self, removed: Iterable[str], placed: dict[str, ItemSource]) -> None: ...

    def publish(self, rows: Iterable[Row]) -> None: ...

    def connected(self, *, up: bool, when: float) -> None: ...


class Bridge:
    """Mirrors the printers of *settings* into *sink* from `start` to `close`."""

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self.settings = settings
        self.inbox = Inbox()
        # Asked for each message, twice; with many parts or a long list it takes long.
        owns = _Decisions(settings.store.owns).__getitem__
        self.fleet = Fleet(
            settings.broker.base, owns, read_only=settings.store.read_only
        )
        self.ready = threading.Event()  # everything retained has been mirrored
        self.listeners: list[Callable[[PrinterEvent], None]] = []
        # Told of printers and of what stands of their tasks: of all once what the
        # broker retains is here, and of one when it comes online. What happened before
        # that nobody heard.
        self.watchers: list[Callable[[frozenset[str], list[PrinterEvent]], None]] = []
        # Told, in the bridge's turn, of which printers something changed.
        self.observers: list[Callable[[frozenset[str]], None]] = []
        self.commands: dict[str, int] = {}  # outcomes by name
        self.delay = 0.0  # seconds from arrival to publication, of the last batch
        self._sink = sink
        self._lock = threading.Lock()  # the turn: whoever has it has all below
        self._pending = Transactions()
        self._futures: dict[str, Future[Result | None]] = {}
        self._settling: list[str] | None = None  # printers still to be asked for
        self._then: list[Callable[[], None]] = []  # once no state waits
        self._complete = -1
        # Events that came before what the broker retains of their tasks did.
        self._early: list[tuple[str, Event]] | None = []
        self._closing = False  # it is asked to end
        self._closed = False
        self.link = Link(
            settings.broker,
            self.inbox,
            settings.store.printers or ("+",),
            owns,
            self._turn,
            self._connected,
            lambda: self._then.append(self._settled),
            self._lost,
        )
        self._thread = threading.Thread(
            target=self._run, name="upkeep-bridge", daemon=True
        )

    # Any thread

    def start(self) -> None:
        self._thread.start()
        self.link.start()

    def close(self) -> None:
        """Answer whoever waits, say goodbye to the broker, end the threads."""
        self.end()
        self.link.close()

    def end(self) -> None:
        """Answer whoever waits; nothing is told or published afterwards."""
        self.inbox.call(self._close)
        if self._thread.is_alive():
            self._thread.join(2.0)
        else:
            self._finish()

    def ask(
        self, printer: str, task: str, make: Callable[[fleet.Record, str], Command]
    ) -> Future[Result | None]:
        """Send a command; the Future ends when its change can be read, or was refused.

        *make* gets the task's record and a transaction.
        """
        future: Future[Result | None] = Future()
        if not self.inbox.offer(lambda: self._ask(printer, task, make, future)):
            future.set_exception(_stopped())
        return future

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run *function* in the bridge's turn, when the fleet may be looked at."""
        future: Future[Any] = Future()

        def act() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is the Future's outcome
                future.set_exception(error)

        if not self.inbox.offer(act):
            future.set_exception(_stopped())
        return future

    # In turn

    def _run(self) -> None:
        while not self._closing:
            deadline = self._pending.deadline
            left = DOZE if deadline is None else deadline - time.monotonic()
            self.inbox.wait(min(DOZE, max(0.0, left)))
            self._turn()
        self._finish()

    def _finish(self) -> None:
        self.inbox.close()
        self._turn()
        with self._lock:
            self._closed = True
            self._tell_early()
            self._end(self._pending.lost("the bridge stopped"))

    def _turn(self) -> None:
        """Read a portion of the inbox. Also called by the link, after it has read.

        With a thread of its own for this, each message would wait for Python to
        switch, several times.
        """
        with self._lock:
            batch = self.inbox.take()
            if not self._closed:
                self._take(batch)

    def _take(self, batch: Batch) -> None:
        for call in batch.calls:
            _guarded(call)
        if batch.states:
            _guarded(lambda: self._mirror(batch.states))
            self.delay = time.monotonic() - batch.since
        for topic, payload in batch.messages:
            self._message(topic, payload)
        self._end(self._pending.expired(time.monotonic()))
        if batch.last and self._then:
            waiting, self._then = self._then, []
            for each in waiting:
                _guarded(each)

    def _mirror(self, states: dict[str, bytes]) -> None:
        changes, now = Changes(), time.time()
        for topic, payload in states.items():
            try:
                self.fleet.receive(topic, payload, now, changes)
            except Exception:
                logger.exception("%.200s: message dropped", topic)
        self._apply(changes)

    def _apply(self, changes: Changes) -> None:
        try:
            self._hand_over(changes)
        except Exception:
            logger.exception(
                "items are refused; each printer's are tried by themselves"
            )
            for slug, part in changes.parts().items():
                self._try(slug, part, changes)
        for printer in changes.gone:
            self._end(self._pending.gone(printer))
        self._end(self._pending.seen(changes.states))
        if changes.come and self._early is None:
            self._look(changes.come)
        if self.observers:
            printers = changes.printers()
            for observer in self.observers:
                _guarded(partial(observer, printers))

    def _hand_over(self, changes: Changes) -> None:
        if changes.removed or changes.placed:
            self._sink.change(changes.removed, changes.placed)
        rows = changes.rows
        if changes.removed:
            rows = [row for row in rows if row[0] not in changes.removed]
        self._sink.publish(rows)

    def _try(self, slug: str, part: Changes, changes: Changes) -> None:
        """Hand over what one printer changed, or drop the printer."""
        try:
            self._hand_over(part)
        except Exception:
            logger.exception("printer %s is dropped until it says all again", slug)
            changes.gone.add(slug)
            if slug in self.fleet.printers:
                left = Changes()
                self.fleet.forget(slug, left)
                _guarded(lambda: self._sink.change(left.removed, {}))

    def _message(self, topic: str, payload: bytes) -> None:
        try:
            where = Topic.parse(self.settings.broker.base, topic)
            if where.kind == "results":
                self._answered(where.printer, Result.decode(payload))
            elif where.kind == "events":
                self._happened(where.printer, Event.decode(payload))
        except ContractError as error:
            self.fleet.complain(topic, str(error))
        except Exception:
            logger.exception("%.200s: message dropped", topic)

    def _answered(self, slug: str, result: Result) -> None:
        printer = self.fleet.printers.get(slug)
        record = None if printer is None else printer.tasks.get(result.task)
        seq = -1 if record is None else record.seq
        self._end(self._pending.answered(slug, result, seq))

    def _happened(self, slug: str, event: Event) -> None:
        if self._early is not None:
            self._early.append((slug, event))
            return
        told = self._told(slug, event)
        for listener in self.listeners:
            try:
                listener(told)
            except Exception:
                logger.exception("an event was dropped")

    def _told(self, slug: str, event: Event) -> PrinterEvent:
        printer = self.fleet.printers.get(slug)
        info = printer.face.info if printer else None
        record = printer.tasks.get(event.task) if printer else None
        count = record.named()["done_count"] if record else 0
        return PrinterEvent(
            slug,
            info.name if info else slug,
            info.url if info else "",
            event,
            int(count or 0),
        )

    def _tell_early(self) -> None:
        early, self._early = self._early or [], None
        for slug, event in early:
            self._happened(slug, event)

    def _look(self, slugs: Iterable[str]) -> None:
        if not self.watchers:
            return
        printers = [self.fleet.printers[s] for s in slugs if s in self.fleet.printers]
        standing = [told for printer in printers for told in self._standing(printer)]
        for watcher in self.watchers:
            try:
                watcher(frozenset(printer.slug for printer in printers), standing)
            except Exception:
                logger.exception("what stands was not told")

    def _standing(self, printer: Printer) -> Iterable[PrinterEvent]:
        """What was to be told of every task as it stands."""
        for task, record in printer.tasks.items():
            status = contract.STATUSES[int(record.values[STATUS_AT] or 0)]
            if record.shown and status in (contract.SOON, contract.DUE):
                said = record.named()
                texts = {
                    name: str(said[name] or "")
                    for name in ("label", "message", "guide")
                }
                event = Event(record.seq, record.time, task, status, **texts)
                yield self._told(printer.slug, event)

    # Commands

    def _ask(
        self,
        slug: str,
        task: str,
        make: Callable[[fleet.Record, str], Command],
        future: Future[Result | None],
    ) -> None:
        ident = uuid.uuid4().hex
        try:
            command = make(self._reachable(slug, task), ident)
            payload = command.encode()
            changes = command.command != "log"
            self._pending.open(ident, slug, task, time.monotonic(), changes=changes)
        except Exception as error:  # noqa: BLE001 - the asker is told
            self._count("refused")
            future.set_exception(error)
            return
        self._futures[ident] = future
        topic = Topic(slug, "command", task).format(self.settings.broker.base)
        self.link.publish(topic, payload)

    def _reachable(self, slug: str, task: str) -> fleet.Record:
        """Return the task's record. The errors are those of the contract's table."""
        printer = self.fleet.printers.get(slug)
        record = None if printer is None else printer.tasks.get(task)
        if printer is None or record is None or not record.shown:
            raise transactions.error(contract.UNKNOWN_TASK, f"{slug}.{task}")
        if not self.fleet.connected or not self.link.connected:
            raise transactions.error(
                contract.NOT_READY,
                f"the bridge has no connection to {self.settings.broker.address}",
            )
        if not printer.online:
            raise transactions.error(contract.NOT_READY, f"printer {slug!r} is offline")
        if printer.face.info and not printer.face.info.commands:
            raise transactions.error(
                contract.NOT_READY, f"printer {slug!r} takes no commands over MQTT"
            )
        return record

    def _end(self, outcomes: Iterable[Outcome]) -> None:
        for transaction, error, result in outcomes:
            future = self._futures.pop(transaction, None)
            self._count(type(error).__name__ if error else "ok")
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def _count(self, outcome: str) -> None:
        self.commands[outcome] = self.commands.get(outcome, 0) + 1

    # The connection

    def _connected(self) -> None:
        self._early = self._early or []
        self._connection(up=True)

    def _lost(self, _reason: str) -> None:
        self._settling = None
        self._then.clear()
        self._tell_early()
        self._connection(up=False)
        self._end(self._pending.lost("the broker was lost"))

    def _connection(self, *, up: bool) -> None:
        changes, now = Changes(), time.time()
        self.fleet.connection(up=up, now=now, changes=changes)
        self._sink.connected(up=up, when=now)
        self._apply(changes)

    def _settled(self) -> None:
        """Ask again for what is missing: brokers drop parts of a large answer."""
        if not self.link.connected:
            return  # the next connection settles anew
        missing = [p.slug for p in self.fleet.printers.values() if not p.whole]
        complete = len(self.fleet.printers) - len(missing)
        if missing and complete != self._complete:
            self._complete = complete
            self._settling = missing
            self._fetch()
        else:
            self._complete = -1
            self._settling = None
            self._forget()
            self.ready.set()
            # Events first: what they told is not told again as what stands.
            self._tell_early()
            self._look(self.fleet.printers)

    def _fetch(self) -> None:
        if self._settling is None:
            return  # the connection was lost meanwhile
        part, self._settling = self._settling[:FETCH], self._settling[FETCH:]
        if not part:
            self._settled()
            return
        self.link.fetch(part, lambda: self._then.append(self._fetch))

    def _forget(self) -> None:
        """Drop printers of which the broker has known nothing for a week."""
        changes, long_ago = Changes(), time.time() - FORGET
        for slug, printer in list(self.fleet.printers.items()):
            if printer.heard < long_ago:
                self.fleet.forget(slug, changes)
        self._apply(changes)

    def _close(self) -> None:
        self._closing = True


def _stopped() -> Exception:
    return transactions.error(contract.NOT_READY, "the bridge has stopped")


def _guarded(act: Callable[[], object]) -> None:
    """The thread must live on: with it would go every later message."""
    try:
        act()
    except Exception:
        logger.exception("something was dropped")


class _Decisions(dict[str, bool]):
    """What *decide* said of a text, once asked for it."""

    def __init__(self, decide: Callable[[str], bool]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, text: str) -> bool:
        if len(self) > fleet.MAX_PRINTERS:
            self.clear()
        found = self[text] = self._decide(text)
        return found
