"""A printer to test the extra in: the virtual one, or a real Klippy without a printer.

Both run as a process of their own, read the same `printer.cfg`, load the extra from
its folder and answer on Klippy's API socket; so one class speaks to both.

The real Klippy is used when the environment names it:

- `KLIPPER`: a Klipper checkout. `klippy_extra/` is linked into its `klippy/extras`.
- `KLIPPER_MCU`: a command that plays a micro-controller. It is started with two
  arguments, a folder and the name of the serial port that it shall make; the folder's
  file `machine` tells it what is wired to which pin, and it counts the steps that the
  pins really saw in the folder's file `steps`.
- `KLIPPER_PYTHON`: a Python with Klippy's requirements and paho-mqtt.

Both commands find the folder in the variable `KLIPPER_RUN` as well, so that they may
share a clock there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

ROOT = Path(__file__).resolve().parents[2]
EXTRA = ROOT / "klippy_extra"
END = b"\x03"
PRINT = 1800  # seconds that a whole file may take where time cannot be hurried
PATIENCE = 60.0
FASTER = 20  # how much faster than life the virtual printer may run

# The machine: pins for the configuration and, in steps, for what plays the machine.
AXES = {
    # name: step pin, direction pin, endstop pin, steps/mm, mm from the endstop
    "x": (1, 2, 3, 80, 30),
    "y": (4, 5, 6, 80, 30),
    "z": (7, 8, 9, 400, 20),
}
EXTRUDER_STEPS = 3200 / 22
PROBE_PIN = 12
PROBE_HEIGHT = 0.5
HEATERS = {
    # name: sensor, pin, degrees per second at full power, seconds to cool
    "extruder": (0, 20, 8, 60),
    "heater_bed": (1, 21, 5, 120),
}

PRINTER_CFG = f"""\
[mcu]
serial: {{serial}}

[printer]
kinematics: cartesian
max_velocity: 300
max_accel: 3000
max_z_velocity: 20
max_z_accel: 300

[stepper_x]
step_pin: gpio1
dir_pin: gpio2
enable_pin: gpio30
microsteps: 16
rotation_distance: 40
endstop_pin: gpio3
position_endstop: 0
position_max: 250
homing_speed: 50

[stepper_y]
step_pin: gpio4
dir_pin: gpio5
enable_pin: gpio31
microsteps: 16
rotation_distance: 40
endstop_pin: gpio6
position_endstop: 0
position_max: 250
homing_speed: 50

[stepper_z]
step_pin: gpio7
dir_pin: gpio8
enable_pin: gpio32
microsteps: 16
rotation_distance: 8
endstop_pin: gpio9
position_endstop: 0
position_min: -2
position_max: 250
homing_speed: 10

[probe]
pin: gpio{PROBE_PIN}
z_offset: {PROBE_HEIGHT}
speed: 5

[extruder]
step_pin: gpio10
dir_pin: gpio11
enable_pin: gpio33
microsteps: 16
rotation_distance: 22
nozzle_diameter: 0.4
filament_diameter: 1.75
max_extrude_only_distance: 100
heater_pin: gpio20
sensor_type: linear
sensor_pin: analog0
control: watermark
max_delta: 1
min_temp: 0
max_temp: 350

[heater_bed]
heater_pin: gpio21
sensor_type: linear
sensor_pin: analog1
control: watermark
max_delta: 1
min_temp: 0
max_temp: 150

[fan]
pin: gpio22

[virtual_sdcard]
path: {{folder}}/gcodes

[pause_resume]

[display_status]

[respond]

[idle_timeout]
timeout: 3600
"""

# The virtual printer's sensors need no description.
SENSOR = """\
[adc_temperature linear]
temperature1: 0
voltage1: 0
temperature2: 400
voltage2: 4
"""


class GCodeError(Exception):
    """Klippy refused a command."""


class Steps(NamedTuple):
    """What a stepper's pins saw, in steps."""

    position: int
    forward: int
    back: int


