"""A bridge that mirrors Klipper Upkeep's MQTT topics as authoritative mKTL items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mqtt_bridge.daemon import BridgeDaemon

__all__ = ["BridgeDaemon"]


def __getattr__(name: str) -> Any:
    # The settings, the contract and the pure parts need no sockets.
    if name != "BridgeDaemon":
        raise AttributeError(name)
    from mqtt_bridge.daemon import BridgeDaemon  # noqa: PLC0415

    return BridgeDaemon
