"""Parts that the demo's printer does not need: buttons, hardware PWM, static pins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from demo.board.dictionary import CLOCK_FREQUENCY, PWM_MAX
from demo.board.firmware import Board
from demo.board.parts import Output, Part, near
from tests.fakes.board_machine import FullMachine

INTERVAL = CLOCK_FREQUENCY // 50  # ticks between two readings of a button


@dataclass(eq=False)
class Buttons(Part):
    """Up to eight inputs whose changes are reported."""

    board: FullBoard
    count: int
    _pins: dict[int, int] = field(default_factory=dict)  # by position
    _invert: int = 0
    _next: int | None = None  # clock, or None if nobody reads it
    _state: int = 0
    _reports: int = 0

    def add(self, position: int, pin: int, pull_up: int) -> None:
        self._pins[position] = pin

    def query(self, clock: int, interval: int, retransmit: int, invert: int) -> None:
        self._next = near(clock, self.board.now)
        self._state = self._invert = invert

    def acknowledge(self, count: int) -> None:
        """Do nothing, because a pseudo-terminal loses nothing."""

    def report(self) -> None:
        if self._next is None or self._next > self.board.now:
            return
        self._next = self.board.now + INTERVAL
        state = self._invert
        for position, pin in self._pins.items():
            if pin in self.board.machine.pressed:
                state ^= 1 << position
        if state != self._state:
            self._state = state
            self.board.say("buttons_state", self.oid, self._reports, bytes([state]))
            self._reports = (self._reports + 1) % 256


def pwm(
    board: Board,
    oid: int,
    pin: int,
    cycle: int,
    value: int,
    default: int,
    duration: int,
) -> Output:
    values = (value / PWM_MAX, default / PWM_MAX)
    return Output(board, oid, pin, *values, duration, cycle=PWM_MAX)


def static(board: Board, pin: int, *_: int) -> None:
    """A pin that never changes, so nothing reads it."""


class FullBoard(Board):
    """The demo's board with all these parts."""

    machine: FullMachine
    more_commands: ClassVar = {
        "config_buttons oid=%c button_count=%c": Buttons,
        "buttons_add oid=%c pos=%c pin=%u pull_up=%c": Buttons.add,
        "buttons_query oid=%c clock=%u rest_ticks=%u retransmit_count=%c"
        " invert=%c": Buttons.query,
        "buttons_ack oid=%c count=%c": Buttons.acknowledge,
        "config_pwm_out oid=%c pin=%u cycle_ticks=%u value=%hu default_value=%hu"
        " max_duration=%u": pwm,
        "queue_pwm_out oid=%c clock=%u value=%hu": Output.queue,
        "set_pwm_out pin=%u cycle_ticks=%u value=%hu": static,
        "set_digital_out pin=%u value=%c": static,
    }
    more_responses = ("buttons_state oid=%c ack_count=%c state=%*s",)
