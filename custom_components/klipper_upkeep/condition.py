"""Conditions of newer Home Assistants: a task is due, or it is due soon.

Version 2025.4 has no such conditions, and never imports this file.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from homeassistant.core import HomeAssistant

from .contract import DUE, SOON


async def async_get_conditions(hass: HomeAssistant) -> dict[str, Any]:
    """Return a condition for each of the two statuses."""
    # Both modules are newer than 2025.4. They are already loaded when this runs.
    spec: Any = import_module("homeassistant.helpers.automation")
    helper: Any = import_module("homeassistant.helpers.condition")
    # The entity's state is a word in the printer's language. The attribute is not.
    status = spec.DomainSpec(device_class="enum", value_source="status")
    sensors = {"sensor": status}
    return {
        "is_due": helper.make_entity_state_condition(sensors, DUE),
        "is_soon": helper.make_entity_state_condition(sensors, SOON),
    }
