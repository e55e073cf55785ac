"""A printer's calendar shows when tasks become due, and when they were done."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from homeassistant.components.calendar import CalendarEntity, CalendarEvent
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .contract import Entry, State
from .entity import MaintenanceEntity, add_for_each_printer
from .fleet import Fleet, Printer, UpkeepEntry

PARALLEL_UPDATES = 0

# The log entries that the calendar shows, each with its sign before the label.
MARKS = {"done": "✓", "skipped": "→"}


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add a calendar for each printer."""
    add_for_each_printer(hass, entry, add, Maintenance)


class Maintenance(MaintenanceEntity, CalendarEntity):
    """Its events last whole days. Future ones are forecasts, past ones log entries."""

    def __init__(self, fleet: Fleet, printer: Printer) -> None:
        super().__init__(fleet, printer, "maintenance")

    @property
    def event(self) -> CalendarEvent | None:
        """Return the event of the task that is due today, or that becomes due next."""
        return min(
            self._forecast(), key=lambda event: event.start_datetime_local, default=None
        )

    async def async_get_events(
        self, hass: HomeAssistant, start_date: datetime, end_date: datetime
    ) -> list[CalendarEvent]:
        """Return the events between two moments: tasks that were done or become due."""
        events = self._forecast()
        if start_date <= dt_util.now():
            events += await self._done()
        return sorted(
            (
                each
                for each in events
                if each.start_datetime_local < end_date
                and each.end_datetime_local > start_date
            ),
            key=lambda event: event.start_datetime_local,
        )

    def _forecast(self) -> list[CalendarEvent]:
        today = dt_util.now().date()
        return [
            self._whole_day(
                max(today, _day(state.due_at)), state.label, state.message, state.task
            )
            for state in self.printer.tasks.values()
            if state.due_at is not None
        ]

    async def _done(self) -> list[CalendarEvent]:
        try:
            log = await self.fleet.log(self.printer)
        except HomeAssistantError:
            return []  # the printer is off, so only the forecast can be shown
        return [self._entry(entry) for entry in log if entry.event in MARKS]

    def _entry(self, entry: Entry) -> CalendarEvent:
        state: State | None = self.printer.tasks.get(entry.task)
        label = entry.task if state is None else state.label
        who = ", ".join(part for part in (entry.by, entry.note) if part)
        return self._whole_day(
            _day(entry.time),
            f"{MARKS[entry.event]} {label}",
            who,
            f"{entry.task}-{entry.time}",
        )

    def _whole_day(
        self, day: date, text: str, description: str, uid: str
    ) -> CalendarEvent:
        """Return an event whose text begins with the printer's name.

        Home Assistant's calendar page shows the calendars of all printers together.
        """
        return CalendarEvent(
            start=day,
            end=day + timedelta(days=1),
            summary=f"{self.printer.name}: {text}",
            description=description or None,
            uid=uid,
        )


def _day(moment: int) -> date:
    return dt_util.as_local(dt_util.utc_from_timestamp(moment)).date()