class BackEnd(Protocol):
    """What differs between the virtual printer and Klippy."""

    name: str
    sections: str  # of the configuration, which only this one knows

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start the process that reads `printer.cfg` and answers on `api`."""

    def stop(self) -> None:
        """Stop what was started beside that process."""

    def serial(self, folder: Path) -> str: ...


class Virtual:
    """`python -m demo.printer`."""

    name = "virtual"
    sections = ""

    def __init__(self, speed: float = FASTER) -> None:
        self._speed = speed

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "demo.printer",
            str(folder / "printer.cfg"),
            *("--api", str(folder / "api")),
            *("--log", str(folder / "klippy.log")),
            *("--speed", str(self._speed)),
        ]
        return spawn(command, folder, folder / "klippy.out", {})

    def stop(self) -> None:
        pass

    def serial(self, folder: Path) -> str:
        return "/dev/null"


class Klippy:
    """A checkout's Klippy, with a process that plays the micro-controller."""

    name = "klippy"
    sections = SENSOR

    def __init__(self, checkout: Path, mcu: list[str], python: list[str]) -> None:
        self.checkout = checkout
        self._command = mcu
        self._python = python
        self._mcu: subprocess.Popen[bytes] | None = None
        self._serial: Path | None = None  # a link

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        # One that a killed Klippy left alone in mid-print gives up sooner or later:
        # it is switched off and on, as the printer would be. Its carriages stay.
        self.stop()
        environment = {"KLIPPER_RUN": str(folder)}
        serial = self.serial(folder)
        write_machine(folder / "machine")
        self._serial = Path(serial)
        self._mcu = spawn(
            [*self._command, str(folder), serial],
            folder,
            folder / "mcu.log",
            environment,
        )
        until(self._serial.exists, "the simulated micro-controller")
        command = [
            *self._python,
            str(self.checkout / "klippy" / "klippy.py"),
            str(folder / "printer.cfg"),
            *("--logfile", str(folder / "klippy.log")),
            *("--api-server", str(folder / "api")),
            *("--input-tty", str(folder / "tty")),
        ]
        return spawn(command, folder, folder / "klippy.out", environment)

    def stop(self) -> None:
        if self._mcu is not None:
            end(self._mcu, signal.SIGTERM)
            self._mcu = None
        if self._serial is not None:
            self._serial.unlink(missing_ok=True)

    def serial(self, folder: Path) -> str:
        # Klippy knows a pipe from a serial port by the beginning of its name.
        return f"/tmp/klipper_host_{folder.name}"


def klippy_from_environment() -> Klippy | str:
    """The real Klippy that the environment names, or what it lacks."""
    for name in ("KLIPPER", "KLIPPER_MCU"):
        if not os.environ.get(name):
            return f"{name} is not set: see the first lines of {Path(__file__).name}"
    checkout = Path(os.environ["KLIPPER"]).expanduser().resolve()
    if not (checkout / "klippy" / "klippy.py").is_file():
        return f"KLIPPER={checkout} is no Klipper checkout"
    mcu = shlex.split(os.environ["KLIPPER_MCU"])
    python = shlex.split(os.environ.get("KLIPPER_PYTHON", sys.executable))
    return Klippy(checkout, mcu, python)


@contextlib.contextmanager
def linked_extra(checkout: Path) -> Iterator[None]:
    """The extra is linked into the checkout, as the installer does it, and unlinked."""
    link = checkout / "klippy" / "extras" / "maintain"
    if link.is_symlink() and link.resolve() == EXTRA:
        yield
        return
    link.symlink_to(EXTRA)
    try:
        yield
    finally:
        link.unlink()


