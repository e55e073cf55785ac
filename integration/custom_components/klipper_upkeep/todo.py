"""A printer's to-do list: the tasks that are due. A tick marks one done."""

from __future__ import annotations

from datetime import UTC, datetime

from homeassistant.components.todo import TodoItem, TodoListEntity
from homeassistant.components.todo.const import TodoItemStatus, TodoListEntityFeature
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .actions import name_of
from .const import DOMAIN
from .contract import DUE, Command, State
from .entity import PrinterEntity, add_for_each_printer
from .fleet import Fleet, Printer, UpkeepEntry

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add a list for each printer."""
    add_for_each_printer(hass, entry, add, DueTasks)


class DueTasks(PrinterEntity, TodoListEntity):
    """One item for each task that is due."""

    _attr_supported_features = TodoListEntityFeature.UPDATE_TODO_ITEM

    def __init__(self, fleet: Fleet, printer: Printer) -> None:
        super().__init__(fleet, printer, "due_tasks")

    @property
    def todo_items(self) -> list[TodoItem]:
        """The due tasks, the most overdue first."""
        due = [state for state in self.printer.tasks.values() if state.status == DUE]
        due.sort(key=lambda state: -state.deciding.percent)
        return [_item(state) for state in due]

    async def async_update_todo_item(self, item: TodoItem) -> None:
        """Mark the task done and wait for the printer's word."""
        state = self.printer.tasks.get(str(item.uid))
        if state is None or item.status != TodoItemStatus.COMPLETED:
            raise ServiceValidationError(
                translation_domain=DOMAIN, translation_key="only_done"
            )
        by = await name_of(self.hass, self._context)
        await self.fleet.command(self.printer, state.task, Command("done", by=by))


def _item(state: State) -> TodoItem:
    lines = [state.message, state.parts and f"Parts: {state.parts}", state.guide]
    return TodoItem(
        uid=state.task,
        summary=state.label,
        status=TodoItemStatus.NEEDS_ACTION,
        description="\n".join(line for line in lines if line) or None,
        due=None if state.due_at is None else datetime.fromtimestamp(state.due_at, UTC),
    )
