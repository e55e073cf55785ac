"""Commands under way, from the SET that asked to the state that carries the change.

Pure: the caller brings the clock and hands the outcomes to whoever waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mqtt_bridge import contract
from mqtt_bridge.contract import Result

ANSWER_WITHIN = 5.0  # seconds
MAX_PENDING = 10_000

ERRORS: dict[str, type[Exception]] = {
    contract.UNKNOWN_TASK: KeyError,
    contract.BAD_ARGUMENT: ValueError,
    contract.NOT_READY: RuntimeError,
    contract.INTERNAL: RuntimeError,
    contract.NO_ANSWER: TimeoutError,
}


class Outcome(NamedTuple):
    """How a transaction ended: *error* is None where the change has been seen."""

    transaction: str
    error: Exception | None
    result: Result | None = None


class _Transaction:
    __slots__ = ("changes", "deadline", "printer", "result", "task")

    def __init__(
        self, printer: str, task: str, deadline: float, *, changes: bool
    ) -> None:
        self.printer = printer
        self.task = task
        self.deadline = deadline
        self.changes = changes
        self.result: Result | None = None  # its seq is that of the state to wait for

    def carried(self, seq: int) -> bool:
        """Whether a state of *seq* carries the change."""
        return self.result is not None and seq >= (self.result.seq or 0)


class Transactions:
    """Every transaction ends in exactly one outcome."""

    def __init__(self, answer_within: float = ANSWER_WITHIN) -> None:
        self._within = answer_within
        self._asked: dict[str, _Transaction] = {}  # in the order of their deadlines

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def deadline(self) -> float | None:
        """When `expired` has something to tell, at the earliest."""
        return next((each.deadline for each in self._asked.values()), None)

    def open(
        self,
        transaction: str,
        printer: str,
        task: str,
        now: float,
        *,
        changes: bool = True,
    ) -> None:
        """Wait for the answer to *transaction*; RuntimeError if too many wait.

        What *changes* nothing has its answer in the result, and not in a state.
        """
        if len(self._asked) >= MAX_PENDING:
            raise RuntimeError(f"{MAX_PENDING} commands wait for an answer already")
        self._asked[transaction] = _Transaction(
            printer, task, now + self._within, changes=changes
        )

    def answered(self, printer: str, result: Result, seq: int) -> list[Outcome]:
        """Take *printer*'s result; *seq* is that of the task's state seen last.

        A result of another printer, or for nobody, is nothing to us.
        """
        asked = self._asked.get(result.transaction)
        if asked is None or asked.printer != printer:
            return []
        if result.code is not None:
            return [self._end(result.transaction, error(result.code, result.text))]
        asked.result = result
        if not asked.changes or asked.carried(seq):
            return [self._end(result.transaction, None)]
        return []

    def seen(self, states: Iterable[tuple[str, str, int]]) -> list[Outcome]:
        """Take the (printer, task, seq) of states that can be read from now on."""
        if not self._asked:
            return []
        newest = {(printer, task): seq for printer, task, seq in states}
        done = [
            transaction
            for transaction, asked in self._asked.items()
            if asked.carried(newest.get((asked.printer, asked.task), -1))
        ]
        return [self._end(transaction, None) for transaction in done]

    def expired(self, now: float) -> list[Outcome]:
        late = []
        for transaction, asked in self._asked.items():
            if asked.deadline > now:
                break
            late.append(transaction)
        text = f"the printer did not answer within {self._within:g} s"
        return [self._fail(each, contract.NO_ANSWER, text) for each in late]

    def gone(self, printer: str) -> list[Outcome]:
        """Answer those who wait for *printer*, which went offline."""
        hit = [t for t, asked in self._asked.items() if asked.printer == printer]
        text = f"printer {printer!r} went offline before it answered"
        return [self._fail(each, contract.NO_ANSWER, text) for each in hit]

    def lost(self, reason: str) -> list[Outcome]:
        """Answer everybody: the broker is gone, or the bridge stops."""
        text = f"{reason} before the printer answered"
        return [self._fail(each, contract.NO_ANSWER, text) for each in [*self._asked]]

    def _fail(self, transaction: str, code: str, text: str) -> Outcome:
        return self._end(transaction, error(code, text))

    def _end(self, transaction: str, error: Exception | None) -> Outcome:
        asked = self._asked.pop(transaction)
        return Outcome(transaction, error, asked.result)


def error(code: str, text: str) -> Exception:
    """The exception of a code in a result, as the mKTL client will see it."""
    return ERRORS.get(code, RuntimeError)(text or code)