class Printer:
    """A printer in a folder of its own, and how a test speaks to it."""

    def __init__(self, back_end: BackEnd, sections: str = "") -> None:
        """*sections* are added to the configuration: `[maintain]` and its tasks."""
        self._back_end = back_end
        # A socket's name may have 107 bytes: too few for a folder of pytest's.
        self._temporary = tempfile.TemporaryDirectory(prefix="upkeep-")
        self.folder = Path(self._temporary.name)
        (self.folder / "gcodes").mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None
        self.responses: list[str] = []
        self.configure(sections)

    @property
    def real(self) -> bool:
        """Whether this is Klippy itself."""
        return self._back_end.name == "klippy"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(self, sections: str) -> None:
        """Write `printer.cfg`. It is read at the next start or RESTART."""
        base = PRINTER_CFG.format(
            serial=self._back_end.serial(self.folder), folder=self.folder
        )
        sections = sections.replace("{folder}", str(self.folder))
        (self.folder / "printer.cfg").write_text(
            f"{self._back_end.sections}\n{base}\n{sections}\n"
        )

    # Life

    def start(self) -> tuple[str, str]:
        """Start the process and wait until it has read its configuration."""
        self._process = self._back_end.start(self.folder)
        return self._connect()

    def restart(self, command: str = "RESTART") -> tuple[str, str]:
        """RESTART, or FIRMWARE_RESTART: the same process with all objects anew."""
        api = self._connected()
        api.send("gcode/script", {"script": command})
        api.until_closed()
        return self._connect()

    def emergency_stop(self) -> None:
        self._connected().call("emergency_stop")

    def terminate(self) -> None:
        """SIGTERM, as `systemctl stop` sends it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as good as a power cut."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, number)
            self._process = None
        if self._api is not None:
            self._api.close()
            self._api = None

    def close(self) -> None:
        self._end(signal.SIGKILL)
        self._back_end.stop()
        self._temporary.cleanup()

    # What a user does

    def gcode(self, script: str, timeout: float = PATIENCE) -> list[str]:
        """Run *script*. Returns the lines of the console that came meanwhile."""
        first = len(self.responses)
        self._connected().call("gcode/script", {"script": script}, timeout)
        return self.responses[first:]

    def console(self, script: str) -> str:
        """What the console shows while *script* runs, as one text."""
        lines = "\n".join(self.gcode(script)).split("\n")
        return "\n".join(line.removeprefix("// ") for line in lines)

    def send(self, script: str) -> None:
        """Begin *script*, and do not wait for its end."""
        self._connected().send("gcode/script", {"script": script})

    def print_file(self, text: str, name: str = "part.gcode") -> None:
        """Begin to print a file."""
        (self.folder / "gcodes" / name).write_text(text)
        self.gcode(f"SDCARD_PRINT_FILE FILENAME={name}")

    def finish_printing(self) -> dict[str, Any]:
        """Wait for the job's end. Returns `print_stats`, with all moves made."""
        until(
            lambda: (
                self.status("print_stats")["state"]
                in ("complete", "error", "cancelled")
            ),
            "the end of the print",
            PRINT,
        )
        self.gcode("M400")
        return self.status("print_stats")

    # What a screen sees

    def status(self, name: str) -> dict[str, Any]:
        answer = self._connected().call("objects/query", {"objects": {name: None}})
        status: dict[str, Any] = answer["status"].get(name) or {}
        return status

    def task(self, name: str) -> dict[str, Any]:
        return self.status(f"maintain {name}")

    def state(self) -> tuple[str, str]:
        """Klippy's state and the text that goes with it."""
        webhooks = self.status("webhooks")
        return webhooks["state"], webhooks["state_message"]

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        return self._connected().call(method, params)

    def log(self) -> str:
        """`klippy.log`, without Klippy's line for each second."""
        path = self.folder / "klippy.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        lines = text.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("Stats "))

    def steps(self) -> dict[str, Steps]:
        """What the pins saw since the machine was made. Klippy only."""
        data = (self.folder / "steps").read_bytes()
        records = struct.iter_unpack("=16sqqq", data[: 16 * 40])
        return {
            name.rstrip(b"\0").decode(): Steps(*counts)
            for name, *counts in records
            if name[0]
        }

    # The socket

    def _connected(self) -> Api:
        assert self._api is not None, "the printer is not running"
        return self._api

    def _connect(self) -> tuple[str, str]:
        path = self.folder / "api"

        def connect() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"the printer is gone:\n{self.log()[-4000:]}")
            if self._api is not None:
                self._api.close()
            self._api = None
            try:
                self._api = Api(path, self.responses)
                return self.state()[0] != "startup"
            except OSError:
                return False

        until(connect, "the printer's socket")
        self._connected().call("gcode/subscribe_output", {"response_template": {}})
        return self.state()


class Api:
    """Klippy's API socket: one JSON object after the other, each ended by 0x03."""

    def __init__(self, path: Path, responses: list[str]) -> None:
        self._responses = responses
        self._partial = b""
        self._number = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        self._number += 1
        request = {"id": self._number, "method": method, "params": params or {}}
        self._socket.sendall(json.dumps(request).encode() + END)
        return self._number

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        timeout: float = PATIENCE,
    ) -> dict[str, Any]:
        number = self.send(method, params)
        self._socket.settimeout(timeout)
        while True:
            message = self._receive()
            if message.get("id") == number:
                if "error" in message:
                    raise GCodeError(message["error"]["message"])
                result: dict[str, Any] = message["result"]
                return result

    def until_closed(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                self._receive()
        self.close()

    def _receive(self) -> dict[str, Any]:
        while END not in self._partial:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("Klippy closed the socket")
            self._partial += data
        head, self._partial = self._partial.split(END, 1)
        message: dict[str, Any] = json.loads(head)
        if "response" in message.get("params", {}):
            self._responses.append(message["params"]["response"])
        return message


def until(
    condition: Callable[[], Any],
    what: str,
    timeout: float = PATIENCE,
    pause: float = 0.02,
) -> Any:
    """The first true value of *condition*, or an AssertionError that names *what*."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s for {what}")
        time.sleep(pause)


def spawn(
    command: list[str], folder: Path, output: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    with output.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "HOME": str(folder), **environment},
        )


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def write_machine(path: Path) -> None:
    lines = [
        f"stepper {name} {step} {direction} {per_mm * distance}"
        for name, (step, direction, _, per_mm, distance) in AXES.items()
    ]
    lines += ["stepper extruder 10 11 0"]
    lines += [f"endstop {stop} 0 {name} 1" for name, (_, _, stop, *_) in AXES.items()]
    lines += [f"endstop {PROBE_PIN} {int(PROBE_HEIGHT * AXES['z'][3])} z 1"]
    lines += [
        f"heater {name} {sensor} {pin} {rate} {tau}"
        for name, (sensor, pin, rate, tau) in HEATERS.items()
    ]
    path.write_text("\n".join(lines) + "\n")
