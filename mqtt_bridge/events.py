"""Passes the tasks' events from the broker to the listeners."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from mqtt_bridge import contract
from mqtt_bridge.contract import Event
from mqtt_bridge.fleet.fleet import MAX_PRINTERS, Fleet
from mqtt_bridge.fleet.items import STATUS_AT
from mqtt_bridge.fleet.records import Printer, PrinterEvent

logger = logging.getLogger(__name__)

MOST_EARLY = 20_000  # events that may wait for the states of their tasks
BURST, RATE = 2000.0, 1.0  # events that a printer may send at once, and each second
MOST_NAMED = 1000  # printers whose flood of events the log has named


class Events:
    """Passes events on. It is called in the bridge's turn.

    *event_listeners* get every event. *standing_listeners* get printers, and for each
    of their tasks that is due or due soon an event for this status: for all printers
    once on each connection, and for one printer when it comes online. They need this
    since no event arrived before that.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        # Events that arrived before the retained states of their tasks.
        self._early: list[tuple[str, Event]] | None = []
        self._credit: dict[str, tuple[float, float]] = {}  # by printer: events, time
        self._named: set[str] = set()  # printers whose floods are in the log
        self.dropped = 0
        self.event_listeners: list[Callable[[PrinterEvent], None]] = []
        self.standing_listeners: list[
            Callable[[frozenset[str], list[PrinterEvent]], None]
        ] = []

    @property
    def waiting(self) -> bool:
        """Whether events wait until all retained messages have arrived."""
        return self._early is not None

    def wait(self) -> None:
        """Keep events from now on, since their tasks' states have not arrived."""
        self._early = self._early or []

    def release(self) -> None:
        """Pass the kept events on."""
        early, self._early = self._early or [], None
        for slug, event in early:
            self._pass_on(slug, event)

    def receive(self, slug: str, event: Event) -> None:
        if not self._allowed(slug, time.monotonic()):
            return
        if self._early is None:
            self._pass_on(slug, event)
        elif len(self._early) < MOST_EARLY:
            self._early.append((slug, event))
        else:
            self.dropped += 1

    def stand(self, slugs: Iterable[str]) -> None:
        """Call the standing listeners with the statuses of these printers' tasks."""
        if not self.standing_listeners:
            return
        known = self._fleet.printers
        printers = [known[slug] for slug in slugs if slug in known]
        events = [event for printer in printers for event in self._standing(printer)]
        for listener in self.standing_listeners:
            try:
                listener(frozenset(printer.slug for printer in printers), events)
            except Exception:
                logger.exception("a listener did not take what stands")

    def _allowed(self, slug: str, now: float) -> bool:
        """Return whether *slug* may send one more event now. A flood is cut off."""
        credit, since = self._credit.pop(slug, (BURST, now))
        credit = min(BURST, credit + (now - since) * RATE)
        is_allowed = credit >= 1.0
        self._credit[slug] = (credit - is_allowed, now)
        if len(self._credit) > MAX_PRINTERS:
            # Anybody can send events under ever new names.
            del self._credit[next(iter(self._credit))]
        if is_allowed:
            return True
        self.dropped += 1
        if slug not in self._named and len(self._named) < MOST_NAMED:
            self._named.add(slug)
            logger.warning(
                "printer %s sends more than %d events: those above %g in a second "
                "are dropped", slug, BURST, RATE,
            )  # fmt: skip
        return False

    def _pass_on(self, slug: str, event: Event) -> None:
        printer_event = self._of(slug, event)
        for listener in self.event_listeners:
            try:
                listener(printer_event)
            except Exception:
                logger.exception("an event was dropped")

    def _of(self, slug: str, event: Event) -> PrinterEvent:
        printer = self._fleet.printers.get(slug)
        info = printer.state.info if printer else None
        record = printer.tasks.get(event.task) if printer else None
        count = record.named()["done_count"] if record else 0
        return PrinterEvent(
            slug,
            info.name if info else slug,
            info.url if info else "",
            event,
            int(count or 0),
        )

    def _standing(self, printer: Printer) -> Iterable[PrinterEvent]:
        """Return the events for the present statuses of all tasks."""
        for task, record in printer.tasks.items():
            status = contract.STATUSES[int(record.values[STATUS_AT] or 0)]
            if record.shown and status in (contract.SOON, contract.DUE):
                values = record.named()
                texts = {
                    name: str(values[name] or "")
                    for name in ("label", "message", "guide")
                }
                event = Event(record.seq, record.time, task, status, **texts)
                yield self._of(printer.slug, event)
