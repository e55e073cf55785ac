"""The row of an entity that the integration makes instead of MQTT discovery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from homeassistant.const import Platform

from .contract import Command
from .fleet import Printer

type Value = Callable[[Printer], Any]
type Order = Callable[[Any], Command]


class DueNow(NamedTuple):
    """What is due on a printer: how many tasks, and their labels."""

    number: int
    labels: tuple[str, ...]


class Row(NamedTuple):
    """One entity. Its unique id is the printer's uuid, and then ``key``."""

    key: str
    platform: Platform
    name: str  # the translation key of its name
    task: str = ""
    meter: str = ""  # a meter whose name comes before the entity's own name
    value: Value = lambda printer: None
    more: Value = lambda printer: None  # its attributes
    order: Order = lambda value: Command("")
    config: Mapping[str, Any] = {}
    rare: bool = False  # it is made only if the registry already has it

    @property
    def wish(self) -> str:
        """The end of the entity id that the entity asks for."""
        return self.key.removeprefix("task.").removeprefix("meter.")
