"""Endpoints for Moonraker and screens: the tasks, their log and history, commands.

Moonraker has them as `/printer/maintain/tasks`, `…/log`, `…/history` and `…/command`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Callable

from ..contract import Command, ContractError
from ..guard import guarded, unharmed
from ..language import current, mark, tr
from ..storage.export import table

if TYPE_CHECKING:
    from ..klipper_objects import Printer, Webhooks, WebRequest
    from ..task import Task
    from ..upkeep.registry import Running, TaskRegistry

Handler = Callable[["WebRequest", "Running"], None]

NOT_READY = mark("The printer is not ready.")
A_TURN = 5  # tasks that are made in one turn of the reactor
LISTED = 100  # entries of the log, unless the request has a limit
PATIENCE = 20.0  # seconds in which a change must reach the disk
UNSAVED = mark("is changed, but the disk has not confirmed it yet.")


class Web:
    """Registers the endpoints, which are answered from memory."""

    def __init__(self, printer: Printer, registry: TaskRegistry) -> None:
        self._registry = registry
        self._reactor = printer.get_reactor()
        webhooks: Webhooks = printer.lookup_object("webhooks")
        endpoints: tuple[tuple[str, Handler], ...] = (
            ("maintain/tasks", self._tasks),
            ("maintain/log", self._log),
            ("maintain/history", self._history),
            ("maintain/command", self._command),
        )
        for path, handler in endpoints:
            # Any other exception than this one shuts the printer down.
            entry = guarded(
                self._with_upkeep(handler), path, through=(printer.command_error,)
            )
            webhooks.register_endpoint(path, entry)

    def _with_upkeep(self, handler: Handler) -> Callable[[WebRequest], None]:
        """Call *handler* if the upkeep is running, and otherwise refuse."""

        def entry(request: WebRequest) -> None:
            running = self._registry.running
            if running is None:
                raise request.error(tr(NOT_READY))
            handler(request, running)

        return entry

    def _tasks(self, request: WebRequest, running: Running) -> None:
        """Send all tasks. They are made in several turns, so that no timer waits."""
        tasks: list[dict[str, object]] = []
        for slug in running.upkeep.tasks:
            if tasks and not len(tasks) % A_TURN:
                self._pause(request)
            tasks.append(json.loads(running.upkeep.board.state(slug).encode()))
        job = running.follower.job
        request.send(
            {
                "tasks": tasks,
                "meters": running.upkeep.counting.readings(),
                "problem": self._registry.problems.summary,
                "language": current.catalogue.code,
                **({} if job is None else {"job": job.fields()}),
            }
        )

    def _pause(self, request: WebRequest) -> None:
        """Let other greenlets run. Each request is handled in its own greenlet."""
        now = self._reactor.monotonic()
        if unharmed(lambda: self._reactor.pause(now)) is None:
            raise request.error(tr(NOT_READY))

    def _log(self, request: WebRequest, running: Running) -> None:
        limit = _count(request, "limit", LISTED)
        name = request.get("task", None)
        task = None if name is None else self._task(request)
        entries = running.upkeep.memory.log(None if task is None else task.slug, limit)
        lines = [each.fields() for each in entries]
        request.send({"log": lines, "csv": table(entries)})

    def _history(self, request: WebRequest, running: Running) -> None:
        """Send the readings of each limit's counter for each day, the oldest first.

        A point is a time (UNIX seconds) and the counter's reading in its unit. The last
        point is now.
        """
        task = self._task(request)
        now = running.upkeep.wall()
        points = running.upkeep.book.history(task.slug, now)
        request.send({"task": task.slug, "limits": points})

    def _command(self, request: WebRequest, running: Running) -> None:
        """Carry out a command of the contract, and answer when it is on disk."""
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
        saved: list[bool] = []
        running.commands.give(
            task.slug,
            command,
            refused.append,
            written.complete,
            lambda: saved.append(True),
        )
        if refused:
            raise request.error(refused[0])
        # A wait here delays no other greenlet, as in `_pause`.
        until = self._reactor.monotonic() + PATIENCE
        text = unharmed(lambda: written.wait(until, ""))
        answer: dict[str, object] = {"text": text or tr(UNSAVED)}
        # The code of a part is not sent while a power cut could bring the part back.
        if command.command == "export" and saved:
            answer["part"] = dict(running.upkeep.book.records[task.slug].export)
        request.send(answer)

    def _task(self, request: WebRequest) -> Task:
        name = str(request.get("task"))
        task = self._registry.find(name)
        if task is None:
            raise request.error(tr("There is no maintenance task '{name}'.", name=name))
        return task


def _count(request: WebRequest, name: str, default: int) -> int:
    """Return a number of at least 1. Moonraker makes texts of an address's numbers."""
    value = request.get(name, default)
    try:
        return max(1, int(value))
    except (TypeError, ValueError, OverflowError):
        raise request.error(tr("{name} must be a whole number.", name=name)) from None
