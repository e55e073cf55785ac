"""The micro-controller: its commands, and what happens while time passes. Pure.

The caller passes the clock. A busy machine does no harm: late steps are made late,
nothing expires, an endstop is read as of the time at which it had to be read, and
Klippy gets the clock of the time at which it sent its question, even if that was late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from demo.board.dictionary import CLOCK_FREQUENCY, RESPONSES, Dictionary
from demo.board.machine import Machine
from demo.board.parts import Endstop, Output, Part, Sensor, Stepper, Trigger
from demo.board.wire import SEQUENCES, Frames, encode_frame

P = TypeVar("P", bound=Part)

MOVES = 4096  # how many moves Klippy may send ahead
REFUSED = ("config_", "queue_", "set_", "update_")  # beginnings, after a shutdown


class Board:
    """A micro-controller: `receive` takes Klippy's bytes, `take` returns its own."""

    more_commands: ClassVar[Mapping[str, Command]] = {}
    more_responses: ClassVar[Sequence[str]] = ()

    def __init__(self, machine: Machine, clock: int = 0) -> None:
        self.machine = machine
        self.now = self.sent = clock
        self.is_connecting = False  # Klippy reads the dictionary, and not yet the clock
        self.is_shutdown = False
        self.is_reset = False  # Klippy has asked for a reset: a new board is needed
        self.commands = {**COMMANDS, **self.more_commands}
        responses = [*RESPONSES, *self.more_responses]
        self.dictionary = Dictionary([*self.commands], responses)
        self.crc: int | None = None  # the configuration's, once that is complete
        self._parts: dict[int, Part] = {}
        self._frames = Frames()
        self._sequence = 1  # the number of the next frame that is accepted
        self._out = bytearray()

    # For the shell

    def receive(self, data: bytes, clock: int, sent: int | None = None) -> None:
        """Carry out at *clock* the commands in *data*, which Klippy sent at *sent*."""
        self.run(clock)
        # Klippy takes a clock that goes back for one that has passed its 32 bits.
        self.sent = max(self.sent, clock if sent is None else min(sent, clock))
        for frame in self._frames.feed(data):
            if frame is not None and frame.sequence == self._sequence:
                self._sequence = (self._sequence + 1) % SEQUENCES
                for text, values in self.dictionary.decode(frame.content):
                    self._do(text, values)
            # The number of an expected frame asks Klippy to send that frame again.
            self._out += encode_frame(self._sequence)

    def run(self, clock: int) -> None:
        """Advance the board's time up to *clock*."""
        if clock <= self.now:
            return
        before, self.now = self.now, clock
        for endstop in self.all(Endstop):
            endstop.read()
        for stepper in self.all(Stepper):
            stepper.advance(clock)
        outputs = {out.pin: out.advance(before, clock) for out in self.all(Output)}
        for heater in self.machine.heaters:
            seconds = (clock - before) / CLOCK_FREQUENCY
            heater.heat(outputs.get(heater.pin, 0.0), seconds)
        for part in self._parts.values():
            part.report()

    def take(self) -> bytes:
        """Return the frames for Klippy, and forget them."""
        data = bytes(self._out)
        self._out.clear()
        return data

    # For its parts

    def all(self, kind: type[P]) -> list[P]:
        return [each for each in self._parts.values() if isinstance(each, kind)]

    def part(self, kind: type[P], oid: int) -> P:
        """Return the part with this number. ValueError: Klippy has configured none."""
        part = self._parts.get(oid)
        if not isinstance(part, kind):
            raise ValueError(f"object {oid} is no {kind.__name__}")  # noqa: TRY004
        return part

    def say(self, name: str, *values: int | bytes) -> None:
        content = self.dictionary.encode(name, values)
        self._out += encode_frame(self._sequence, content)

    def level(self, pin: int, clock: int) -> bool:
        """Return what a switch's pin reads at *clock*. No motor is ahead of that."""
        steps = {each.motor.name: each.position(clock) for each in self.all(Stepper)}
        return self.machine.level(pin, steps)

    # Commands

    def _do(self, text: str, values: list[int]) -> None:
        do = self.commands[text]
        if self.is_shutdown and text.startswith(REFUSED):
            self.say("is_shutdown", 0)
        elif text.startswith("config_"):
            self._parts[values[0]] = do(self, *values)
        elif " oid=" in text:
            do(self.part(Part, values[0]), *values[1:])
        else:
            do(self, *values)

    def identify(self, offset: int, count: int) -> None:
        data = self.dictionary.compressed[offset : offset + count]
        self.is_connecting = True
        self.say("identify_response", offset, data)

    def get_config(self) -> None:
        is_configured, crc = self.crc is not None, self.crc or 0
        self.say("config", is_configured, crc, self.is_shutdown, MOVES)

    def get_uptime(self) -> None:
        self.is_connecting = False
        self.say("uptime", self.sent >> 32, self.sent)

    def emergency_stop(self) -> None:
        if not self.is_shutdown:
            self.is_shutdown = True
            for part in self._parts.values():
                part.stop(self.now)
        self.say("shutdown", self.now, 0)


