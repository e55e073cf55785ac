"""Commands to printers, from the request to the state that has the change."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol

from mqtt_bridge import contract
from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.contract import Command, Result, Topic
from mqtt_bridge.fleet import transactions
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Record
from mqtt_bridge.fleet.transactions import Outcome, Transactions
from mqtt_bridge.settings import Broker

Make = Callable[[Record, str], Command]

# How commands end beside "ok" and "refused", each with the error for mKTL clients.
OUTCOMES = (
    "ok",
    "refused",
    *sorted({e.__name__ for e in transactions.ERRORS.values()}),
)


class Connection(Protocol):
    """The link, as commands use it."""

    @property
    def connected(self) -> bool: ...

    def publish(
        self, topic: str, payload: bytes, refused: Callable[[str], None]
    ) -> None: ...


class Commands:
    """Any thread may call `ask`. All else is called in the bridge's turn."""

    def __init__(
        self, broker: Broker, fleet: Fleet, link: Connection, inbox: Inbox
    ) -> None:
        self._broker = broker
        self._fleet = fleet
        self._link = link
        self._inbox = inbox
        self._futures: dict[str, Future[Result | None]] = {}
        self.transactions = Transactions()
        self.outcomes = dict.fromkeys(OUTCOMES, 0)  # how many commands ended each way

    def ask(
        self, printer: str, task: str, make: Make, client: str = ""
    ) -> Future[Result | None]:
        """Send a command. The Future ends when its change can be read, or was refused.

        *make* gets the task's record and a transaction. Wrong commands are refused here
        if possible, on the caller's thread, so that a flood of wrong SETs does not
        occupy the bridge's turn.
        """
        future: Future[Result | None] = Future()
        ident = uuid.uuid4().hex
        try:
            self.transactions.check(printer, task, client)
            command = make(self._reachable(printer, task), ident)
            payload = command.encode()
        except Exception as error:  # noqa: BLE001 - the caller gets it
            self._count("refused")
            future.set_exception(error)
            return future
        changes = command.command != "log"
        if not self._inbox.offer(
            lambda: self._open(ident, printer, task, payload, client, changes, future)
        ):
            future.set_exception(stopped())
        return future

    # The bridge's turn

    def _open(
        self,
        ident: str,
        printer: str,
        task: str,
        payload: bytes,
        client: str,
        changes: bool,
        future: Future[Result | None],
    ) -> None:
        try:
            self._reachable(printer, task)  # it may have been removed meanwhile
            self.transactions.open(
                ident, printer, task, time.monotonic(), changes=changes, client=client
            )
        except Exception as error:  # noqa: BLE001 - the caller gets it
            self._count("refused")
            future.set_exception(error)
            return
        self._futures[ident] = future
        base = self._fleet.printers[printer].base
        topic = Topic(printer, "command", task).format(base)
        self._link.publish(
            topic, payload, lambda why: self.end(self.transactions.refused(ident, why))
        )

    def receive(self, slug: str, result: Result) -> None:
        """Handle a printer's result."""
        printer = self._fleet.printers.get(slug)
        record = None if printer is None else printer.tasks.get(result.task)
        seq = -1 if record is None else record.seq
        self.end(self.transactions.answered(slug, result, seq))

    def end(self, outcomes: Iterable[Outcome]) -> None:
        for transaction, error, result in outcomes:
            future = self._futures.pop(transaction, None)
            self._count(type(error).__name__ if error else "ok")
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def _reachable(self, slug: str, task: str) -> Record:
        """Return the task's record. It raises the errors of the contract's table."""
        printer = self._fleet.printers.get(slug)
        record = None if printer is None else printer.tasks.get(task)
        if printer is None or record is None or not record.shown:
            raise transactions.error(contract.UNKNOWN_TASK, f"{slug}.{task}")
        if not self._fleet.connected or not self._link.connected:
            raise transactions.error(
                contract.NOT_READY,
                f"the bridge has no connection to {self._broker.address}",
            )
        if not printer.online:
            raise transactions.error(contract.NOT_READY, f"printer {slug!r} is offline")
        if printer.state.info and not printer.state.info.commands:
            raise transactions.error(
                contract.NOT_READY, f"printer {slug!r} takes no commands over MQTT"
            )
        return record

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


def stopped() -> Exception:
    return transactions.error(contract.NOT_READY, "the bridge has stopped")
