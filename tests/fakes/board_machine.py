"""The machines of every kinematics, with probes, for the demo's board.

Pure but for `read`.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from demo.board import machine as demo
from demo.board.machine import AWAY, ROUNDING, Heater, Machine, Pin, Sections

ABOVE = 20.0  # mm from a nozzle to its endstop or the bed at first
THIRD = 1 / 3
HASTE = 10.0

# How far an axis goes per mm of its motors. Axes without an entry go as far as their
# motor.
AXES: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("corexy", "x"): {"stepper_x": 0.5, "stepper_y": 0.5},
    ("corexy", "y"): {"stepper_x": 0.5, "stepper_y": -0.5},
    ("corexz", "x"): {"stepper_x": 0.5, "stepper_z": 0.5},
    ("corexz", "z"): {"stepper_x": 0.5, "stepper_z": -0.5},
    ("hybrid_corexy", "x"): {"stepper_x": 1, "stepper_y": 1},
    ("hybrid_corexy", "dual_carriage"): {"dual_carriage": 1, "stepper_y": -1},
    ("hybrid_corexz", "x"): {"stepper_x": 1, "stepper_z": 1},
    ("hybrid_corexz", "dual_carriage"): {"dual_carriage": 1, "stepper_z": -1},
    # This is exact only on the middle line. Elsewhere the bed is a bowl.
    ("delta", "z"): {"stepper_a": THIRD, "stepper_b": THIRD, "stepper_c": THIRD},
}


class Axis(NamedTuple):
    """A coordinate that motors change."""

    begin: float  # mm
    weights: Mapping[str, float]  # for each motor

    def coordinate(self, moved: Mapping[str, float]) -> float:
        """Return the coordinate after the motors have *moved* (mm)."""
        return self.begin + sum(
            weight * moved.get(motor, 0.0) for motor, weight in self.weights.items()
        )


class End(NamedTuple):
    """An endstop or a probe. It is closed below *low* and above *high* (mm)."""

    is_inverted: bool
    axis: str
    low: float = -math.inf
    high: float = math.inf


class QuickHeater(Heater):
    """A heater that warms and cools faster than in life. Almost every test waits."""

    def heat(self, power: float, seconds: float) -> None:
        before = self.on_time
        super().heat(power, seconds * HASTE)
        self.on_time = before + power * seconds


@dataclass
class FullMachine(Machine):
    """The whole hardware, as a test sees it."""

    axes: dict[str, Axis] = field(default_factory=dict)
    ends: dict[int, End] = field(default_factory=dict)  # by pin
    pressed: set[int] = field(default_factory=set)  # the pins of other switches

    def level(self, pin: int, steps: Mapping[str, int]) -> bool:
        if pin not in self.ends:
            return pin in self.pressed
        end = self.ends[pin]
        at = self.axes[end.axis].coordinate(self.moved(steps))
        is_open = end.low + ROUNDING < at < end.high - ROUNDING
        return is_open == end.is_inverted

    def moved(self, steps: Mapping[str, int] | None = None) -> dict[str, float]:
        """Return how far each motor has gone, or would have gone after *steps* (mm)."""
        made = {motor.name: motor.position for motor in self.motors.values()}
        made |= steps or {}
        motors = self.motors.values()
        return {motor.name: motor.step_distance * made[motor.name] for motor in motors}


def wire(sections: Sections) -> FullMachine:
    """Return the machine that *sections* describe."""
    wired = demo.wire(sections)
    heaters = [QuickHeater(each.name, each.pin, each.sensor) for each in wired.heaters]
    machine = FullMachine(wired.motors, wired.switches, [*heaters])
    kinematics = sections.get("printer", {}).get("kinematics", "none")
    height = float(sections.get("probe", {}).get("z_offset", "0").split()[0])
    limits = {}  # for each motor: below and above which position its endstop is closed
    for name in (motor.name for motor in machine.motors.values()):
        axis = name.removeprefix("stepper_")
        begin, *limits[name] = _travel(
            name, sections[name], height, kinematics == "delta"
        )
        weights = AXES.get((kinematics, axis), {name: 1.0})
        machine.axes[axis] = Axis(begin, weights)
    for pin, (motor, is_inverted) in machine.switches.items():
        axis = motor.name.removeprefix("stepper_")
        machine.ends[pin] = End(is_inverted, axis, *limits[motor.name])
    if kinematics == "delta":
        machine.axes["z"] = Axis(ABOVE + height, AXES["delta", "z"])
    if "probe" in sections and "z" in machine.axes:
        probe = Pin.parse(sections["probe"]["pin"])
        machine.ends[probe.number] = End(probe.is_inverted, "z", low=height)
    return machine


def _travel(
    name: str, options: Mapping[str, str], height: float, is_tower: bool
) -> tuple[float, float, float]:
    """Return where a motor's axis starts, and the range of its open endstop (mm).

    The endstop is closed below the first and above the second limit.
    """
    if name.startswith("manual_stepper"):
        return 0.0, -ABOVE, ABOVE
    endstop = float(options.get("position_endstop", height))
    lowest = float(options.get("position_min", 0))
    highest = float(options.get("position_max", lowest))
    given = options.get("homing_positive_dir", str(endstop > (lowest + highest) / 2))
    away = ABOVE if name.startswith("stepper_z") else AWAY
    if is_tower or given.lower() in ("1", "true", "yes", "on"):
        return endstop - away, -math.inf, endstop
    return endstop + away, endstop, math.inf


def read(path: Path) -> Sections:
    """Return the sections of a configuration and its includes.

    Errors in the file are left to Klippy.
    """
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in _lines(path):
        text = re.split(r"[#;]", line.removeprefix("#*# "))[0]
        if header := re.match(r"\[\s*(.+?)\s*\]", text):
            section = sections.setdefault(header[1], {})
        elif option := re.match(r"(\w+)\s*[:=](.*)", text):
            section[option[1].lower()] = option[2].strip()
    return sections


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        include = re.match(r"\[\s*include\s+(.+?)\s*\]", line)
        if include is None:
            yield line
            continue
        for file in sorted(glob.glob(str(path.parent / include[1]))):  # noqa: PTH207
            yield from _lines(Path(file))


def rewire(machine: FullMachine, new: FullMachine) -> None:
    """Turn *machine* into the *new* one, with the same positions and temperatures."""
    motors = {motor.name: motor for motor in machine.motors.values()}
    for motor in new.motors.values():
        old = motors.get(motor.name, motor)
        motor.position, motor.forward, motor.back = old.position, old.forward, old.back
    heaters = {heater.name: heater for heater in machine.heaters}
    for heater in new.heaters:
        warm = heaters.get(heater.name, heater)
        heater.temperature, heater.on_time = warm.temperature, warm.on_time
    for name, axis in machine.axes.items():
        if name in new.axes and new.axes[name].weights == axis.weights:
            new.axes[name] = axis
    machine.motors, machine.switches = new.motors, new.switches
    machine.heaters, machine.axes = new.heaters, new.axes
    machine.ends = new.ends