def stepper(board: Board, oid: int, step_pin: int, *_: int) -> Stepper:
    motor = board.machine.motors.get(step_pin)
    if motor is None:
        raise ValueError(f"no motor is connected to pin {step_pin}")
    return Stepper(board, oid, motor)


# The function that carries out each command. For `config_` it makes a part. For another
# command with an `oid` it is a method of the part.
Command = Callable[..., Any]
COMMANDS: Mapping[str, Command] = {
    "identify offset=%u count=%c": Board.identify,
    "allocate_oids count=%c": lambda board, count: None,
    "get_config": Board.get_config,
    "finalize_config crc=%u": lambda board, crc: setattr(board, "crc", crc),
    "get_clock": lambda board: board.say("clock", board.sent),
    "get_uptime": Board.get_uptime,
    "emergency_stop": Board.emergency_stop,
    "reset": lambda board: setattr(board, "is_reset", True),
    "config_digital_out oid=%c pin=%u value=%c default_value=%c"
    " max_duration=%u": Output,
    "update_digital_out oid=%c value=%c": Output.set,
    "queue_digital_out oid=%c clock=%u on_ticks=%u": Output.queue,
    "set_digital_out_pwm_cycle oid=%c cycle_ticks=%u": Output.set_cycle,
    "config_analog_in oid=%c pin=%u": Sensor,
    "query_analog_in oid=%c clock=%u sample_ticks=%u sample_count=%c rest_ticks=%u"
    " min_value=%hu max_value=%hu range_check_count=%c": Sensor.query,
    "config_stepper oid=%c step_pin=%c dir_pin=%c invert_step=%c"
    " step_pulse_ticks=%u": stepper,
    "queue_step oid=%c interval=%u count=%hu add=%hi": Stepper.queue,
    "set_next_step_dir oid=%c dir=%c": Stepper.set_direction,
    "reset_step_clock oid=%c clock=%u": Stepper.reset_clock,
    "stepper_get_position oid=%c": Stepper.tell_position,
    "stepper_stop_on_trigger oid=%c trsync_oid=%c": Stepper.stop_on,
    "config_endstop oid=%c pin=%c pull_up=%c": Endstop,
    "endstop_home oid=%c clock=%u sample_ticks=%u sample_count=%c rest_ticks=%u"
    " pin_value=%c trsync_oid=%c trigger_reason=%c": Endstop.home,
    "endstop_query_state oid=%c": Endstop.query,
    "config_trsync oid=%c": Trigger,
    "trsync_start oid=%c report_clock=%u report_ticks=%u"
    " expire_reason=%c": Trigger.start,
    "trsync_set_timeout oid=%c clock=%u": lambda trigger, clock: None,
    "trsync_trigger oid=%c reason=%c": Trigger.pull,
}
