"""Small G-code files, and how far they move, read independently of Klipper."""

from __future__ import annotations

import math
from typing import NamedTuple

# Kalico moves off the endstops after homing, and Klipper does not. The wait is for the
# board, which makes its last steps after Klippy.
HEAT = (
    "M140 S50\nM104 S200\nG28\nG1 X0 Y0 Z0 F3000\nM190 S50\nM109 S200\nG4 P2000\nM400\n"
)


class Path(NamedTuple):
    """How far a file moves, in millimetres."""

    x: float
    y: float
    z: float
    # filament that stays pushed out: a retraction that is pushed again is nothing
    filament: float
    pushed: float  # forward and back added up


def rings(layers: int = 3, corners: int = 72) -> str:
    """Return a file of rings on top of each other.

    It moves absolutely, with retractions and resets of the extruder.
    """
    lines = ["G21", "G90", "M82", "G92 E0", "G1 Z0.3 F600"]
    length = 0.0
    for layer in range(layers):
        lines += [
            f"G1 Z{0.3 + 0.2 * layer:.2f} F600",
            f"G1 X{120:.3f} Y{100:.3f} F9000",
            f"G1 E{length + 0.8:.5f} F2400",
            "G1 F3600",
        ]
        length += 0.8
        for corner in range(1, corners + 1):
            angle = 2 * math.pi * corner / corners
            length += 0.1
            x, y = 100 + 20 * math.cos(angle), 100 + 20 * math.sin(angle)
            lines.append(f"G1 X{x:.3f} Y{y:.3f} E{length:.5f}")
        lines += [f"G1 E{length - 0.8:.5f} F2400", "G92 E0"]
        length = 0.0
    # Other habits of slicers: relative extrusion, and relative moves at the end.
    lines += ["M83", "G1 X90 Y90 E2.5 F1800", "G91", "G1 Z5 E-0.4 F600", "G90", "M82"]
    return "\n".join(lines) + "\n"


def path(text: str, start: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Path:
    """Read a file that homes nothing and starts at *start*."""
    position = dict(zip("XYZ", start, strict=True), E=0.0)
    moved = dict.fromkeys("XYZE", 0.0)
    net = furthest = 0.0
    relative, relative_e = False, False
    for line in text.splitlines():
        command, *words = line.partition(";")[0].split() or [""]
        given = {word[0]: float(word[1:]) for word in words}
        if command in ("G0", "G1"):
            for axis in position.keys() & given.keys():
                step = given[axis]
                if not (relative or (relative_e and axis == "E")):
                    step -= position[axis]
                position[axis] += step
                moved[axis] += abs(step)
                net += step if axis == "E" else 0.0
                furthest = max(furthest, net)
        elif command == "G92":
            position.update(given)
        elif command in ("G90", "G91"):
            relative = command == "G91"
        elif command in ("M82", "M83"):
            relative_e = command == "M83"
    return Path(moved["X"], moved["Y"], moved["Z"], furthest, moved["E"])
