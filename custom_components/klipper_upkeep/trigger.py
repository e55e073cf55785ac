"""Triggers of newer Home Assistants: a task becomes due, or it is due soon.

Version 2025.4 has no such triggers, and never imports this file.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from homeassistant.core import HomeAssistant

from .contract import DUE, SOON


async def async_get_triggers(hass: HomeAssistant) -> dict[str, Any]:
    """Return a trigger for each of the two statuses."""
    # Both modules are newer than 2025.4. They are already loaded when this runs.
    spec: Any = import_module("homeassistant.helpers.automation")
    helper: Any = import_module("homeassistant.helpers.trigger")
    # The entity's state is a word in the printer's language. The attribute is not.
    status = spec.DomainSpec(device_class="enum", value_source="status")
    sensors = {"sensor": status}
    return {
        "task_due": helper.make_entity_target_state_trigger(sensors, DUE),
        "task_soon": helper.make_entity_target_state_trigger(sensors, SOON),
    }
