"""`python -m tests.fakes.board printer.cfg TTY`: the demo's board, with its state.

It answers each line of its standard input with a line of JSON: `state`, `press PIN`,
`release PIN`, `unplug` and `plug`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import weakref
from pathlib import Path

from demo.board.__main__ import Shell, main
from demo.board.dictionary import CLOCK_FREQUENCY, pin_number
from demo.board.parts import Output
from demo.clock import WALL, Clock
from tests.fakes import board_machine
from tests.fakes.board_machine import FullMachine
from tests.fakes.board_parts import FullBoard


class WrongClock(Clock):
    """The clock of the processes of a printer. Its wall clock may be wrong.

    Its file is a link to memory, which is there as long as this object: who writes to a
    page of a file may wait for seconds while the disk is busy.
    """

    def __init__(self, speed: float, file: Path) -> None:
        memory = os.memfd_create("clock")
        weakref.finalize(self, os.close, memory)
        file.unlink(missing_ok=True)
        file.symlink_to(f"/proc/{os.getpid()}/fd/{memory}")
        super().__init__(speed, file)

    def time(self) -> float:
        """The wall clock that the processes see, in UNIX seconds."""
        real = (time.monotonic_ns() - self.begin) / 1e9
        return time.time() + self.elapsed() - real + self.page[WALL] / 1e9

    def set_wall(self, seconds: float) -> None:
        """Make the wall clock wrong by *seconds* from now on."""
        self.page[WALL] = round(seconds * 1e9)


class Bench(Shell):
    """A board whose pins and motors a test can read, and which it may unplug."""

    kind = FullBoard
    board: FullBoard

    def machine(self) -> FullMachine:
        return board_machine.wire(board_machine.read(self.config))

    _line = b""

    def serve(self, data: bytes) -> bool:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            answer = self._command(line.decode().split())
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        return bool(data)

    def renew(self) -> None:
        """Read the configuration again, because a test may have changed it."""
        board_machine.rewire(self.board.machine, self.machine())

        super().renew()

    def unplug(self) -> None:
        self.link.unlink()
        os.close(self.terminal)
        os.close(self.slave)
        self.open()

    def _command(self, words: list[str]) -> object:
        match words:
            case ["state"]:
                self.board.run(self.now())
                return self._state()
            case ["press", pin]:
                self.board.machine.pressed.add(pin_number(pin))
            case ["release", pin]:
                self.board.machine.pressed.discard(pin_number(pin))
            case ["unplug"]:
                self.unplug()
            case ["plug"]:
                super().renew()
                self.plug()
            case _:
                return f"not understood: {' '.join(words)}"
        return "ok"

    def _state(self) -> dict[str, object]:
        machine, moved = self.board.machine, self.board.machine.moved()
        outputs = {output.pin: output.value for output in self.board.all(Output)}
        return {
            "clock": self.now() / CLOCK_FREQUENCY,
            "shutdown": self.board.is_shutdown,
            "steppers": {
                motor.name: {
                    "position": motor.position,
                    "forward": motor.forward,
                    "back": motor.back,
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
                    "power": outputs.get(heater.pin, 0.0),
                    "on_time": heater.on_time,
                }
                for heater in machine.heaters
            },
            "outputs": {str(pin): value for pin, value in outputs.items()},
        }


if __name__ == "__main__":
    sys.exit(main(Bench))
