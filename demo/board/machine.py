"""The motors, switches and heaters of a board, from a `printer.cfg`.

Pure but for `read`. A carriage that is driven past its switch goes on.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from demo.board.dictionary import pin_number

AWAY = 30.0  # mm that a carriage stands from its switch at first
ROOM = 25.0  # °C
ROUNDING = 1e-6  # mm by which rounded steps may miss a switch

Sections = Mapping[str, Mapping[str, str]]


class Pin(NamedTuple):
    """A pin as a configuration names it."""

    number: int
    is_inverted: bool

    @classmethod
    def parse(cls, text: str) -> Pin:
        name = text.rpartition(":")[2].strip(" ^~!")
        return cls(pin_number(name), "!" in text)


@dataclass
class Motor:
    """A motor, and the steps that it has made since the board was made."""

    name: str
    step_distance: float  # mm of a step; below 0 if the direction pin is inverted
    position: int = 0
    forward: int = 0
    back: int = 0

    def turn(self, steps: int) -> None:
        self.position += steps
        self.forward += max(steps, 0)
        self.back += max(-steps, 0)


class Switch(NamedTuple):
    """An endstop: it is closed once its motor has gone back by `AWAY`."""

    motor: Motor
    is_inverted: bool


@dataclass
class Heater:
    """A heater with a thermistor: power heats it, the room cools it."""

    name: str
    pin: int  # its sensor's, if it is a sensor alone
    sensor: int
    temperature: float = ROOM
    on_time: float = 0.0  # seconds at full power since the board was made

    def heat(self, power: float, seconds: float) -> None:
        """Let *seconds* go by at *power*, 0 to 1."""
        gain, cooling = (1.0, 300.0) if self.name == "heater_bed" else (3.0, 120.0)
        end = ROOM + power * gain * cooling
        self.temperature = end + (self.temperature - end) * math.exp(-seconds / cooling)
        self.on_time += power * seconds

    @property
    def reading(self) -> float:
        """The converter's value, 0 to 1: 100 kΩ at 25 °C, beta 3950, 4.7 kΩ up."""
        kelvin = self.temperature + 273.15
        ohm = 100e3 * math.exp(3950 * (1 / kelvin - 1 / 298.15))
        return ohm / (ohm + 4700)


@dataclass
class Machine:
    """The whole hardware."""

    motors: dict[int, Motor] = field(default_factory=dict)  # by step pin
    switches: dict[int, Switch] = field(default_factory=dict)  # by pin
    heaters: list[Heater] = field(default_factory=list)

    def level(self, pin: int, steps: Mapping[str, int]) -> bool:
        """What a switch's pin reads when the motors have made *steps*."""
        switch = self.switches[pin]
        motor = switch.motor
        moved = motor.step_distance * steps.get(motor.name, motor.position)
        return (moved <= ROUNDING - AWAY) != switch.is_inverted

    def reading(self, pin: int) -> float:
        """What a converter's pin reads, 0 to 1."""
        readings = (each.reading for each in self.heaters if each.sensor == pin)
        return next(readings, 0.5)


def wire(sections: Sections) -> Machine:
    """The machine that *sections* describe."""
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
    """The sections of a configuration, without what it includes."""
    parser = configparser.RawConfigParser(
        strict=False, inline_comment_prefixes=("#", ";")
    )
    parser.read(path, encoding="utf-8")
    return {name: dict(parser[name]) for name in parser.sections()}
