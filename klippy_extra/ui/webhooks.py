"""Endpoints for Moonraker and screens: the tasks, their log and history, commands.

Moonraker hands them on as `/printer/maintain/tasks`, `…/log`, `…/history` and
`…/command`.
"""

from __future__ import annotations

import json

from .. import contract
from ..contract import Command, ContractError
from ..guard import guarded, unharmed
from ..storage.export import table
from ..task import Task

LISTED = 100  # entries of the log, unless asked for more
PATIENCE = 5.0  # seconds for a change to reach the disk
UNSAVED = "is changed, but the disk has not confirmed it yet."


class Web:
    """Registers the endpoints; they are answered from memory."""

    def __init__(self, printer, manager) -> None:
        self._manager = manager
        self._reactor = printer.get_reactor()
        webhooks = printer.lookup_object("webhooks")
        for path, handler in (
            ("maintain/tasks", self._tasks),
            ("maintain/log", self._log),
            ("maintain/history", self._history),
            ("maintain/command", self._command),
        ):
            # Any other exception than this one shuts the printer down.
            entry = guarded(handler, path, through=(printer.command_error,))
            webhooks.register_endpoint(path, entry)

    def _tasks(self, request) -> None:
        self._refuse_unless_ready(request)
        tasks = [json.loads(each.encode()) for each in self._manager.board.states()]
        request.send(
            {
                "tasks": tasks,
                "meters": self._manager.counting.readings(),
                "problem": self._manager.problems.summary,
            }
        )

    def _log(self, request) -> None:
        self._refuse_unless_ready(request)
        limit = _count(request, "limit", LISTED)
        name = request.get("task", None)
        task = None if name is None else self._task(request)
        entries = self._manager.memory.log(task and task.slug, limit)
        lines = [dict(e._asdict(), time=contract.iso(e.time)) for e in entries]
        request.send({"log": lines, "csv": table(entries)})

    def _history(self, request) -> None:
        """The readings of each limit's counter, a day apart, oldest first.

        A point is a moment (UNIX seconds) and the counter's reading in its unit; the
        last point is now.
        """
        self._refuse_unless_ready(request)
        task = self._task(request)
        now = self._manager.wall()
        points = self._manager.book.history(task.slug, now)
        request.send({"task": task.slug, "limits": points})

    def _command(self, request) -> None:
        """Carry out a command of the contract, and answer once it is on the disk."""
        self._refuse_unless_ready(request)
        task = self._task(request)
        payload = request.get("command")
        if not isinstance(payload, str):
            payload = json.dumps(payload)
        try:
            command = Command.decode(payload.encode("utf-8", "replace"))
        except ContractError as error:
            raise request.error(str(error)) from None
        written = self._reactor.completion()
        refused: list[str] = []
        self._manager.orders.give(task.slug, command, refused.append, written.complete)
        if refused:
            raise request.error(refused[0])
        # Requests are handled in greenlets of their own: waiting holds nobody up.
        until = self._reactor.monotonic() + PATIENCE
        text = unharmed(lambda: written.wait(until, UNSAVED))
        request.send({"text": text or UNSAVED})

    def _task(self, request) -> Task:
        name = str(request.get("task"))
        task: Task | None = self._manager.find(name)
        if task is None:
            raise request.error(f"There is no maintenance task '{name}'.")
        return task

    def _refuse_unless_ready(self, request) -> None:
        if not self._manager.running:
            raise request.error("The printer is not ready.")


def _count(request, name: str, default: int) -> int:
    """Of at least 1. Out of an address Moonraker makes words of numbers."""
    value = request.get(name, default)
    try:
        return max(1, int(value))
    except (TypeError, ValueError, OverflowError):
        raise request.error(f"{name} must be a whole number.") from None
