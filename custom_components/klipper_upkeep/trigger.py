"""Triggers of its own, where Home Assistant has such: a task became due, or soon will.

2025.4 knows none, and never looks here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from homeassistant.core import HomeAssistant

from .contract import DUE, SOON


async def async_get_triggers(hass: HomeAssistant) -> dict[str, Any]:
    """Return a trigger for each status that somebody waits for."""
    # What is used of both came after 2025.4, and is loaded already where it is asked.
    spec: Any = import_module("homeassistant.helpers.automation")
    helper: Any = import_module("homeassistant.helpers.trigger")
    # The state is in the printer's language, and the attribute is not.
    status = spec.DomainSpec(device_class="enum", value_source="status")
    sensors = {"sensor": status}
    return {
        "task_due": helper.make_entity_target_state_trigger(sensors, DUE),
        "task_soon": helper.make_entity_target_state_trigger(sensors, SOON),
    }
