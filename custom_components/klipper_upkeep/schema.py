"""Makes schemas of voluptuous, which have different types in the two versions."""

from __future__ import annotations

from typing import Any

import voluptuous as vol


def schema(fields: dict[Any, Any]) -> Any:
    """Return the schema of a form or an action. 2026 uses another library for it."""
    return vol.Schema(fields)
