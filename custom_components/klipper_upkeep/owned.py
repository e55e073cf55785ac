"""The classes of the tables' entities, one for each platform.

They are for printers whose entities the integration makes.
"""

from __future__ import annotations

from typing import Any

from homeassistant.components.binary_sensor import BinarySensorEntity
from homeassistant.components.button import ButtonEntity
from homeassistant.components.event import EventEntity
from homeassistant.components.number import NumberEntity
from homeassistant.components.select import SelectEntity
from homeassistant.components.sensor import SensorEntity
from homeassistant.components.switch import SwitchEntity
from homeassistant.const import Platform
from homeassistant.core import callback
from homeassistant.util import slugify

from .actions import name_of
from .children import capital, has_children, task_device
from .contract import Event
from .entity import PrinterEntity
from .fleet import Fleet, Printer
from .row import DueNow, Row
from .words import meter_name, sentence

SHELF = "shelf"
LISTED = 225  # letters of labels in a state, which has at most 255
CAPITAL_NOUNS = ("de", "lb")


class Owned(PrinterEntity):
    """An entity of one row. It writes its state only if that has changed."""

    def __init__(self, fleet: Fleet, printer: Printer, row: Row) -> None:
        super().__init__(fleet, printer, row.key)
        self.row = row
        self._written: Any = None
        self._attr_translation_key = row.name or None
        for name, value in row.config.items():
            setattr(self, f"_attr_{name}", value)
        if row.task:
            self._attr_device_info = task_device(fleet, printer, row.task)
        # The entity asks for the same id as discovery's. An id that the registry
        # already has is used instead.
        wish = slugify(f"{printer.name} {row.wish.replace('.', ' ')}")
        self.entity_id = f"{row.platform}.{wish}"

    @property
    def name(self) -> str | None:
        """The task's label, then the meter's name, then the entity's own name."""
        state = self.printer.tasks.get(self.row.task)
        own_device = has_children(self.fleet, self.printer)
        label = "" if state is None or own_device else state.label[:100]
        meter = self._meter
        own = super().name if self.row.name and self.row.name != "due" else ""
        words = [label, meter, own if isinstance(own, str) else ""]
        name = " ".join(word for word in words if word)
        return (capital(name) if own_device and self.row.task else name) or None

    @property
    def _meter(self) -> str:
        if not self.row.meter:
            return ""
        meter = self.printer.introduced.meters.get(self.row.meter)
        label = "" if meter is None else meter.label
        name = meter_name(self.hass, self.row.meter, label)
        # After a label, the meter begins with a small letter, except in languages
        # whose nouns have capital letters.
        behind = self.row.task and self.hass.config.language[:2] not in CAPITAL_NOUNS
        return name[:1].lower() + name[1:] if behind else name

    @property
    def available(self) -> bool:
        """Values stay available while the printer is off, and controls do not.

        A command to a printer that is off would be lost.
        """
        is_control = self.row.platform in CONTROLS
        return super().available and (self.printer.online or not is_control)

    def concerns(self, printer: Printer) -> bool:
        """Return whether *printer* has a value that the entity has not written yet."""
        if not super().concerns(printer):
            return False
        now = (
            self.available,
            self.name,
            self.row.value(printer),
            self.row.more(printer),
        )
        if now == self._written:
            return False
        self._written = now
        return True

    @property
    def extra_state_attributes(self) -> dict[str, Any] | None:
        """The same attributes as discovery's entity has."""
        more: dict[str, Any] | None = self.row.more(self.printer)
        return more

    @property
    def shown(self) -> Any:
        """The value that the entity shows, or None while it is not known."""
        return self.row.value(self.printer)

    async def give(self, value: Any) -> None:
        """Send the row's command with *value*, in the name of the user who acts."""
        command = self.row.order(value)._replace(
            by=await name_of(self.hass, self._context)
        )
        await self.fleet.command(self.printer, self.row.task, command)


