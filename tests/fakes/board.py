"""`python -m tests.fakes.board printer.cfg TTY`: the demo's board, and what it knows.

It answers each line of its standard input with a line of JSON: `state`, `press PIN`,
`release PIN`, `unplug` and `plug`.
"""

from __future__ import annotations

import json
import sys

from demo.board.__main__ import Shell, main
from demo.board.dictionary import CLOCK_FREQUENCY, pin_number
from demo.board.firmware import Board


class Bench(Shell):
    """A board whose pins and motors a test can see."""

    _line = b""

    def serve(self, data: bytes) -> bool:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            answer = self._command(line.decode().split())
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        return bool(data)

    def _command(self, words: list[str]) -> object:
        match words:
            case ["state"]:
                self.board.run(self.clock())
                return self._state()
            case ["press", pin]:
                self.board.inputs.add(pin_number(pin))
            case ["release", pin]:
                self.board.inputs.discard(pin_number(pin))
            case ["unplug"]:
                self.unplug()
            case ["plug"]:
                self.board = Board(self.board.machine, self.clock())
                self.plug()
            case _:
                return f"not understood: {' '.join(words)}"
        return "ok"

    def _state(self) -> dict[str, object]:
        machine, outputs = self.board.machine, self.board.outputs()
        moved = machine.moved()
        return {
            "clock": self.clock() / CLOCK_FREQUENCY,
            "shutdown": self.board.shutdown,
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


if __name__ == "__main__":
    sys.exit(main(Bench))
