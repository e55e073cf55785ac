"""Runs the board's steppers, endstops and sensors. Pure: the caller passes the clock.

It forgives a busy machine: steps that come late are made late, nothing expires, and an
endstop is looked up for the time at which it was to be read, and Klippy is told the
clock of the time at which it asked, however late that happens.
"""

from __future__ import annotations

from typing import TypeVar

from demo.board.commands import do
from demo.board.dictionary import ADC_MAX, BY_NAME, CLOCK_FREQUENCY, commands
from demo.board.machine import Machine
from demo.board.parts import Buttons, Endstop, Output, Sensor, Trigger
from demo.board.stepper import Stepper
from demo.board.wire import SEQUENCES, Frames, encode_frame

T = TypeVar("T")

STATS_INTERVAL = 5 * CLOCK_FREQUENCY  # ticks
LATE = 5 * CLOCK_FREQUENCY  # ticks for which steps of a homing move are waited for
BUTTONS_INTERVAL = CLOCK_FREQUENCY // 50


class Board:
    """A micro-controller. Bytes go in, and what `take` returns goes out."""

    def __init__(self, machine: Machine, clock: int = 0) -> None:
        self.machine = machine
        self.inputs: set[int] = set()  # the pins of buttons that are pressed
        self.is_connecting = False  # Klippy is about to ask for more, and for the clock
        self.is_reset = False  # since `take` was called last
        self.now = self.sent = clock
        self._frames = Frames()
        self._sequence = 1  # of the next frame that Klippy may send
        self._out = bytearray()
        self.forget()

    def forget(self) -> None:
        """Go back to the state after a reset: nothing is configured."""
        self.crc: int | None = None
        self.shutdown: str | None = None
        self.oids: dict[int, object] = {}
        self.static: dict[int, float] = {}
        self._next_stats = self.now + STATS_INTERVAL

    # For the shell

    def receive(self, data: bytes, clock: int, sent: int | None = None) -> None:
        """Do what *data*, which left Klippy at *sent*, asks for, at *clock*."""
        self.run(clock)
        self.sent = clock if sent is None else min(sent, clock)
        for frame in self._frames.feed(data):
            if frame is None or frame.sequence != self._sequence:
                self._out += encode_frame(self._sequence)  # "send that again"
                continue
            self._sequence = (self._sequence + 1) % SEQUENCES
            for command in commands(frame.content):
                do(self, command)
            self._out += encode_frame(self._sequence)

    def run(self, clock: int) -> None:
        """Advance the board's time up to *clock*."""
        if clock <= self.now:
            return
        before, self.now = self.now, clock
        self._read_endstops(before)
        for stepper in self.all(Stepper):
            stepper.advance(clock)
        self._heat(before, clock)
        self._report()

    def take(self) -> bytes:
        """Return the board's messages."""
        data = bytes(self._out)
        self._out.clear()
        self.is_reset = False
        return data

    def due(self) -> int:
        """Return the clock at which `run` has the next message."""
        clocks = [self._next_stats]
        clocks += [s.next_clock for s in self.all(Sensor) if s.interval]
        clocks += [b.next_clock for b in self.all(Buttons) if b.is_asked]
        for trigger in self.all(Trigger):
            if trigger.is_armed and trigger.interval:
                clocks.append(trigger.next_report)
        homing = [e.next_clock for e in self.all(Endstop) if e.trigger is not None]
        if homing:  # no single sample is waited for, see `_read_endstops`
            clocks.append(max(min(homing), self.now + CLOCK_FREQUENCY // 100))
        return min(clocks)

    def outputs(self) -> dict[int, float]:
        """Return the value of each driven pin, 0 to 1."""
        return self.static | {out.pin: out.value for out in self.all(Output)}

    # Time

    def all(self, kind: type[T]) -> list[T]:
        return [each for each in self.oids.values() if isinstance(each, kind)]

    def level(self, pin: int, clock: int | None = None) -> bool:
        """What a switch's pin reads at *clock*, or now."""
        switch = self.machine.switches.get(pin)
        if switch is None:
            return pin in self.inputs
        moved = self.machine.moved()
        if clock is not None:
            for stepper in self.all(Stepper):
                for motor in self.machine.motors.values():
                    if motor.shaft is stepper.shaft:
                        moved[motor.name] = motor.moved(stepper.position(clock))
        return switch.level(moved)

    def _read_endstops(self, before: int) -> None:
        """Find whether and when a switch changed since *before*."""
        for endstop in self.all(Endstop):
            trigger = endstop.trigger
            if trigger is None or endstop.next_clock > self.now:
                continue
            last = (self.now - endstop.next_clock) // endstop.interval
            if self.level(endstop.pin, self.now) != endstop.wanted:
                endstop.next_clock += (last + 1) * endstop.interval
                continue
            low, high = 0, last  # the number of the sample that saw it
            while low < high:
                middle = (low + high) // 2
                clock = endstop.next_clock + middle * endstop.interval
                if self.level(endstop.pin, clock) == endstop.wanted:
                    high = middle
                else:
                    low = middle + 1
            clock = endstop.next_clock + low * endstop.interval
            endstop.next_clock = clock + endstop.interval
            endstop.trigger = None
            self.pull(trigger, endstop.reason, min(clock, self.now))

    def look_again(self, stepper: Stepper, clock: int) -> None:
        """Steps came late: read the endstops that stop them from *clock* on."""
        for endstop in self.all(Endstop):
            trigger = endstop.trigger
            if trigger is not None and stepper in trigger.steppers:
                late = max(endstop.next_clock - clock, 0)
                endstop.next_clock -= late // endstop.interval * endstop.interval

    def pull(self, trigger: Trigger, reason: int, clock: int) -> None:
        if trigger.is_armed:
            trigger.is_armed, trigger.reason = False, reason
            for stepper in trigger.steppers:
                stepper.stop(clock)
            trigger.steppers.clear()
            self.say("trsync_state", trigger.oid, 0, reason, clock)

    def _heat(self, before: int, clock: int) -> None:
        outputs = {out.pin: out for out in self.all(Output)}
        for heater in self.machine.heaters:
            power = 0.0
            if heater.pin is not None and heater.pin.number in outputs:
                power = outputs.pop(heater.pin.number).average(before, clock)
                if heater.pin.inverted:
                    power = 1 - power
            heater.heat(power, (clock - before) / CLOCK_FREQUENCY)
        for output in outputs.values():
            output.advance(clock)

    def _report(self) -> None:
        now = self.now
        for trigger in self.all(Trigger):
            if trigger.is_armed and trigger.interval and trigger.next_report <= now:
                trigger.next_report = now + trigger.interval
                self.say("trsync_state", trigger.oid, 1, 0, self._homed(trigger))
        for sensor in self.all(Sensor):
            if sensor.interval and sensor.next_clock <= now:
                # A late report stands for all that were missed.
                missed = (now - sensor.next_clock) // sensor.interval
                sensor.next_clock += (missed + 1) * sensor.interval
                value = round(self._reading(sensor.pin) * ADC_MAX) * sensor.samples
                self.say("analog_in_state", sensor.oid, sensor.next_clock, value)
        for buttons in self.all(Buttons):
            if buttons.is_asked and buttons.next_clock <= now:
                buttons.next_clock = now + BUTTONS_INTERVAL
                self._press(buttons)
        if self._next_stats <= now:
            self._next_stats = now + STATS_INTERVAL
            self.say("stats", 1, 1, 1)

    def _homed(self, trigger: Trigger) -> int:
        """Up to when its steppers have run: Klippy gives up at the move's end.

        Steps that do not come are late, for a while.
        """
        last = max((stepper.last for stepper in trigger.steppers), default=self.now)
        return min(last, self.now) if self.now < last + LATE else self.now

    def _reading(self, pin: int) -> float:
        for heater in self.machine.heaters:
            if heater.sensor.number == pin:
                return heater.reading
        return 0.5

    def _press(self, buttons: Buttons) -> None:
        state = buttons.invert
        for position, pin in buttons.pins.items():
            if pin in self.inputs:
                state ^= 1 << position
        if state != buttons.state:
            first = buttons.state < 0
            buttons.state = state
            if not (first and state == buttons.invert):
                self.say("buttons_state", buttons.oid, buttons.reports, bytes([state]))
                buttons.reports = (buttons.reports + 1) % 256

    # For the commands

    def say(self, name: str, *values: int | bytes) -> None:
        self._out += encode_frame(self._sequence, BY_NAME[name].encode(values))

    def get(self, kind: type[T], oid: int) -> T:
        """ValueError: Klippy has configured no such thing."""
        thing = self.oids.get(oid)
        if not isinstance(thing, kind):
            raise ValueError(  # noqa: TRY004 - it is what Klippy sent
                f"object {oid} is no {kind.__name__}"
            )
        return thing
