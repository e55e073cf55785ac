"""The motors, switches and heaters of a board, from a `printer.cfg`.

Pure but for `read`. Positions are in millimetres; where an axis stands before it was
homed is where its coordinate would be. Nothing collides: a carriage that is driven past
its switch goes on.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.board.dictionary import pin_number
from demo.board.stepper import Shaft

AWAY = 30.0  # mm that a carriage stands from its switch at first
ABOVE = 20.0  # mm that a nozzle stands above its switch or the bed at first
ROOM = 25.0  # °C

Sections = Mapping[str, Mapping[str, str]]
Weights = Mapping[str, float]  # of each motor, in an axis's coordinate

# How far an axis goes when its motors do. What is not named goes as far as its motor.
AXES: Mapping[str, Mapping[str, Weights]] = {
    "corexy": {
        "x": {"stepper_x": 0.5, "stepper_y": 0.5},
        "y": {"stepper_x": 0.5, "stepper_y": -0.5},
    },
    "corexz": {
        "x": {"stepper_x": 0.5, "stepper_z": 0.5},
        "z": {"stepper_x": 0.5, "stepper_z": -0.5},
    },
    "hybrid_corexy": {
        "x": {"stepper_x": 1, "stepper_y": 1},
        "dual_carriage": {"dual_carriage": 1, "stepper_y": -1},
    },
    "hybrid_corexz": {
        "x": {"stepper_x": 1, "stepper_z": 1},
        "dual_carriage": {"dual_carriage": 1, "stepper_z": -1},
    },
    # Exact on the middle line alone; elsewhere the bed is a bowl.
    "delta": {"z": {f"stepper_{tower}": 1 / 3 for tower in "abc"}},
}


@dataclass(frozen=True)
class Pin:
    """A pin as a configuration names it."""

    number: int
    inverted: bool

    @classmethod
    def parse(cls, text: str) -> Pin:
        name = text.strip().lstrip("^~!").strip().rpartition(":")[2]
        return cls(pin_number(name.strip().lstrip("^~!")), "!" in text)


@dataclass
class Motor:
    """A motor, and its movement since the board was made."""

    name: str
    step_distance: float  # mm of a step; below 0 if the direction pin is inverted
    shaft: Shaft = field(default_factory=Shaft)

    def moved(self, position: int) -> float:
        """The millimetres from where it began to *position* (steps)."""
        return position * self.step_distance


@dataclass(frozen=True)
class Axis:
    """A coordinate that motors change."""

    begin: float  # mm
    weights: Weights

    def coordinate(self, moved: Mapping[str, float]) -> float:
        return self.begin + sum(
            weight * moved.get(motor, 0.0) for motor, weight in self.weights.items()
        )


@dataclass(frozen=True)
class Switch:
    """An endstop or a probe: it is closed below *low* and above *high* (mm)."""

    pin: Pin
    axis: Axis
    low: float = -math.inf
    high: float = math.inf

    def level(self, moved: Mapping[str, float]) -> bool:
        """Return the pin's level when the motors have *moved*."""
        coordinate = self.axis.coordinate(moved)
        # The tolerance for rounding of steps, in mm.
        closed = coordinate <= self.low + 1e-6 or coordinate >= self.high - 1e-6
        return closed != self.pin.inverted


@dataclass
class Heater:
    """A heater with a thermistor: power heats it, the room cools it."""

    name: str
    pin: Pin | None  # None: a sensor alone
    sensor: Pin
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
    """The whole hardware, by the numbers of pins."""

    motors: dict[int, Motor] = field(default_factory=dict)  # by step pin
    switches: dict[int, Switch] = field(default_factory=dict)
    heaters: list[Heater] = field(default_factory=list)
    axes: dict[str, Axis] = field(default_factory=dict)

    def moved(self) -> dict[str, float]:
        """How far each motor has gone (mm)."""
        return {m.name: m.moved(m.shaft.position) for m in self.motors.values()}

    def rewire(self, sections: Sections) -> None:
        """Read the configuration again; positions and temperatures stay."""
        new = wire(sections)
        motors = {motor.name: motor for motor in self.motors.values()}
        heaters = {heater.name: heater for heater in self.heaters}
        for motor in new.motors.values():
            motor.shaft = motors.get(motor.name, motor).shaft
        for heater in new.heaters:
            old = heaters.get(heater.name, heater)
            heater.temperature, heater.on_time = old.temperature, old.on_time
        for name, axis in self.axes.items():
            if name in new.axes and new.axes[name].weights == axis.weights:
                new.axes[name] = axis
        self.motors, self.switches = new.motors, new.switches
        self.heaters, self.axes = new.heaters, new.axes


