"""The board's messages, and the dictionary that describes them. Pure.

The formats are those that Klippy looks up: they are the interface.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from demo.board.wire import decode_integer, encode_integer

CLOCK_FREQUENCY = 16_000_000  # Hz
ADC_MAX = 4095
PWM_MAX = 255
MOVES = 4096  # that the board may be sent ahead
TICKS = 1 << 32  # clocks are sent as 32 bits

IDENTIFY = "identify offset=%u count=%c"
IDENTIFIED = "identify_response offset=%u data=%.*s"

# In this order they are numbered, from 2 on.
COMMANDS = (
    "allocate_oids count=%c",
    "get_config",
    "finalize_config crc=%u",
    "get_clock",
    "get_uptime",
    "emergency_stop",
    "clear_shutdown",
    "reset",
    "debug_nop",
    "config_digital_out oid=%c pin=%u value=%c default_value=%c max_duration=%u",
    "set_digital_out pin=%u value=%c",
    "update_digital_out oid=%c value=%c",
    "queue_digital_out oid=%c clock=%u on_ticks=%u",
    "set_digital_out_pwm_cycle oid=%c cycle_ticks=%u",
    (
        "config_pwm_out oid=%c pin=%u cycle_ticks=%u value=%hu default_value=%hu"
        " max_duration=%u"
    ),
    "set_pwm_out pin=%u cycle_ticks=%u value=%hu",
    "queue_pwm_out oid=%c clock=%u value=%hu",
    "config_analog_in oid=%c pin=%u",
    (
        "query_analog_in oid=%c clock=%u sample_ticks=%u sample_count=%c rest_ticks=%u"
        " min_value=%hu max_value=%hu range_check_count=%c"
    ),
    "config_stepper oid=%c step_pin=%c dir_pin=%c invert_step=%c step_pulse_ticks=%u",
    "queue_step oid=%c interval=%u count=%hu add=%hi",
    "set_next_step_dir oid=%c dir=%c",
    "reset_step_clock oid=%c clock=%u",
    "stepper_get_position oid=%c",
    "stepper_stop_on_trigger oid=%c trsync_oid=%c",
    "config_endstop oid=%c pin=%c pull_up=%c",
    (
        "endstop_home oid=%c clock=%u sample_ticks=%u sample_count=%c rest_ticks=%u"
        " pin_value=%c trsync_oid=%c trigger_reason=%c"
    ),
    "endstop_query_state oid=%c",
    "config_trsync oid=%c",
    "trsync_start oid=%c report_clock=%u report_ticks=%u expire_reason=%c",
    "trsync_set_timeout oid=%c clock=%u",
    "trsync_trigger oid=%c reason=%c",
    "config_buttons oid=%c button_count=%c",
    "buttons_add oid=%c pos=%c pin=%u pull_up=%c",
    "buttons_query oid=%c clock=%u rest_ticks=%u retransmit_count=%c invert=%c",
    "buttons_ack oid=%c count=%c",
)
RESPONSES = (
    "config is_config=%c crc=%u is_shutdown=%c move_count=%hu",
    "clock clock=%u",
    "uptime high=%u clock=%u",
    "stats count=%u sum=%u sumsq=%u",
    "starting",
    "shutdown clock=%u static_string_id=%hu",
    "is_shutdown static_string_id=%hu",
    "analog_in_state oid=%c next_clock=%u value=%hu",
    "stepper_position oid=%c pos=%i",
    "endstop_state oid=%c homing=%c next_clock=%u pin_value=%c",
    "trsync_state oid=%c can_trigger=%c trigger_reason=%c clock=%u",
    "buttons_state oid=%c ack_count=%c state=%*s",
)
COMMAND_REQUEST = "Command request"
SHUTDOWNS = {COMMAND_REQUEST: 0}
CONSTANTS = {
    "MCU": "virtual",
    "CLOCK_FREQ": CLOCK_FREQUENCY,
    "ADC_MAX": ADC_MAX,
    "PWM_MAX": PWM_MAX,
    "STATS_SUMSQ_BASE": 256,
    "SERIAL_BAUD": 2_000_000,
    "RECEIVE_WINDOW": 1024,
}

PINS_A_PORT = 64
PORTS = (*(f"P{letter}" for letter in "ABCDEFGHIJKLMNOP"), "gpio", "analog")


def pin_number(name: str) -> int:
    """The number of `PA3`, `gpio17`, `analog1`. ValueError: there is no such pin."""
    port = name.rstrip("0123456789")
    index = int(name[len(port) :])
    if not 0 <= index < PINS_A_PORT or port not in PORTS:
        raise ValueError(f"the board has no pin {name!r}")
    return PORTS.index(port) * PINS_A_PORT + index


class Format(NamedTuple):
    """A message's name and number, and what kind each of its parameters is."""

    name: str
    number: int
    kinds: tuple[str, ...]  # u (unsigned), i (signed), s (bytes)

    @classmethod
    def parse(cls, text: str, number: int) -> Format:
        name, *parameters = text.split()
        return cls(name, number, tuple(_kind(each) for each in parameters))

    def decode(self, data: bytes, position: int) -> tuple[list[int], int]:
        """The parameters at *position*, and the position after them.

        IndexError: *data* ends too early. Commands of the board have no bytes.
        """
        values = []
        for kind in self.kinds:
            value, position = decode_integer(data, position)
            values.append(value % TICKS if kind == "u" else value)
        return values, position

    def encode(self, values: tuple[int | bytes, ...]) -> bytes:
        """A frame's content."""
        content = encode_integer(self.number)
        for kind, value in zip(self.kinds, values, strict=True):
            if isinstance(value, bytes):
                content += encode_integer(len(value)) + value
            else:
                content += encode_integer(value % TICKS if kind == "u" else value)
        return content


