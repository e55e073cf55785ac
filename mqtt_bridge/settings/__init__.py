"""The settings of the bridge: their types, their checks, and how they are read."""

from mqtt_bridge.settings.checks import TEMPLATE
from mqtt_bridge.settings.loader import credentials, load
from mqtt_bridge.settings.model import (
    MAIN,
    ONLY,
    STANDBY,
    Broker,
    Http,
    Push,
    Rule,
    Settings,
    SettingsError,
    Share,
    Store,
    Tls,
    Web,
)

__all__ = [
    "MAIN",
    "ONLY",
    "STANDBY",
    "TEMPLATE",
    "Broker",
    "Http",
    "Push",
    "Rule",
    "Settings",
    "SettingsError",
    "Share",
    "Store",
    "Tls",
    "Web",
    "credentials",
    "load",
]
