"""The day on which a task was last done. Whoever sets it marks the task done."""

from __future__ import annotations

from datetime import date, datetime, time

from homeassistant.components.date import DateEntity
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .actions import name_of
from .const import DOMAIN
from .contract import Command
from .entity import TaskEntity, add_for_each_task
from .fleet import UpkeepEntry

PARALLEL_UPDATES = 0

KEY = "last_done_on"
NOON = time(12)


async def async_setup_entry(
    hass: HomeAssistant, entry: UpkeepEntry, add: AddConfigEntryEntitiesCallback
) -> None:
    """Add a date for each task."""
    add_for_each_task(hass, entry, add, KEY, LastDone)


class LastDone(TaskEntity, DateEntity):
    """A task's last day. It is disabled by default: most people use the button."""

    _attr_entity_category = EntityCategory.CONFIG
    _attr_entity_registry_enabled_default = False

    @property
    def native_value(self) -> date | None:
        """Return the day of the last completion, in Home Assistant's time zone."""
        done = None if self.state_of_task is None else self.state_of_task.last_done
        if done is None:
            return None
        return dt_util.as_local(dt_util.utc_from_timestamp(done)).date()

    async def async_set_value(self, value: date) -> None:
        """Mark the task done at noon of that day, or now if it is today."""
        now = dt_util.now()
        if value > now.date():
            raise ServiceValidationError(
                translation_domain=DOMAIN, translation_key="not_yet"
            )
        zone = dt_util.get_default_time_zone()
        noon = datetime.combine(value, NOON, zone)
        command = Command(
            "done",
            by=await name_of(self.hass, self._context),
            at=int((now if value == now.date() else noon).timestamp()),
        )
        await self.fleet.command(self.printer, self.task, command)
