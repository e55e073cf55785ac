"""The numbers of the board's messages, and the dictionary that describes them. Pure.

A message's text has its name and its parameters. Klippy finds the message by it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence

from demo.board.wire import decode_integer, encode_integer

CLOCK_FREQUENCY = 16_000_000  # Hz
ADC_MAX = 4095
PWM_MAX = 255
TICKS = 1 << 32  # a clock is sent with 32 bits

RESPONSES = (
    "identify_response offset=%u data=%.*s",
    "config is_config=%c crc=%u is_shutdown=%c move_count=%hu",
    "clock clock=%u",
    "uptime high=%u clock=%u",
    "shutdown clock=%u static_string_id=%hu",
    "is_shutdown static_string_id=%hu",
    "analog_in_state oid=%c next_clock=%u value=%hu",
    "stepper_position oid=%c pos=%i",
    "endstop_state oid=%c homing=%c next_clock=%u pin_value=%c",
    "trsync_state oid=%c can_trigger=%c trigger_reason=%c clock=%u",
)
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
    """Return the number of a pin like `PA3` or `gpio17`. ValueError: it is unknown."""
    port = name.rstrip("0123456789")
    index = int(name[len(port) :])
    if not 0 <= index < PINS_A_PORT or port not in PORTS:
        raise ValueError(f"the board has no pin {name!r}")
    return PORTS.index(port) * PINS_A_PORT + index


class Dictionary:
    """The messages of a board, with numbers in their order.

    The first response and the first command belong to `identify`, with 0 and 1.
    """

    def __init__(self, commands: Sequence[str], responses: Sequence[str]) -> None:
        self._texts = (responses[0], *commands, *responses[1:])
        self._commands = range(1, 1 + len(commands))
        self._signed = [
            [parameter.endswith("i") for parameter in text.split()[1:]]
            for text in self._texts
        ]
        self.numbers = {text.split()[0]: n for n, text in enumerate(self._texts)}
        pins = {f"{port}0": [pin_number(f"{port}0"), PINS_A_PORT] for port in PORTS}
        described = {
            "app": "Klipper Upkeep's virtual board",
            "version": "1",
            "build_versions": "",
            "commands": {text: self._texts.index(text) for text in commands},
            "responses": {text: self._texts.index(text) for text in responses},
            "enumerations": {"pin": pins, "static_string_id": {"Command request": 0}},
            "config": CONSTANTS,
        }
        # This is the answer to `identify`.
        self.compressed = zlib.compress(json.dumps(described).encode())

    def decode(self, content: bytes) -> Iterator[tuple[str, list[int]]]:
        """Yield the text and the parameters of each command in a frame.

        ValueError: the dictionary has no such command.
        """
        position = 0
        while position < len(content):
            number, position = decode_integer(content, position)
            if number not in self._commands:
                raise ValueError(f"there is no command {number}")
            values = []
            for is_signed in self._signed[number]:
                value, position = decode_integer(content, position)
                values.append(value if is_signed else value % TICKS)
            yield self._texts[number], values

    def encode(self, name: str, values: Iterable[int | bytes]) -> bytes:
        """Return a frame's content with the message *name*."""
        number = self.numbers[name]
        content = encode_integer(number)
        for is_signed, value in zip(self._signed[number], values, strict=True):
            if isinstance(value, bytes):
                content += encode_integer(len(value)) + value
            else:
                content += encode_integer(value if is_signed else value % TICKS)
        return content
