"""The bridge itself. It handles the fleet and all open commands, turn by turn.

It gives the changes to a `Sink`, and imports neither mKTL nor paho.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from mqtt_bridge.broker.inbox import Batch, Inbox
from mqtt_bridge.commands import Commands, Make, stopped
from mqtt_bridge.contract import ContractError, Event, Result
from mqtt_bridge.events import Events
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Changes, ItemSource, Row
from mqtt_bridge.settings import Settings
from mqtt_bridge.settling import Settling

logger = logging.getLogger(__name__)

# Seconds for which a printer may be missing after the broker has come back.
FORGET = 7 * 86400.0
TICK = 0.25  # seconds between two checks of the clock


class Sink(Protocol):
    """Takes the mirrored items. Called in the bridge's turn."""

    def change(self, removed: Iterable[str], placed: dict[str, ItemSource]) -> None: ...

    def publish(self, rows: Iterable[Row]) -> None: ...

    def connected(self, *, up: bool, when: float) -> None: ...


class Link(Protocol):
    """The connection to the broker. `broker.link` has the real one."""

    @property
    def connected(self) -> bool: ...

    @property
    def connects(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    @property
    def lacks(self) -> tuple[str, ...]: ...

    @property
    def left_out(self) -> list[str]: ...

    @property
    def wildcards(self) -> bool: ...

    @property
    def last_retained(self) -> float: ...

    def start(self, listener: Any) -> None:
        """Begin to connect; *listener* is the bridge."""

    def publish(
        self, topic: str, payload: bytes, refused: Callable[[str], None]
    ) -> None: ...

    @property
    def lost_marks(self) -> bool: ...

    def request(
        self, filters: Any, then: Callable[[], None], *, qos: int, keep: bool
    ) -> None: ...

    def close(self) -> None: ...


class Bridge:
    """Mirrors the printers in *fleet* into *sink* from `start` to `close`.

    *link* puts what arrives into *inbox*. `assembly.make_bridge` puts all together.
    """

    def __init__(
        self, settings: Settings, fleet: Fleet, inbox: Inbox, link: Link, sink: Sink
    ) -> None:
        self.settings = settings
        self.fleet = fleet
        self.inbox = inbox
        self.link = link
        self.events = Events(fleet)
        self.commands = Commands(settings.broker, fleet, link, inbox)
        self.settling = Settling(fleet, link, _sweep(settings), self._settled)
        # Set once all retained messages were mirrored, or were requested in vain.
        self.ready = threading.Event()
        self.delay = 0.0  # seconds from the last batch's arrival to its publication
        # These are called in the bridge's turn, with the printers that have changed.
        self.observers: list[Callable[[frozenset[str]], None]] = []
        self._sink = sink
        # The turn. Only the thread that holds this lock may use the attributes below.
        self._lock = threading.Lock()
        self._closing = False  # whether `end` was called
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, name="upkeep-bridge", daemon=True
        )

    # Any thread

    def start(self) -> None:
        self._thread.start()
        self.link.start(self)

    def close(self) -> None:
        """End all open commands with an error, disconnect, and end the threads."""
        self.end()
        self.link.close()

    def end(self) -> None:
        """End all open commands with an error, and publish nothing afterwards."""
        self.inbox.call(self._close)
        if self._thread.is_alive():
            self._thread.join(2.0)
        else:
            self._finish()

    def ask(
        self, printer: str, task: str, make: Make, client: str = ""
    ) -> Future[Result | None]:
        """Send a command, as `Commands.ask` does."""
        return self.commands.ask(printer, task, make, client)

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run *function* in the bridge's turn, so that it may read the fleet."""
        future: Future[Any] = Future()

        def act() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is the Future's outcome
                future.set_exception(error)

        if not self.inbox.offer(act):
            future.set_exception(stopped())
        return future

    def turn(self) -> None:
        """Read a portion of the inbox. The link calls this too after it has read.

        With another thread for this, each message would have to wait several times
        until Python switches the thread.
        """
        with self._lock:
            batch = self.inbox.take()
            if not self._closed:
                self._take(batch)

    # In turn

    def _run(self) -> None:
        while not self._closing:
            deadline = self.commands.transactions.deadline
            left = TICK if deadline is None else deadline - time.monotonic()
            self.inbox.wait(min(TICK, max(0.0, left)))
            self.turn()
        self._finish()

    def _finish(self) -> None:
        self.inbox.close()
        while self.inbox.calls:
            self.turn()
        self.turn()
        with self._lock:
            self._closed = True
            self.events.release()
            self.commands.end(self.commands.transactions.lost("the bridge stopped"))

    def _take(self, batch: Batch) -> None:
        for call in batch.calls:
            _guarded(call)
        if batch.states:
            _guarded(lambda: self._mirror(batch.states))
            self.delay = time.monotonic() - batch.since
        for topic, payload in batch.messages:
            self._message(topic, payload)
        now = time.monotonic()
        self.commands.end(self.commands.transactions.expired(now))
        if batch.last:
            _guarded(lambda: self.settling.tick(now))

    def _mirror(self, states: dict[str, bytes]) -> None:
        changes, now = Changes(), time.time()
        for topic, payload in states.items():
            try:
                self.fleet.receive(topic, payload, now, changes)
            except Exception:
                logger.exception("%.200r: message dropped", topic)
        self._apply(changes)

    def _apply(self, changes: Changes) -> None:
        try:
            self._hand_over(changes)
        except Exception:
            logger.exception(
                "items are refused, so those of each printer are tried alone"
            )
            for slug, part in changes.parts().items():
                self._try(slug, part, changes)
        for printer in changes.gone:
            self.commands.end(self.commands.transactions.gone(printer))
        self.commands.end(self.commands.transactions.seen(changes.states))
        if changes.come and not self.events.waiting:
            self.events.stand(changes.come)
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
        """Give the changes of one printer to the sink, or drop the printer."""
        try:
            self._hand_over(part)
        except Exception:
            logger.exception("printer %s is dropped until it sends all again", slug)
            changes.gone.add(slug)
            if slug in self.fleet.printers:
                left = Changes()
                self.fleet.forget(slug, left)
                _guarded(lambda: self._sink.change(left.removed, {}))

    def _message(self, topic: str, payload: bytes) -> None:
        try:
            _, where = self.fleet.parse(topic)
            if not payload:
                return  # somebody clears topics, although these two retain nothing
            if where.kind == "results":
                self.commands.receive(where.printer, Result.decode(payload))
            elif where.kind == "events":
                self.events.receive(where.printer, Event.decode(payload))
        except ContractError as error:
            self.fleet.complain(topic, str(error))
        except Exception:
            logger.exception("%.200r: message dropped", topic)

    # The connection

    def on_connected(self) -> None:
        self.events.wait()
        self._connection(up=True)

    def on_settled(self) -> None:
        self.settling.marked(time.monotonic())

    def on_lost(self, _reason: str) -> None:
        self.settling.lost()
        self.events.release()
        self._connection(up=False)
        self.commands.end(self.commands.transactions.lost("the broker was lost"))

    def _connection(self, *, up: bool) -> None:
        changes, now = Changes(), time.time()
        self.fleet.connection(up=up, now=now, changes=changes)
        self._sink.connected(up=up, when=now)
        self._apply(changes)

    def _settled(self) -> None:
        """Note that all retained messages that the broker sends have arrived."""
        self._forget()
        self.ready.set()
        # Events come first, so that people get no second message about the same state.
        self.events.release()
        self.events.stand(self.fleet.printers)

    def _forget(self) -> None:
        """Drop printers of which the broker has retained nothing for a week."""
        changes, long_ago = Changes(), time.time() - FORGET
        for slug, printer in list(self.fleet.printers.items()):
            if printer.heard < long_ago:
                self.fleet.forget(slug, changes)
        self._apply(changes)

    def _close(self) -> None:
        self._closing = True


def _sweep(settings: Settings) -> list[str]:
    """Return filters that match all topics of all printers, if all are mirrored.

    None of them equals a filter to which the link stays subscribed. These are requested
    at QoS 0, and the others must stay at QoS 1.
    """
    if settings.store.printers:
        return []
    levels = ("+/+", "+/tasks/#")
    return [f"{base}/{level}" for base in settings.broker.bases for level in levels]


def _guarded(act: Callable[[], object]) -> None:
    """Call *act*, and log its error. If the thread ended, later messages were lost."""
    try:
        act()
    except Exception:
        logger.exception("something was dropped")
