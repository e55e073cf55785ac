"""A printer's calendar: when tasks come due, and when they were done."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from homeassistant.components.calendar import CalendarEntity, CalendarEvent
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .contract import Entry, State
from .entity import PrinterEntity, add_for_each_printer
from .fleet import Fleet, Printer, UpkeepEntry

PARALLEL_UPDATES = 0

# What the log's lines are called; what else it holds is no maintenance.
MARKS = {"done": "✓", "skipped": "→"}


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add a calendar for each printer."""
    add_for_each_printer(hass, entry, add, Maintenance)


class Maintenance(PrinterEntity, CalendarEntity):
    """Whole days: the forecast ahead, the log behind."""

    def __init__(self, fleet: Fleet, printer: Printer) -> None:
        super().__init__(fleet, printer, "maintenance")

    @property
    def event(self) -> CalendarEvent | None:
        """What is due today, or comes due next."""
        return min(
            self._forecast(), key=lambda event: event.start_datetime_local, default=None
        )

    async def async_get_events(
        self, hass: HomeAssistant, start_date: datetime, end_date: datetime
    ) -> list[CalendarEvent]:
        """What was done and what comes due between two moments."""
        first, last = start_date.date(), end_date.date()
        events = self._forecast()
        if first <= dt_util.now().date():
            events += await self._done()
        return sorted(
            (each for each in events if each.start <= last and each.end > first),
            key=lambda event: event.start_datetime_local,
        )

    def _forecast(self) -> list[CalendarEvent]:
        today = dt_util.now().date()
        return [
            _whole_day(
                max(today, _day(state.due_at)), state.label, state.message, state.task
            )
            for state in self.printer.tasks.values()
            if state.due_at is not None
        ]

    async def _done(self) -> list[CalendarEvent]:
        events = []
        for state in self.printer.tasks.values():
            try:
                log = await self.fleet.log(self.printer, state.task)
            except HomeAssistantError:
                continue  # the printer is off: show the forecast alone
            events += [_entry(state, entry) for entry in log if entry.event in MARKS]
        return events


def _entry(state: State, entry: Entry) -> CalendarEvent:
    text = f"{MARKS[entry.event]} {state.label}"
    who = ", ".join(part for part in (entry.by, entry.note) if part)
    return _whole_day(_day(entry.time), text, who, f"{state.task}-{entry.time}")


def _whole_day(day: date, summary: str, description: str, uid: str) -> CalendarEvent:
    return CalendarEvent(
        start=day,
        end=day + timedelta(days=1),
        summary=summary,
        description=description or None,
        uid=uid,
    )


def _day(moment: int) -> date:
    return dt_util.as_local(dt_util.utc_from_timestamp(moment)).date()
