"""Printers with every kind of kinematics, as configurations for a real Klippy."""

from __future__ import annotations

from typing import NamedTuple


class Machine(NamedTuple):
    """A configuration, and the steppers with which its meters are compared."""

    config: str
    # For each meter: the steppers whose travel is counted together. Where two meters
    # share steppers, the file moves one axis at a time, so that they can be told apart.
    meters: dict[str, str]
    moves: str  # G-code that moves one axis at a time


def stepper(name: str, pins: int, *lines: str, distance: int = 40) -> str:
    """Return a section with a motor at the pin gpio*pins* and the next two."""
    return "\n".join(
        [
            f"[{name}]",
            f"step_pin: gpio{pins}",
            f"dir_pin: gpio{pins + 1}",
            f"enable_pin: gpio{pins + 2}",
            f"rotation_distance: {distance}",
            "microsteps: 16",
            *lines,
            "",
        ]
    )


def rail(name: str, pins: int, *lines: str, distance: int = 40, speed: int = 50) -> str:
    """Return a section with a motor and an endstop at 0.

    The endstop has the pin after the motor's.
    """
    end = [
        f"endstop_pin: ^gpio{pins + 3}",
        f"homing_speed: {speed}",
        "position_max: 200",
    ]
    if not any(line.startswith("position_endstop") for line in lines):
        end.append("position_endstop: 0")
    return stepper(name, pins, *end, *lines, distance=distance)


def tower(name: str, pins: int, *lines: str) -> str:
    end = (f"endstop_pin: ^gpio{pins + 3}", "homing_speed: 50", *lines)
    return stepper(f"stepper_{name}", pins, *end)


def extruder(name: str, pins: int, sensor: int) -> str:
    return stepper(
        name,
        pins,
        "nozzle_diameter: 0.4",
        "filament_diameter: 1.75",
        f"heater_pin: gpio{pins + 3}",
        "sensor_type: Generic 3950",
        f"sensor_pin: analog{sensor}",
        "control: watermark",
        "min_temp: 0",
        "max_temp: 300",
        "min_extrude_temp: 0",
        "max_extrude_only_distance: 500",
        distance=22,
    )


def base(kinematics: str, *lines: str) -> str:
    return "\n".join(
        [
            "[mcu]",
            "serial: {serial}",
            "restart_method: command",
            "[printer]",
            f"kinematics: {kinematics}",
            "max_velocity: 300",
            "max_accel: 3000",
            *lines,
            "[virtual_sdcard]",
            "path: {folder}/gcodes",
            "",
        ]
    )


Z = ("position_min: -5",)
LIMITS = ("max_z_velocity: 20", "max_z_accel: 300")
X, Y = rail("stepper_x", 0), rail("stepper_y", 4)
RAIL_Z = rail("stepper_z", 8, *Z, distance=8, speed=10)
PROBED_Z = stepper(
    "stepper_z", 8, "endstop_pin: probe:z_virtual_endstop", "position_max: 200", *Z,
    "homing_speed: 10", distance=8,
)  # fmt: skip
PROBE = "[probe]\npin: ^gpio20\nz_offset: 1\n"
EXTRUDER = extruder("extruder", 24, 0)
SAFE = "[safe_z_home]\nhome_xy_position: 50, 50\nz_hop: 5\n"
MOVES = (
    "G90\nM83\nG1 Z20 F600\nG1 X50 F6000\nG1 Y60\nG1 X20\nG1 Z15 F600\nG1 E30 F600\n"
    "G1 E-2\nG1 Y30 F6000\nG1 X10\nG1 Y80\nG1 Z30 F600\n"
)
AXES = {f"travel_{axis}": f"stepper_{axis}" for axis in "xyz"}

MACHINES = {
    "cartesian": Machine(base("cartesian", *LIMITS) + X + Y + RAIL_Z, AXES, MOVES),
    "corexy with four Z": Machine(
        base("corexy", *LIMITS) + X + Y + PROBED_Z + PROBE
        + "".join(
            stepper(f"stepper_z{n}", 32 + 4 * n, distance=8) for n in (1, 2, 3)
        ),
        {
            "travel_x+travel_y": "stepper_x",
            "travel_y+travel_x": "stepper_y",
            "travel_z": "stepper_z3",
        },
        MOVES + "PROBE\n",
    ),
    "corexz": Machine(
        base("corexz", *LIMITS) + X + Y + rail("stepper_z", 8, *Z),
        {
            "travel_x+travel_z": "stepper_x",
            "travel_z+travel_x": "stepper_z",
            "travel_y": "stepper_y",
        },
        MOVES,
    ),
    "hybrid corexy": Machine(
        base("hybrid_corexy", *LIMITS) + X + Y + RAIL_Z,
        {
            "travel_x+travel_y": "stepper_x",
            "travel_y": "stepper_y",
            "travel_z": "stepper_z",
        },
        MOVES,
    ),
    "delta": Machine(
        base(
            "delta", "max_z_velocity: 50", "delta_radius: 120",
            "minimum_z_position: -5",
        )
        + tower("a", 0, "position_endstop: 180", "arm_length: 250")
        + tower("b", 4)
        + tower("c", 8),
        {f"travel_carriage_{name}": f"stepper_{name}" for name in "abc"},
        "G90\nM83\nG1 Z50 F3000\nG1 X20 F6000\nG1 Y20\nG1 X0\nG1 E30 F600\n"
        "G1 Y0 F6000\n",
    ),
    "IDEX": Machine(
        base("cartesian", *LIMITS)
        + X + Y + RAIL_Z
        + rail(
            "dual_carriage", 40, "axis: x",
            "position_endstop: 200", "homing_positive_dir: True",
        )
        + extruder("extruder1", 48, 1),
        {
            # by number and by name: versions of Klippy differ
            "travel_carriage_0": "stepper_x",
            "travel_carriage_1": "dual_carriage",
            "travel_carriage_x": "stepper_x",
            "travel_carriage_dual_carriage": "dual_carriage",
            "travel_y": "stepper_y",
        },
        MOVES
        + "SET_DUAL_CARRIAGE CARRIAGE=1\nG1 X150 F6000\nG1 X100\nG1 X160\n"
        "SET_DUAL_CARRIAGE CARRIAGE=0\nG1 X30\n",
    ),
}  # fmt: skip
