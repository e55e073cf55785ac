"""Raises an issue for each overdue task, with a flow that marks the task done."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import voluptuous as vol
from homeassistant.components.http.const import KEY_HASS_USER
from homeassistant.components.repairs import RepairsFlow
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.http import current_request

from .const import CONF_MARGIN, CONF_REPAIRS, DOMAIN, MARGIN
from .contract import DUE, Command, State
from .fleet import Fleet, Printer
from .schema import schema

if TYPE_CHECKING:
    from .fleet import UpkeepEntry

    # The two supported versions have different names for this type.
    type RepairsFlowResult = Any


class Watch:
    """Raises and deletes issues when the tasks of an entry's printers change."""

    def __init__(self, hass: HomeAssistant, entry: UpkeepEntry) -> None:
        self.hass = hass
        self.entry = entry

    @callback
    def compare(self, printer: Printer) -> None:
        """Raise an issue for each task that is overdue by more than the margin."""
        options = self.entry.options
        wanted = options.get(CONF_REPAIRS, False)
        least = 100.0 + options.get(CONF_MARGIN, MARGIN)
        tasks = printer.tasks.items() if wanted else ()
        due = {
            task
            for task, state in tasks
            if state.status == DUE and state.deciding.percent >= least
        }
        for task in _issues(self.hass, printer) - due:
            ir.async_delete_issue(self.hass, DOMAIN, _issue(printer, task))
        for task in due:
            self._raise(printer, task)

    @callback
    def look_at_all(self) -> None:
        """Compare all printers, since an option has changed."""
        for printer in self.entry.runtime_data.printers.values():
            self.compare(printer)

    @callback
    def stop(self) -> None:
        """Delete all issues when the entry is unloaded, except those that are ignored.

        The user's choice to ignore an issue would otherwise be lost.
        """
        known = ir.async_get(self.hass)
        for printer in self.entry.runtime_data.printers.values():
            for task in _issues(self.hass, printer):
                issue = known.async_get_issue(DOMAIN, _issue(printer, task))
                if issue is None or issue.dismissed_version is None:
                    ir.async_delete_issue(self.hass, DOMAIN, _issue(printer, task))

    def _raise(self, printer: Printer, task: str) -> None:
        state = printer.tasks[task]
        ir.async_create_issue(
            self.hass,
            DOMAIN,
            _issue(printer, task),
            data={
                "entry_id": self.entry.entry_id,
                "printer": printer.slug,
                "task": task,
            },
            is_fixable=True,
            learn_more_url=state.guide or None,
            severity=ir.IssueSeverity.WARNING,
            translation_key="due",
            translation_placeholders=_words(printer, state),
        )


@callback
def forget(hass: HomeAssistant, printer: Printer) -> None:
    """Delete all issues of *printer*."""
    for task in _issues(hass, printer):
        ir.async_delete_issue(hass, DOMAIN, _issue(printer, task))


def _issue(printer: Printer, task: str) -> str:
    # The uuid names the printer, since two base topics may have equal printer names.
    return f"due.{printer.introduced.uuid}.{task}"


def _issues(hass: HomeAssistant, printer: Printer) -> set[str]:
    if printer.info is None:
        return set()
    start = _issue(printer, "")
    return {
        issue[len(start) :]
        for domain, issue in ir.async_get(hass).issues
        if domain == DOMAIN and issue.startswith(start)
    }


def _words(printer: Printer, state: State) -> dict[str, str]:
    return {"printer": printer.name, "task": state.label, "message": state.message}


class DoneFlow(RepairsFlow):
    """Asks the user for a note, and then marks the task done."""

    def __init__(self, fleet: Fleet | None, data: dict[str, Any]) -> None:
        self._fleet = fleet
        self._data = data

    async def async_step_init(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Begin with the form."""
        return await self.async_step_confirm()

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Show the form, then send the command. The form shows why it was refused."""
        fleet = self._fleet
        printer = None if fleet is None else fleet.printers.get(self._data["printer"])
        if fleet is None or printer is None or self._data["task"] not in printer.tasks:
            return self.async_abort(reason="gone")
        state = printer.tasks[self._data["task"]]
        errors: dict[str, str] = {}
        if user_input is not None:
            done = Command("done", by=_by(), note=user_input.get("note", ""))
            try:
                await fleet.command(printer, state.task, done)
            except HomeAssistantError as error:
                errors["base"] = error.translation_key or "internal"
            else:
                return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="confirm",
            data_schema=schema({vol.Optional("note"): str}),
            description_placeholders=_words(printer, state),
            errors=errors,
        )


def _by() -> str:
    """Return the name of the user who sent the current request; empty if unknown."""
    with contextlib.suppress(KeyError):
        request = current_request.get()
        if request is not None:
            return request[KEY_HASS_USER].name or ""
    return ""


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, Any] | None
) -> RepairsFlow:
    """Return the flow that repairs an issue."""
    known = dict(data or {"entry_id": "", "printer": "", "task": ""})
    entry: UpkeepEntry | None = hass.config_entries.async_get_entry(known["entry_id"])
    loaded = entry is not None and hasattr(entry, "runtime_data")
    return DoneFlow(entry.runtime_data if entry and loaded else None, known)
