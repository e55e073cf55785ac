"""To-do lists of due tasks. Who ticks a task marks it done, and can undo that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from homeassistant.components.todo import (  # type: ignore[attr-defined, unused-ignore]
    TodoItem,  # 2026 defines both in another module, and re-exports them here
    TodoListEntity,
)
from homeassistant.components.todo.const import TodoItemStatus, TodoListEntityFeature
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .actions import name_of
from .const import CONF_ONE_LIST, CONF_SOON, DOMAIN
from .contract import DUE, SOON, Command, State
from .entity import FleetEntity, MaintenanceEntity, add_for_each_printer
from .fleet import Fleet, Printer, UpkeepEntry
from .words import sentence

PARALLEL_UPDATES = 0

DONE_FOR = 24 * 3600.0  # seconds for which a done item is listed and can be undone


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add a list for each printer, or one list for all printers."""
    listed = {DUE, SOON} if entry.options.get(CONF_SOON, False) else {DUE}
    if entry.options.get(CONF_ONE_LIST, False):
        add([AllTasks(entry.runtime_data, entry.entry_id, listed)])
        return
    add_for_each_printer(
        hass, entry, add, lambda fleet, printer: DueTasks(fleet, printer, listed)
    )


class TaskList(FleetEntity, TodoListEntity):
    """A list with the tasks that are due, and those that were done lately."""

    _attr_supported_features = TodoListEntityFeature.UPDATE_TODO_ITEM
    listed: set[str]  # the statuses of open tasks that the list shows

    def tasks(self) -> Iterator[tuple[str, Printer, State]]:
        """Yield each task of the list, with its item's id and its printer."""
        raise NotImplementedError

    def title(self, printer: Printer, state: State) -> str:
        """Return the name of the item."""
        return state.label

    @property
    def todo_items(self) -> list[TodoItem]:
        """The open tasks, the most overdue first, then those that were done lately."""
        open_items, done = [], []
        for uid, printer, state in self.tasks():
            if printer.status(state) in self.listed:
                open_items.append((-state.deciding.percent, uid, printer, state))
            elif _done_lately(printer, state):
                done.append((-(state.last_done or 0), uid, printer, state))
        statuses = (
            (open_items, TodoItemStatus.NEEDS_ACTION),
            (done, TodoItemStatus.COMPLETED),
        )
        return [
            self._item(uid, printer, state, status)
            for rows, status in statuses
            for _, uid, printer, state in sorted(rows, key=lambda row: row[:2])
        ]

    async def async_update_todo_item(self, item: TodoItem) -> None:
        """Mark the task done, or undo that, and wait for the printer's result."""
        known = {uid: (printer, state) for uid, printer, state in self.tasks()}
        printer, state = known.get(str(item.uid), (None, None))
        before = {each.uid: each.status for each in self.todo_items}.get(item.uid)
        if printer is None or state is None or item.status in (None, before):
            raise ServiceValidationError(
                translation_domain=DOMAIN, translation_key="only_done"
            )
        by = await name_of(self.hass, self._context)
        if item.status == TodoItemStatus.COMPLETED:
            command = Command("done", by=by)
        else:
            command = await self._undo(printer, state, by)
        await self.fleet.command(printer, state.task, command)
        if command.command == "adjust":
            printer.undone.add((state.task, state.done_count))
            self.async_write_ha_state()

    async def _undo(self, printer: Printer, state: State, by: str) -> Command:
        """Return the command that restores the use before the last completion.

        The amounts come from the printer's log.
        """
        for entry in await self.fleet.log(printer):
            if entry.task == state.task and entry.event == "done" and entry.used:
                return Command("adjust", by=by, used=dict(entry.used))
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="only_done"
        )

    def _item(
        self, uid: str, printer: Printer, state: State, status: TodoItemStatus
    ) -> TodoItem:
        parts = state.parts and sentence(
            self.hass, "parts", "Parts: {parts}", parts=state.parts
        )
        lines = [state.message, parts, state.guide]
        at = state.due_at
        return TodoItem(
            uid=uid,
            summary=self.title(printer, state),
            status=status,
            description="\n".join(line for line in lines if line) or None,
            due=None if at is None else datetime.fromtimestamp(at, UTC),
        )


class DueTasks(MaintenanceEntity, TaskList):
    """The list of one printer."""

    def __init__(self, fleet: Fleet, printer: Printer, listed: set[str]) -> None:
        super().__init__(fleet, printer, "due_tasks")
        self.listed = listed

    def tasks(self) -> Iterator[tuple[str, Printer, State]]:
        """Yield each task of the printer."""
        for task, state in self.printer.tasks.items():
            yield task, self.printer, state


class AllTasks(TaskList):
    """One list for all printers of an entry."""

    def __init__(self, fleet: Fleet, entry: str, listed: set[str]) -> None:
        super().__init__(fleet)
        self.listed = listed
        self._attr_unique_id = f"{entry}_all_tasks"
        self._attr_translation_key = "all_tasks"

    def tasks(self) -> Iterator[tuple[str, Printer, State]]:
        """Yield each task of each printer."""
        for printer in self.fleet.printers.values():
            for task, state in printer.tasks.items():
                yield f"{printer.slug}/{task}", printer, state

    def title(self, printer: Printer, state: State) -> str:
        """Return the name of the item."""
        return f"{printer.name}: {state.label}"


def _done_lately(printer: Printer, state: State) -> bool:
    done = state.last_done
    if done is None or (state.task, state.done_count) in printer.undone:
        return False
    return 0.0 <= time.time() - done < DONE_FOR
