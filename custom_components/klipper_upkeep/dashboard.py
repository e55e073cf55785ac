"""Serves the card and the dashboard strategy to browsers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from homeassistant.components.http import (  # type: ignore[attr-defined, unused-ignore]
    StaticPathConfig,  # 2026 defines it in another module, and re-exports it here
)

from .const import DOMAIN

if TYPE_CHECKING:
    from homeassistant.core import HomeAssistant

FILE = Path(__file__).parent / "frontend" / "klipper-upkeep.js"


async def serve(hass: HomeAssistant, version: str) -> None:
    """Serve the script. Its address has *version*, so that no old copy is used."""
    if "frontend" not in hass.config.components:
        return
    from homeassistant.components import frontend  # noqa: PLC0415

    url = f"/{DOMAIN}/klipper-upkeep.js"
    await hass.http.async_register_static_paths(
        [StaticPathConfig(url, str(FILE), cache_headers=True)]
    )
    frontend.add_extra_js_url(hass, f"{url}?{version}")
