"""Voluptuous' schema, which the two supported versions type differently."""

from __future__ import annotations

from typing import Any

import voluptuous as vol


def schema(fields: dict[Any, Any]) -> Any:
    """Return the schema of a form or an action: 2026 has put another library behind."""
    return vol.Schema(fields)
