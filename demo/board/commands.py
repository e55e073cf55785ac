"""Carries out each command of Klippy, in the function of the same name. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.board.dictionary import (
    COMMAND_REQUEST,
    COMMANDS,
    IDENTIFY,
    MOVES,
    PWM_MAX,
    SHUTDOWNS,
    Command,
    dictionary,
)
from demo.board.parts import Buttons, Endstop, Output, Sensor, Trigger
from demo.board.stepper import Stepper, near

if TYPE_CHECKING:
    from demo.board.firmware import Board

IDENTITY = dictionary()
# The commands that a board answers after a shutdown.
IN_SHUTDOWN = (
    "identify", "get_config", "get_clock", "get_uptime", "emergency_stop",
    "clear_shutdown", "reset", "debug_nop", "finalize_config", "stepper_get_position",
    "endstop_query_state", "trsync_trigger", "endstop_home", "trsync_start",
)  # fmt: skip


def do(board: Board, command: Command) -> None:
    if board.shutdown is not None and command.name not in IN_SHUTDOWN:
        board.say("is_shutdown", SHUTDOWNS[board.shutdown])
        return
    HANDLERS[command.name](board, *command.values)


def identify(board: Board, offset: int, count: int) -> None:
    data = IDENTITY[offset : offset + count]
    board.is_connecting = True
    board.say("identify_response", offset, data)


def allocate_oids(board: Board, count: int) -> None:
    pass


def debug_nop(board: Board) -> None:
    pass


def get_config(board: Board) -> None:
    board.say(
        "config",
        int(board.crc is not None),
        board.crc or 0,
        int(board.shutdown is not None),
        MOVES,
    )


def finalize_config(board: Board, crc: int) -> None:
    board.crc = crc


def get_clock(board: Board) -> None:
    board.say("clock", board.sent)


def get_uptime(board: Board) -> None:
    board.is_connecting = False
    board.say("uptime", board.sent >> 32, board.sent)


def emergency_stop(board: Board) -> None:
    if board.shutdown is None:
        board.shutdown = COMMAND_REQUEST
        for stepper in board.all(Stepper):
            stepper.stop(board.now)
        for output in board.all(Output):
            output.changes.clear()
            output.value = output.default
        for endstop in board.all(Endstop):
            endstop.trigger = None
    board.say("shutdown", board.now, SHUTDOWNS[board.shutdown])


def clear_shutdown(board: Board) -> None:
    board.shutdown = None


def reset(board: Board) -> None:
    board.forget()
    board.is_reset = True


def config_digital_out(
    board: Board, oid: int, pin: int, value: int, default: int, duration: int
) -> None:
    board.oids[oid] = Output(pin, default=default, value=value)


def set_digital_out(board: Board, pin: int, value: int) -> None:
    board.static[pin] = value


def update_digital_out(board: Board, oid: int, value: int) -> None:
    output = board.get(Output, oid)
    output.changes.clear()
    output.value = value


def set_digital_out_pwm_cycle(board: Board, oid: int, ticks: int) -> None:
    board.get(Output, oid).cycle = ticks


def queue_digital_out(board: Board, oid: int, clock: int, on_ticks: int) -> None:
    output = board.get(Output, oid)
    _change(board, output, clock, on_ticks / (output.cycle or 1))


def config_pwm_out(
    board: Board,
    oid: int,
    pin: int,
    cycle: int,
    value: int,
    default: int,
    duration: int,
) -> None:
    board.oids[oid] = Output(pin, 0, default / PWM_MAX, value / PWM_MAX)


def set_pwm_out(board: Board, pin: int, cycle: int, value: int) -> None:
    board.static[pin] = value / PWM_MAX


def queue_pwm_out(board: Board, oid: int, clock: int, value: int) -> None:
    _change(board, board.get(Output, oid), clock, value / PWM_MAX)


def _change(board: Board, output: Output, clock: int, value: float) -> None:
    output.changes.append((near(clock, board.now), value))


def config_analog_in(board: Board, oid: int, pin: int) -> None:
    board.oids[oid] = Sensor(oid, pin)


def query_analog_in(
    board: Board, oid: int, clock: int, gap: int, samples: int, interval: int, *_: int
) -> None:
    sensor = board.get(Sensor, oid)
    sensor.samples, sensor.interval = samples, interval
    sensor.next_clock = near(clock, board.now)


def config_stepper(board: Board, oid: int, step_pin: int, *_: int) -> None:
    motor = board.machine.motors.get(step_pin)
    if motor is None:
        raise ValueError(f"no motor hangs on pin {step_pin}")
    board.oids[oid] = Stepper(motor.shaft)


def queue_step(board: Board, oid: int, interval: int, count: int, add: int) -> None:
    stepper = board.get(Stepper, oid)
    first = stepper.queue(interval, count, add, board.now)
    if first is not None and first <= board.now:
        board.look_again(stepper, first)


def set_next_step_dir(board: Board, oid: int, direction: int) -> None:
    board.get(Stepper, oid).direction = 1 if direction else -1


def reset_step_clock(board: Board, oid: int, clock: int) -> None:
    board.get(Stepper, oid).reset_clock(clock, board.now)


def stepper_get_position(board: Board, oid: int) -> None:
    position = board.get(Stepper, oid).shaft.position
    board.say("stepper_position", oid, position)


def stepper_stop_on_trigger(board: Board, oid: int, trigger_oid: int) -> None:
    trigger = board.get(Trigger, trigger_oid)
    trigger.steppers.append(board.get(Stepper, oid))


def config_endstop(board: Board, oid: int, pin: int, pull_up: int) -> None:
    board.oids[oid] = Endstop(pin)


def endstop_home(
    board: Board,
    oid: int,
    clock: int,
    gap: int,
    samples: int,
    interval: int,
    level: int,
    trigger_oid: int,
    reason: int,
) -> None:
    endstop = board.get(Endstop, oid)
    endstop.trigger = None
    if samples:
        endstop.trigger = board.get(Trigger, trigger_oid)
        endstop.reason, endstop.wanted = reason, bool(level)
        endstop.next_clock = near(clock, board.now)
        endstop.interval = max(interval, 1)


def endstop_query_state(board: Board, oid: int) -> None:
    endstop = board.get(Endstop, oid)
    homing, level = endstop.trigger is not None, board.level(endstop.pin)
    board.say("endstop_state", oid, int(homing), endstop.next_clock, int(level))


def config_trsync(board: Board, oid: int) -> None:
    board.oids[oid] = Trigger(oid)


def trsync_start(board: Board, oid: int, clock: int, interval: int, _: int) -> None:
    trigger = board.get(Trigger, oid)
    trigger.steppers.clear()
    trigger.is_armed, trigger.interval, trigger.reason = True, interval, 0
    trigger.next_report = near(clock, board.now)


def trsync_set_timeout(board: Board, oid: int, clock: int) -> None:
    pass  # nothing expires here


def trsync_trigger(board: Board, oid: int, reason: int) -> None:
    trigger = board.get(Trigger, oid)
    if trigger.is_armed:
        board.pull(trigger, reason, board.now)
    else:
        board.say("trsync_state", oid, 0, trigger.reason, 0)


def config_buttons(board: Board, oid: int, count: int) -> None:
    board.oids[oid] = Buttons(oid)


def buttons_add(board: Board, oid: int, position: int, pin: int, pull_up: int) -> None:
    board.get(Buttons, oid).pins[position] = pin


def buttons_query(
    board: Board, oid: int, clock: int, interval: int, retransmit: int, invert: int
) -> None:
    buttons = board.get(Buttons, oid)
    buttons.next_clock = near(clock, board.now)
    buttons.is_asked, buttons.invert, buttons.state = True, invert, -1


def buttons_ack(board: Board, oid: int, count: int) -> None:
    pass


HANDLERS = {
    text.split()[0]: globals()[text.split()[0]] for text in (IDENTIFY, *COMMANDS)
}
