"""Open transactions, from a sent command to the state with its change. Pure.

The caller passes the time, and gives the outcomes to the waiting clients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from mqtt_bridge import contract
from mqtt_bridge.contract import Result

ANSWER_WITHIN = 5.0  # seconds
# The most open transactions: of all clients, for a printer, for a task, and of a
# client. A command above these is refused at once, so that other clients are served.
MAX_OPEN, MAX_FOR_PRINTER, MAX_FOR_TASK, MAX_OF_CLIENT = 10_000, 1_000, 400, 500

ERRORS: dict[str, type[Exception]] = {
    contract.UNKNOWN_TASK: KeyError,
    contract.BAD_ARGUMENT: ValueError,
    contract.NOT_READY: RuntimeError,
    contract.INTERNAL: RuntimeError,
    contract.NO_ANSWER: TimeoutError,
}


class Outcome(NamedTuple):
    """How a transaction ended. *error* is None if its change has arrived."""

    transaction: str
    error: Exception | None
    result: Result | None = None


class _Transaction:
    __slots__ = ("changes", "client", "deadline", "printer", "result", "task")

    def __init__(
        self, printer: str, task: str, deadline: float, client: str, *, changes: bool
    ) -> None:
        self.printer = printer
        self.task = task
        self.deadline = deadline
        self.client = client
        self.changes = changes
        self.result: Result | None = None  # its seq is the number of the awaited state

    def is_carried_by(self, seq: int) -> bool:
        """Return whether a state with number *seq* has the change."""
        return self.result is not None and seq >= (self.result.seq or 0)


class Transactions:
    """The open transactions. Each of them ends with exactly one outcome."""

    def __init__(self, answer_within: float = ANSWER_WITHIN) -> None:
        self.answer_within = answer_within  # seconds
        self._open: dict[str, _Transaction] = {}  # in the order of their deadlines
        # By task: the transactions that have a result and wait for the task's state.
        self._results: dict[tuple[str, str], list[str]] = {}
        self._printers: Counter[str] = Counter()
        self._clients: Counter[str] = Counter()
        self._tasks: Counter[str] = Counter()  # by printer and task

    def __len__(self) -> int:
        return len(self._open)

    @property
    def deadline(self) -> float | None:
        """The earliest time at which `expired` has an outcome."""
        return next((each.deadline for each in self._open.values()), None)

    def check(self, printer: str, task: str, client: str = "") -> None:
        """Raise RuntimeError if too many are open. Any thread may call this."""
        if len(self._open) >= MAX_OPEN:
            raise RuntimeError(f"{MAX_OPEN} commands wait for an answer already")
        if self._printers[printer] >= MAX_FOR_PRINTER:
            raise RuntimeError(
                f"{MAX_FOR_PRINTER} commands wait for printer {printer!r} already"
            )
        if self._tasks[f"{printer}.{task}"] >= MAX_FOR_TASK:
            raise RuntimeError(
                f"{MAX_FOR_TASK} commands wait for task '{printer}.{task}' already"
            )
        if client and self._clients[client] >= MAX_OF_CLIENT:
            raise RuntimeError(
                f"{MAX_OF_CLIENT} commands of {client} wait for an answer already"
            )

    def open(
        self,
        transaction: str,
        printer: str,
        task: str,
        now: float,
        *,
        changes: bool = True,
        client: str = "",
    ) -> None:
        """Open *transaction*, and wait for its result. RuntimeError: too many are open.

        A command that *changes* nothing ends with its result, without a state.
        """
        self.check(printer, task, client)
        self._open[transaction] = _Transaction(
            printer, task, now + self.answer_within, client, changes=changes
        )
        self._printers[printer] += 1
        self._clients[client] += 1
        self._tasks[f"{printer}.{task}"] += 1

    def answered(self, printer: str, result: Result, seq: int) -> list[Outcome]:
        """Handle *printer*'s result. *seq* is the number of the task's newest state.

        A result of another printer, or of no open transaction, changes nothing.
        """
        ident = result.transaction
        transaction = self._open.get(ident)
        if transaction is None or transaction.printer != printer:
            return []
        if result.code is not None:
            return [self._end(ident, error(result.code, result.text))]
        transaction.result = result
        if not transaction.changes or transaction.is_carried_by(seq):
            return [self._end(ident, None)]
        task = (printer, transaction.task)
        waiting = self._results.setdefault(task, [])
        if ident not in waiting:
            waiting.append(ident)
        return []

    def seen(self, states: Iterable[tuple[str, str, int]]) -> list[Outcome]:
        """Handle states (printer, task, seq) that clients can read from now on."""
        if not self._results:
            return []
        carried = [
            ident
            for printer, task, seq in states
            for ident in self._results.get((printer, task), ())
            if self._open[ident].is_carried_by(seq)
        ]
        return [self._end(ident, None) for ident in dict.fromkeys(carried)]

    def refused(self, transaction: str, reason: str) -> list[Outcome]:
        """End a transaction whose command the broker refused, so nothing was done."""
        if transaction not in self._open:
            return []
        return [self._fail(transaction, contract.NOT_READY, reason)]

    def expired(self, now: float) -> list[Outcome]:
        late = []
        for ident, transaction in self._open.items():
            if transaction.deadline > now:
                break
            late.append(ident)
        text = f"the printer did not answer within {self.answer_within:g} s"
        return [self._fail(each, contract.NO_ANSWER, text) for each in late]

    def gone(self, printer: str) -> list[Outcome]:
        """End the transactions of *printer*, which went offline."""
        if not self._printers[printer]:
            return []
        waiting = [i for i, each in self._open.items() if each.printer == printer]
        text = f"printer {printer!r} went offline before it answered"
        return [self._fail(each, contract.NO_ANSWER, text) for each in waiting]

    def lost(self, reason: str) -> list[Outcome]:
        """End all transactions, since the broker is lost, or the bridge stops."""
        text = f"{reason} before the printer answered"
        return [self._fail(each, contract.NO_ANSWER, text) for each in [*self._open]]

    def _fail(self, transaction: str, code: str, text: str) -> Outcome:
        return self._end(transaction, error(code, text))

    def _end(self, ident: str, error: Exception | None) -> Outcome:
        transaction = self._open.pop(ident)
        for counter, name in (
            (self._printers, transaction.printer), (self._clients, transaction.client),
            (self._tasks, f"{transaction.printer}.{transaction.task}"),
        ):  # fmt: skip
            counter[name] -= 1
            if counter[name] <= 0:
                del counter[name]
        task = (transaction.printer, transaction.task)
        waiting = self._results.get(task)
        if waiting and ident in waiting:
            waiting.remove(ident)
            if not waiting:
                del self._results[task]
        return Outcome(ident, error, transaction.result)


def error(code: str, text: str) -> Exception:
    """Return the exception for the code of a result, as the mKTL client will see it."""
    return ERRORS.get(code, RuntimeError)(text or code)
