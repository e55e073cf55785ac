"""Collects logs for the page: of one task, of a printer, or of all printers.

The printers keep the logs, so each log needs a command. For all printers, only the logs
of the tasks that were done last are requested. The entries of other printers are shown
even if one printer is offline or does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web

from mqtt_bridge.contract import Command, Result
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Printer
from mqtt_bridge.web import views

MOST = 100  # entries of one task's log
TOGETHER = 20  # how many logs are requested at once
TASKS = 100  # for all printers: how many tasks, those that were done last
OF_EACH = 10  # for all printers: entries of each of these tasks

Answer = Result | web.Response
Ask = Callable[[str, str, Command], Awaitable[Answer]]
InTurn = Callable[[Callable[[], Any]], Awaitable[Any]]


class _Task(NamedTuple):
    last_done: float
    slug: str
    name: str  # the printer's name
    task: str


class Logs:
    """Requests logs from printers by *ask*. *in_turn* reads the *fleet*."""

    def __init__(self, fleet: Callable[[], Fleet], ask: Ask, in_turn: InTurn) -> None:
        self._fleet = fleet
        self._ask = ask
        self._in_turn = in_turn

    async def answer(self, slug: str, task: str | None) -> web.Response:
        """Return the log of *task*, of the whole printer *slug*, or of all ("")."""
        entries: list[views.Json] = []
        tasks = await self._in_turn(partial(self._tasks, slug, task))
        most = MOST if slug else OF_EACH
        for first in range(0, len(tasks), TOGETHER):
            part = tasks[first : first + TOGETHER]
            command = Command("log", limit=most)
            requests = [self._ask(each.slug, each.task, command) for each in part]
            outcomes = await asyncio.gather(*requests)
            for each, outcome in zip(part, outcomes, strict=True):
                if not isinstance(outcome, web.Response):
                    entries += [views.entry(one, each.name) for one in outcome.log]
                elif slug:
                    return outcome
        entries.sort(key=lambda each: -int(each["time"]))
        return web.json_response({"log": entries})

    def _tasks(self, slug: str, task: str | None) -> list[_Task]:
        """Return the tasks whose logs are wanted. It runs in the bridge's turn."""
        printers = self._fleet().printers
        if slug:
            known = printers.get(slug)
            if task:
                return [_Task(0.0, slug, _name(known, slug), task)]
            return [] if known is None else _tasks(known)
        tasks = [
            each
            for printer in printers.values()
            if printer.online and (printer.state.info and printer.state.info.commands)
            for each in _tasks(printer)
        ]
        return sorted(tasks, reverse=True)[:TASKS]


def _tasks(printer: Printer) -> list[_Task]:
    name = _name(printer, printer.slug)
    return [
        _Task(float(record.named()["last_done"] or 0), printer.slug, name, task)
        for task, record in printer.tasks.items()
        if record.shown
    ]


def _name(printer: Printer | None, slug: str) -> str:
    info = printer.state.info if printer else None
    return info.name if info else slug
