"""A real Klippy in the place of the virtual printer.

A checkout whose firmware was built for the "Linux process" runs here, with a machine
that has no motors: its print is a file of pauses, and its clock is life's. Any other
Klippy runs already, on a printer of its own, and is told apart by the broker only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from demo.children import Child, Children

EXTRA = Path(__file__).resolve().parents[1] / "klippy_extra"
FILE = "pauses.gcode"
PRINT = "".join("G4 P1000\n" for _ in range(300))

CONFIG = """\
[mcu]
serial: {serial}

[printer]
kinematics: none
max_velocity: 100
max_accel: 1000

[virtual_sdcard]
path: {folder}

{maintain}

[maintain nozzle]
label: Brush the nozzle
message: Heat it to 200 °C and brush it with brass.
trigger: busy_time
threshold: 0.01
warn_before: 25%

[maintain plate]
label: Wash the build plate
trigger: print_time, jobs_started
threshold: 2, 10
"""


class RealKlippy:
    """A checkout. FileNotFoundError where there is none."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout.expanduser().resolve()
        self._klippy = self._checkout / "klippy" / "klippy.py"
        if not self._klippy.is_file():
            raise FileNotFoundError(f"{checkout} is no Klipper checkout")
        self._firmware = self._checkout / "out" / "klipper.elf"
        self._link = self._checkout / "klippy" / "extras" / "maintain"
        self._is_linked = False
        self._serial: Path | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is us who run it."""
        return self._firmware.is_file()

    def start(
        self, children: Children, folder: Path, maintain: str, api: Path
    ) -> Child:
        """Start firmware and Klippy with the section *maintain*; returns Klippy."""
        # Klippy knows a pipe from a serial port by the beginning of its name.
        self._serial = serial = Path(f"/tmp/klipper_host_{folder.name}")  # noqa: S108
        command = [str(self._firmware), "-I", str(serial)]
        firmware = children.add(Child("firmware", command, folder))
        firmware.wait_until(serial.exists)
        with contextlib.suppress(FileExistsError):
            self._link.symlink_to(EXTRA)
            self._is_linked = True
        config = folder / "printer.cfg"
        config.write_text(
            CONFIG.format(serial=serial, folder=folder, maintain=maintain)
        )
        (folder / FILE).write_text(PRINT)
        klippy = Child(
            "printer",
            [
                *(python(), str(self._klippy), str(config)),
                *("--api-server", str(api), "--input-tty", str(folder / "tty")),
                *("--logfile", str(folder / "klippy.log")),
            ],
            folder,
            ending=signal.SIGINT,
        )
        return children.add(klippy)

    def leave(self) -> None:
        """Take our links away again."""
        if self._serial is not None:
            self._serial.unlink(missing_ok=True)
        if self._is_linked:
            self._link.unlink()
            self._is_linked = False


def python() -> str:
    """The Python that has what Klippy needs, and paho-mqtt."""
    usual = Path("~/klippy-env/bin/python").expanduser()
    return os.environ.get("KLIPPER_PYTHON") or str(
        usual if usual.exists() else sys.executable
    )