class OwnedSensor(Owned, SensorEntity):
    """Shows a number, a moment, a text or a status."""

    @property
    def native_value(self) -> Any:
        """The number, the moment, the text or the status."""
        value = self.shown
        return self._in_words(value) if isinstance(value, DueNow) else value

    def _in_words(self, due: DueNow) -> str:
        """Return the labels of what is due, and count those without room."""
        if not due.number:
            return sentence(self.hass, "nothing", "Nothing")
        text, shown = "", 0
        for label in due.labels:
            longer = f"{text}, {label[:100]}" if text else label[:100]
            if len(longer) > LISTED:
                break
            text, shown = longer, shown + 1
        if due.number == shown:
            return text
        others = str(due.number - shown)
        more = sentence(self.hass, "others_due", "and {count} more", count=others)
        return f"{text} {more}".strip()


class OwnedBinarySensor(Owned, BinarySensorEntity):
    """Shows whether a task is due, or whether the printer is online."""

    @property
    def is_on(self) -> bool | None:
        """Whether the task is due, or the printer is online."""
        value: bool | None = self.shown
        return value


class OwnedButton(Owned, ButtonEntity):
    """Sends a command that needs no value."""

    async def async_press(self) -> None:
        """Send the command."""
        await self.give(None)


class OwnedSwitch(Owned, SwitchEntity):
    """Enables and disables a task."""

    @property
    def is_on(self) -> bool | None:
        """Whether the task is enabled."""
        value: bool | None = self.shown
        return value

    async def async_turn_on(self, **kwargs: Any) -> None:
        """Enable the task."""
        await self.give(True)

    async def async_turn_off(self, **kwargs: Any) -> None:
        """Disable the task."""
        await self.give(False)


class OwnedNumber(Owned, NumberEntity):
    """Shows and sets a threshold."""

    @property
    def native_value(self) -> float | None:
        """The threshold, in the unit of its meter."""
        value: float | None = self.shown
        return value

    async def async_set_native_value(self, value: float) -> None:
        """Set the threshold."""
        await self.give(value)


class OwnedSelect(Owned, SelectEntity):
    """Shows and sets where a part is fitted: at one of its places, or on the shelf."""

    @property
    def extra_state_attributes(self) -> None:
        """There are no attributes, since the places are the options."""

    @property
    def options(self) -> list[str]:
        """The shelf, and then the part's places."""
        more = self.row.more(self.printer) or {"places": []}
        return [self._shelf, *more["places"]]

    @property
    def current_option(self) -> str | None:
        """The place of the part, or the shelf."""
        place: str | None = self.shown
        return place if place is None else place or self._shelf

    async def async_select_option(self, option: str) -> None:
        """Fit the part at the place, or put it on the shelf."""
        await self.give("" if option == self._shelf else option)

    @property
    def _shelf(self) -> str:
        return sentence(self.hass, SHELF, "Shelf")


class OwnedEvent(Owned, EventEntity):
    """Shows the last event of a task."""

    async def async_added_to_hass(self) -> None:
        """Write the state at each event of the task."""
        await super().async_added_to_hass()

        @callback
        def happened(printer: Printer, event: Event) -> None:
            if printer is self.printer and event.task == self.row.task:
                self._trigger_event(event.event, {"by": event.by, "note": event.note})
                self.async_write_ha_state()

        self.async_on_remove(self.fleet.listen(event=happened))


CONTROLS = {Platform.BUTTON, Platform.NUMBER, Platform.SELECT, Platform.SWITCH}
CLASSES: dict[Platform, type[Owned]] = {
    Platform.BINARY_SENSOR: OwnedBinarySensor,
    Platform.BUTTON: OwnedButton,
    Platform.EVENT: OwnedEvent,
    Platform.NUMBER: OwnedNumber,
    Platform.SELECT: OwnedSelect,
    Platform.SENSOR: OwnedSensor,
    Platform.SWITCH: OwnedSwitch,
}
