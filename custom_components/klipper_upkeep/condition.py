"""Conditions that a task is due, or soon due, in newer Home Assistants.

Version 2025.4 has no such conditions, and never imports this file.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from homeassistant.core import HomeAssistant

from .contract import DUE, SOON


async def async_get_conditions(hass: HomeAssistant) -> dict[str, Any]:
    """Return a condition for each status that somebody asks for."""
    # Both modules are newer than 2025.4, and are loaded already when this runs.
    spec: Any = import_module("homeassistant.helpers.automation")
    helper: Any = import_module("homeassistant.helpers.condition")
    # The state is in the printer's language, and the attribute is not.
    status = spec.DomainSpec(device_class="enum", value_source="status")
    sensors = {"sensor": status}
    return {
        "is_due": helper.make_entity_state_condition(sensors, DUE),
        "is_soon": helper.make_entity_state_condition(sensors, SOON),
    }
