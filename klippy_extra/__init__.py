"""Klipper Upkeep counts what wears a printer out, and tells when it needs care.

Klipper loads this folder as `klippy/extras/maintain`.
"""

from __future__ import annotations

from .klipper_objects import Config
from .manager import Manager
from .task import Task


def load_config(config: Config) -> Manager:
    """Make `[maintain]`, also if the configuration has no such section."""
    return Manager(config)


def load_config_prefix(config: Config) -> Task:
    """Make the task of a `[maintain NAME]` section."""
    manager: Manager = config.get_printer().load_object(config, "maintain")
    return manager.add(config)