def read(path: Path) -> Sections:
    """The sections of a configuration and of what it includes."""
    sections: dict[str, dict[str, str]] = {}
    for name, option, value in _options(path):
        sections.setdefault(name, {})[option] = value
    return sections


def wire(sections: Sections) -> Machine:
    """The machine that *sections* describe."""
    machine = Machine()
    kinematics = sections.get("printer", {}).get("kinematics", "none")
    towers = kinematics == "delta"
    named = AXES.get(kinematics, {})
    height = float(sections.get("probe", {}).get("z_offset", "0").split()[0])
    for name, options in sections.items():
        if "step_pin" in options:
            motor = Motor(name, _step_distance(options))
            machine.motors[Pin.parse(options["step_pin"]).number] = motor
            axis = name.removeprefix("stepper_")
            weights = named.get(axis, {name: 1.0})
            begin, low, high = _travel(name, options, height, towers)
            machine.axes[axis] = Axis(begin, weights)
            endstop = options.get("endstop_pin", "probe:")
            if "probe" not in endstop:
                switch = Switch(Pin.parse(endstop), machine.axes[axis], low, high)
                machine.switches[switch.pin.number] = switch
        if "sensor_pin" in options:
            heater = options.get("heater_pin")
            pin = None if heater is None else Pin.parse(heater)
            sensor = Pin.parse(options["sensor_pin"])
            machine.heaters.append(Heater(name, pin, sensor))
    if towers:
        machine.axes["z"] = Axis(ABOVE + height, named["z"])
    if "probe" in sections and "z" in machine.axes:
        pin = Pin.parse(sections["probe"]["pin"])
        machine.switches[pin.number] = Switch(pin, machine.axes["z"], low=height)
    return machine


def _travel(
    name: str, options: Mapping[str, str], height: float, towers: bool
) -> tuple[float, float, float]:
    """Where a motor's axis begins, below and above what its switch is closed (mm)."""
    if name.startswith("manual_stepper"):
        return 0.0, -ABOVE, ABOVE
    endstop = float(options.get("position_endstop", height))
    lowest = float(options.get("position_min", 0))
    highest = float(options.get("position_max", lowest))
    given = options.get("homing_positive_dir")
    up = towers or (
        endstop > (lowest + highest) / 2
        if given is None
        else given.strip().lower() in ("1", "true", "yes", "on")
    )
    away = ABOVE if name.startswith("stepper_z") else AWAY
    if up:
        return endstop - away, -math.inf, endstop
    return endstop + away, endstop, math.inf


def _step_distance(options: Mapping[str, str]) -> float:
    steps = float(options.get("full_steps_per_rotation", 200))
    steps *= float(options.get("microsteps", 16))
    for pair in filter(None, options.get("gear_ratio", "").split(",")):
        driven, driving = pair.split(":")
        steps *= float(driven) / float(driving)
    distance = float(options.get("rotation_distance", 40)) / steps
    return -distance if "!" in options.get("dir_pin", "") else distance


def _options(path: Path) -> Iterator[tuple[str, str, str]]:
    """Each option of a file: its section, its name and its value."""
    section = ""
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        text = re.split(r"[#;]", line.removeprefix("#*# "))[0]
        header = re.match(r"\[\s*(.+?)\s*\]", text)
        if header is not None:
            section = header[1]
            if section.startswith("include "):
                pattern = str(path.parent / section[8:].strip())
                for included in sorted(glob.glob(pattern)):  # noqa: PTH207
                    yield from _options(Path(included))
        elif section and (option := re.match(r"(\w+)\s*[:=](.*)", text)):
            yield section, option[1].lower(), option[2].strip()