def _kind(parameter: str) -> str:
    kind = parameter[-1]
    if kind in "us":
        return kind
    return "u" if kind == "c" else "i"


FIRST = 2
BY_NUMBER: Mapping[int, Format] = {
    1: Format.parse(IDENTIFY, 1),
    **{
        number: Format.parse(text, number)
        for number, text in enumerate(COMMANDS, FIRST)
    },
}
BY_NAME: Mapping[str, Format] = {
    "identify_response": Format.parse(IDENTIFIED, 0),
    **{
        text.split()[0]: Format.parse(text, number)
        for number, text in enumerate(RESPONSES, FIRST + len(COMMANDS))
    },
}


class Command(NamedTuple):
    """A command of Klippy."""

    name: str
    values: list[int]


def commands(content: bytes) -> Iterator[Command]:
    """The commands of a frame. ValueError: the board has not offered one of them."""
    position = 0
    while position < len(content):
        number, position = decode_integer(content, position)
        form = BY_NUMBER.get(number)
        if form is None:
            raise ValueError(f"there is no command {number}")
        values, position = form.decode(content, position)
        yield Command(form.name, values)


def dictionary() -> bytes:
    """Return the answer to `identify`: compressed JSON."""
    first_response = FIRST + len(COMMANDS)
    described = {
        "app": "Klipper Upkeep's virtual board",
        "version": "1",
        "build_versions": "",
        "commands": {
            IDENTIFY: 1,
            **{text: number for number, text in enumerate(COMMANDS, FIRST)},
        },
        "responses": {
            IDENTIFIED: 0,
            **{text: number for number, text in enumerate(RESPONSES, first_response)},
        },
        "enumerations": {
            "pin": {
                f"{port}0": [pin_number(f"{port}0"), PINS_A_PORT] for port in PORTS
            },
            "static_string_id": SHUTDOWNS,
        },
        "config": CONSTANTS,
    }
    return zlib.compress(json.dumps(described).encode())
