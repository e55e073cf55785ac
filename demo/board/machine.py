"""The motors, switches and heaters that a `printer.cfg` connects to a board.

Only `read` is not pure. No switch stops a carriage: it can be driven past its switch.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from demo.board.dictionary import pin_number

AWAY = 30.0  # mm between a carriage and its switch at first
ROOM = 25.0  # °C
ROUNDING = 1e-6  # mm by which rounded steps may miss a switch

Sections = Mapping[str, Mapping[str, str]]


class Pin(NamedTuple):
    """A pin of the configuration."""

    number: int
    is_inverted: bool

    @classmethod
    def parse(cls, text: str) -> Pin:
        name = text.rpartition(":")[2].strip(" ^~!")
        return cls(pin_number(name), "!" in text)


@dataclass
class Motor:
    """A motor, and the steps that it has made since the board began."""

    name: str
    step_distance: float  # mm for each step; negative if the direction pin is inverted
    position: int = 0
    forward: int = 0
    back: int = 0

    def turn(self, steps: int) -> None:
        self.position += steps
        self.forward += max(steps, 0)
        self.back += max(-steps, 0)


class Switch(NamedTuple):
    """An endstop. It is closed when its motor has gone back by `AWAY`."""

    motor: Motor
    is_inverted: bool


@dataclass
class Heater:
    """A heater with a thermistor. Power heats it, and the room cools it."""

    name: str
    pin: int  # the heater's; without a heater, the sensor's
    sensor: int
    temperature: float = ROOM
    on_time: float = 0.0  # seconds at full power since the board began

    def heat(self, power: float, seconds: float) -> None:
        """Change the temperature as *seconds* at *power* (0 to 1) do."""
        gain, cooling = (1.0, 300.0) if self.name == "heater_bed" else (3.0, 120.0)
        end = ROOM + power * gain * cooling
        self.temperature = end + (self.temperature - end) * math.exp(-seconds / cooling)
        self.on_time += power * seconds

    @property
    def reading(self) -> float:
        """The converter's value, 0 to 1: 100 kΩ at 25 °C, beta 3950, 4.7 kΩ pull-up."""
        kelvin = self.temperature + 273.15
        ohm = 100e3 * math.exp(3950 * (1 / kelvin - 1 / 298.15))
        return ohm / (ohm + 4700)


@dataclass
class Machine:
    """All hardware of a board."""

    motors: dict[int, Motor] = field(default_factory=dict)  # by step pin
    switches: dict[int, Switch] = field(default_factory=dict)  # by pin
    heaters: list[Heater] = field(default_factory=list)

    def level(self, pin: int, steps: Mapping[str, int]) -> bool:
        """Return what a switch's pin reads when the motors have made *steps*."""
        motor, is_inverted = self.switches[pin]
        moved = motor.step_distance * steps.get(motor.name, motor.position)
        return (moved <= ROUNDING - AWAY) != is_inverted

    def reading(self, pin: int) -> float:
        """Return what a converter's pin reads, 0 to 1."""
        readings = (each.reading for each in self.heaters if each.sensor == pin)
        return next(readings, 0.5)


def wire(sections: Sections) -> Machine:
    """Return the hardware that *sections* describe."""
    machine = Machine()
    for name, options in sections.items():
        if "step_pin" in options:
            steps = 200 * float(options["microsteps"])
            distance = float(options["rotation_distance"]) / steps
            motor = Motor(name, -distance if "!" in options["dir_pin"] else distance)
            machine.motors[Pin.parse(options["step_pin"]).number] = motor
            endstop = options.get("endstop_pin", "virtual")
            if "virtual" not in endstop:
                pin = Pin.parse(endstop)
                machine.switches[pin.number] = Switch(motor, pin.is_inverted)
        if "sensor_pin" in options:
            heater = options.get("heater_pin", options["sensor_pin"])
            pins = (Pin.parse(each).number for each in (heater, options["sensor_pin"]))
            machine.heaters.append(Heater(name, *pins))
    return machine


def read(path: Path) -> Sections:
    """Return the sections of a configuration, without the files that it includes."""
    signs = ("#", ";")
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=signs)
    parser.read(path, encoding="utf-8")
    return {name: dict(parser[name]) for name in parser.sections()}
