"""Endpoints for Moonraker and screens: the tasks, and the log.

Moonraker hands them on as `/printer/maintain/tasks` and `/printer/maintain/log`.
"""

from __future__ import annotations

import json

from . import contract
from .export import table
from .guard import guarded

LISTED = 100  # entries of the log, unless asked for more


class Web:
    """Registers the endpoints; they are answered from memory."""

    def __init__(self, printer, manager) -> None:
        self._manager = manager
        webhooks = printer.lookup_object("webhooks")
        for path, handler in (
            ("maintain/tasks", self._tasks),
            ("maintain/log", self._log),
        ):
            # Any other exception than this one shuts the printer down.
            entry = guarded(handler, path, through=(printer.command_error,))
            webhooks.register_endpoint(path, entry)

    def _tasks(self, request) -> None:
        self._refuse_unless_ready(request)
        tasks = [json.loads(each.encode()) for each in self._manager.board.states()]
        request.send({"tasks": tasks, "meters": self._manager.counting.readings()})

    def _log(self, request) -> None:
        self._refuse_unless_ready(request)
        limit = _count(request, "limit", LISTED)
        name = request.get("task", None)
        task = None if name is None else self._manager.find(str(name))
        if name is not None and task is None:
            raise request.error(f"There is no maintenance task '{name}'.")
        entries = self._manager.memory.log(task and task.slug, limit)
        lines = [dict(e._asdict(), time=contract.iso(e.time)) for e in entries]
        request.send({"log": lines, "csv": table(entries)})

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
