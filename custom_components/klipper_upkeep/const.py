"""Names that more than one file of the integration uses."""

from __future__ import annotations

from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "klipper_upkeep"
PLATFORMS: Final = (
    Platform.CALENDAR,
    Platform.DATE,
    Platform.SELECT,
    Platform.TODO,
    Platform.UPDATE,
)

CONF_BASE: Final = "base_topic"
CONF_REPAIRS: Final = "repairs"
CONF_MARGIN: Final = "repairs_margin"
CONF_SOON: Final = "list_soon"
CONF_ONE_LIST: Final = "one_list"

MARGIN: Final = 10  # percent over the threshold until an overdue task is a repair

# What the extra tells on its events topic is fired on Home Assistant's bus as this.
EVENT: Final = "klipper_upkeep_event"

ANSWER_WITHIN: Final = 5.0  # seconds, as the contract has it
