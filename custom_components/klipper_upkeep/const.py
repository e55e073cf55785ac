"""Names that more than one file of the integration uses."""

from __future__ import annotations

from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "klipper_upkeep"
PLATFORMS: Final = (
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.CALENDAR,
    Platform.DATE,
    Platform.EVENT,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.TODO,
    Platform.UPDATE,
)

CONF_BASE: Final = "base_topic"
CONF_REPAIRS: Final = "repairs"
CONF_MARGIN: Final = "repairs_margin"
CONF_SOON: Final = "list_soon"
CONF_ONE_LIST: Final = "one_list"
CONF_CHILDREN: Final = "task_devices"

MARGIN: Final = 10  # percent over its threshold at which a task becomes a repair

# Each message on a printer's events topic becomes an event of this type on the bus.
EVENT: Final = "klipper_upkeep_event"

ANSWER_WITHIN: Final = 5.0  # seconds in which a result must arrive, by the contract
