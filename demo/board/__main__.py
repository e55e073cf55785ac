"""`python -m demo.board printer.cfg TTY`: a board behind a pseudo-terminal.

It goes on until its standard input ends, and answers each line there with a line of
JSON: `state`, `press PIN`, `release PIN`, `unplug` and `plug`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import tempfile
import time
import tty
from pathlib import Path

from demo.board.dictionary import CLOCK_FREQUENCY, pin_number
from demo.board.firmware import Board
from demo.board.machine import read, wire
from demo.clock import SLACK, Clock

LONGEST_WAIT = SLACK / 3e9  # s
SILENCE = 2.0  # s by the printer's clock after which it waits for Klippy
AWAY = 1.0  # s by life's clock after which it does not


class Shell:
    """Joins a board to a pseudo-terminal, whose name a link tells, and to a clock."""

    def __init__(self, config: Path, link: Path, clock: Clock) -> None:
        self._config = config
        self._link = link
        self._time = clock
        self._board = Board(wire(read(config)))
        self._terminal: int | None = None
        self._line = b""
        self._heard = self._heard_at = 0.0  # when Klippy sent something last
        self._plug()

    def run(self) -> None:
        """Serve until the standard input ends."""
        control = sys.stdin.fileno()
        while True:
            if self._is_heard():
                self._time.beat()
            clock = self._clock()
            self._board.run(clock)
            self._write()
            wait = (self._board.due() - clock) / CLOCK_FREQUENCY / self._time.speed
            files = [control] if self._terminal is None else [control, self._terminal]
            ready, _, _ = select.select(files, [], [], min(max(wait, 0), LONGEST_WAIT))
            if self._terminal in ready:
                self._read()
            if control in ready and not self._serve(os.read(control, 4096)):
                return

    def close(self) -> None:
        self._unplug()
        self._time.stop_beating()

    def _is_heard(self) -> bool:
        """Whether Klippy, which asks for the clock each second, seems to be in time.

        It gives a board up that it has not heard for five seconds, be it that a busy
        machine kept Klippy waiting, the board, or what lies between them.
        """
        silence = self._time.elapsed() - self._heard
        if silence < SILENCE and not self._board.is_identifying:
            return True
        return time.monotonic() > self._heard_at + AWAY

    def _clock(self) -> int:
        return int(self._time.elapsed() * CLOCK_FREQUENCY)

    def _plug(self) -> None:
        if self._terminal is None:
            self._terminal, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._terminal, False)
            fresh = self._link.with_name(f"{self._link.name}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.ttyname(self._slave))
            fresh.replace(self._link)

    def _unplug(self) -> None:
        if self._terminal is not None:
            self._link.unlink(missing_ok=True)
            os.close(self._terminal)
            os.close(self._slave)
            self._terminal = None

    def _read(self) -> None:
        assert self._terminal is not None  # noqa: S101 - what select has returned
        data = os.read(self._terminal, 65536)
        self._heard, self._heard_at = self._time.elapsed(), time.monotonic()
        try:
            self._board.receive(data, self._clock())
        except ValueError as error:
            print(f"board: {error}", file=sys.stderr, flush=True)

    def _write(self) -> None:
        if self._board.is_reset:
            self._board.machine.rewire(read(self._config))
        data = self._board.take()
        if data and self._terminal is not None:
            # Nobody reads while Klippy is away: what does not fit is lost.
            with contextlib.suppress(BlockingIOError):
                os.write(self._terminal, data)

    # The standard input

    def _serve(self, data: bytes) -> bool:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            print(json.dumps(self._command(line.decode().split())), flush=True)
        return bool(data)

    def _command(self, words: list[str]) -> object:
        match words:
            case ["state"]:
                self._board.run(self._clock())
                return self._state()
            case ["press", pin]:
                self._board.inputs.add(pin_number(pin))
            case ["release", pin]:
                self._board.inputs.discard(pin_number(pin))
            case ["unplug"]:
                self._unplug()
            case ["plug"]:
                self._board = Board(self._board.machine, self._clock())
                self._plug()
            case _:
                return f"not understood: {' '.join(words)}"
        return "ok"

    def _state(self) -> dict[str, object]:
        machine, outputs = self._board.machine, self._board.outputs()
        moved = machine.moved()
        return {
            "clock": self._clock() / CLOCK_FREQUENCY,
            "shutdown": self._board.shutdown,
            "steppers": {
                motor.name: {
                    "position": motor.shaft.position,
                    "forward": motor.shaft.forward,
                    "back": motor.shaft.back,
                    "step_distance": abs(motor.step_distance),
                }
                for motor in machine.motors.values()
            },
            "axes": {
                name: axis.coordinate(moved) for name, axis in machine.axes.items()
            },
            "heaters": {
                heater.name: {
                    "temperature": heater.temperature,
                    "power": 0.0
                    if heater.pin is None
                    else abs(heater.pin.inverted - outputs.get(heater.pin.number, 0)),
                    "on_time": heater.on_time,
                }
                for heater in machine.heaters
            },
            "outputs": {str(pin): value for pin, value in outputs.items()},
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.board", description=__doc__)
    parser.add_argument("config", type=Path, help="the printer.cfg that tells the pins")
    parser.add_argument("tty", type=Path, help="the name that the serial port gets")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ.get("DEMO_CLOCK")
        clock = Clock.parse(given) if given else Clock(1.0, Path(folder) / "clock")
        shell = Shell(options.config, options.tty, clock)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            shell.run()
        shell.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
