"""The virtual board, with bytes and steps that were calculated by hand."""

import inspect
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.board import machine as demo
from demo.board.dictionary import CLOCK_FREQUENCY, pin_number
from demo.board.firmware import Board
from demo.board.machine import Machine, Motor
from demo.board.parts import Output, Segment, Stepper, near
from demo.board.wire import (
    Frame,
    Frames,
    crc16,
    decode_integer,
    encode_frame,
    encode_integer,
)
from tests.fakes.board_machine import HASTE, QuickHeater, rewire, wire
from tests.fakes.board_parts import FullBoard

DICTIONARY = Board(Machine()).dictionary
NUMBERS = DICTIONARY.numbers
PRINTER = {
    "printer": {"kinematics": "cartesian"},
    "stepper_x": {
        "step_pin": "gpio1",
        "dir_pin": "gpio2",
        "microsteps": "16",
        "endstop_pin": "^gpio3",
        "rotation_distance": "40",
        "position_endstop": "0",
        "position_max": "200",
    },
    "extruder": {
        "step_pin": "gpio4",
        "dir_pin": "!gpio5",
        "microsteps": "16",
        "rotation_distance": "22",
        "heater_pin": "gpio6",
        "sensor_pin": "analog0",
    },
}


# Bytes


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0xFFFF),
        (b"\x00", 0x0F87),  # 0xFFFF shifted eight times through 0x8408
        (b"123456789", 0x6F91),  # the check value of CRC-16/MCRF4XX
    ],
)
def test_the_checksum_is_the_reflected_ccitt_checksum(data, crc):
    assert crc16(data) == crc


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, b"\x00"),
        (95, b"\x5f"),
        (96, b"\x80\x60"),  # 0x5f is the last value that takes one byte
        (-1, b"\x7f"),
        (-32, b"\x60"),
        (-33, b"\xff\x5f"),
        (12287, b"\xdf\x7f"),
        (12288, b"\x80\xe0\x00"),
        (-4096, b"\xe0\x00"),
        (0xFFFFFFFF, b"\x8f\xff\xff\xff\x7f"),
    ],
)
def test_integers_take_the_number_of_bytes_of_the_protocol(value, data):
    assert encode_integer(value) == data
    assert decode_integer(data, 0) == (value, len(data))


@given(st.integers(-(2**31), 2**32 - 1))
def test_an_integer_is_the_same_after_encoding_and_decoding(value):
    data = encode_integer(value)
    assert decode_integer(b"x" + data + b"y", 1) == (value, 1 + len(data))


def test_an_acknowledgement_is_five_bytes():
    # length, sequence, the CRC of these two, and the sync byte
    assert encode_frame(1) == b"\x05\x11\x8f\x08\x7e"
    assert encode_frame(17) == encode_frame(1)


def test_frames_are_found_in_pieces_and_after_noise():
    frames, data = Frames(), encode_frame(3, b"\x02") + encode_frame(4)

    received = [frame for byte in data for frame in frames.feed(bytes([byte]))]
    assert received == [Frame(3, b"\x02"), Frame(4, b"")]

    assert list(frames.feed(b"\x00\xff\x7e" + encode_frame(5))) == [None, Frame(5, b"")]


def test_a_frame_with_a_wrong_checksum_is_left_out():
    broken = bytearray(encode_frame(3, b"\x02\x03"))
    broken[3] ^= 1

    received = list(Frames().feed(bytes(broken) + encode_frame(4)))

    assert received == [None, Frame(4, b"")]


@given(st.binary())
def test_the_reader_goes_on_after_any_bytes(noise):
    frames = Frames()
    list(frames.feed(noise))
    list(frames.feed(b"\x7e" * 64))
    assert list(frames.feed(encode_frame(7)))[-1] == Frame(7, b"")


# Messages


def test_the_dictionary_is_compressed_json_that_names_every_pin():
    described = json.loads(zlib.decompress(DICTIONARY.compressed))

    assert described["commands"]["identify offset=%u count=%c"] == 1
    assert described["responses"]["identify_response offset=%u data=%.*s"] == 0
    assert described["config"]["CLOCK_FREQ"] == CLOCK_FREQUENCY
    numbers = [*described["commands"].values(), *described["responses"].values()]
    assert len(numbers) == len(set(numbers))
    first, count = described["enumerations"]["pin"]["PB0"]
    assert first <= pin_number("PB7") < first + count


def test_a_pin_that_the_board_does_not_have_is_refused():
    with pytest.raises(ValueError, match="'PZ9'"):
        pin_number("PZ9")


def test_several_commands_can_be_in_one_frame():
    content = bytes([NUMBERS["queue_step"], 3]) + encode_integer(200_000)
    content += encode_integer(5) + encode_integer(-7) + bytes([NUMBERS["get_clock"]])

    assert list(DICTIONARY.decode(content)) == [
        ("queue_step oid=%c interval=%u count=%hu add=%hi", [3, 200_000, 5, -7]),
        ("get_clock", []),
    ]


def test_a_command_that_the_board_has_not_offered_is_refused():
    with pytest.raises(ValueError, match="no command 95"):
        list(DICTIONARY.decode(b"\x5f"))


def test_every_command_of_the_board_has_a_function_with_its_parameters():
    """A part of the board or the board itself carries the command out."""
    for text, function in FullBoard(Machine()).commands.items():
        values = len(text.split()) - 1
        is_of_a_part = " oid=" in text and not text.startswith("config_")
        # The first parameter is self, or the board for which a part is made. The next
        # is the number that finds the part.
        before = 0 if is_of_a_part else 1
        inspect.signature(function).bind(*range(before + values))


# Steps


def test_the_steps_of_a_segment_are_made_at_the_times_of_the_protocol():
    """The first step comes *interval* after the last one.

    Each next one comes *add* later.
    """
    segment = Segment(first=100, interval=100, count=4, add=10, direction=1)

    assert [segment.clock(number) for number in (1, 2, 3, 4)] == [100, 210, 330, 460]
    assert [segment.due(clock) for clock in (99, 100, 329, 330, 1000)] == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_steps_are_counted_in_both_directions():
    stepper = Stepper(Board(Machine()), 0, Motor("stepper_x", 0.1))
    stepper.reset_clock(0)
    stepper.queue(100, 10, 0)
    stepper.set_direction(0)
    stepper.queue(100, 4, 0)

    stepper.advance(1200)

    assert stepper.motor == Motor("stepper_x", 0.1, position=8, forward=10, back=2)
    assert stepper.position(1300) == 7


def test_a_stopped_stepper_accepts_nothing_before_its_clock_is_set_again():
    stepper = Stepper(Board(Machine()), 0, Motor("stepper_x", 0.1))
    stepper.reset_clock(0)
    stepper.queue(100, 10, 0)

    stepper.stop(300)
    stepper.queue(100, 10, 0)
    stepper.advance(5000)
    assert stepper.motor.position == 3

    stepper.reset_clock(5000)
    stepper.queue(100, 1, 0)
    stepper.advance(6000)
    assert stepper.motor.position == 4


def test_a_clock_of_32_bits_means_the_nearest_time():
    now = (7 << 32) + 50

    assert near(40, now) == (7 << 32) + 40
    assert near(0xFFFFFFFF, now) == (7 << 32) - 1


# The board


class Klippy:
    """Sends commands to a board as Klippy does."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._sequence = 1

    def send(
        self, name: str, *values: int, clock: int = 0, sent: int | None = None
    ) -> list[bytes]:
        """Send a command at *clock*, and return the contents of the replies."""
        content = bytes([self.board.dictionary.numbers[name]]) + b"".join(
            map(encode_integer, values)
        )
        frame = encode_frame(self._sequence, content)
        self._sequence += 1
        self.board.receive(frame, clock, sent)
        answers = Frames().feed(self.board.take())
        return [answer.content for answer in answers if answer and answer.content]


@pytest.fixture(params=[demo.wire, wire], ids=["the demo's", "the tests'"])
def klippy(request):
    return Klippy(Board(request.param(PRINTER)))


def test_each_frame_is_acknowledged_and_a_frame_out_of_order_is_requested_again(klippy):
    board = klippy.board
    board.receive(encode_frame(1, bytes([NUMBERS["reset"]])), 0)
    assert board.take() == encode_frame(2)

    board.receive(encode_frame(5, bytes([NUMBERS["get_clock"]])), 0)
    assert board.take() == encode_frame(2)


def test_klippy_gets_the_clock_of_the_time_at_which_it_asked(klippy):
    late = klippy.send("get_clock", clock=5000, sent=3000)
    assert late == [DICTIONARY.encode("clock", (3000,))]

    back = klippy.send("get_clock", clock=5000, sent=2000)
    assert back == late  # A clock of 32 bits would have started again from 0.
    early = klippy.send("get_uptime", clock=7000, sent=9000)
    assert early == [DICTIONARY.encode("uptime", (0, 7000))]


def begin_homing(klippy):
    """Configure a stepper and its endstop, and let the axis home."""
    klippy.send("config_stepper", 0, pin_number("gpio1"), pin_number("gpio2"), 0, 0)
    klippy.send("config_endstop", 1, pin_number("gpio3"), 1)
    klippy.send("config_trsync", 2)
    klippy.send("trsync_start", 2, 0, 0, 4)
    klippy.send("stepper_stop_on_trigger", 0, 2)
    klippy.send("endstop_home", 1, 1000, 0, 4, 50, 1, 2, 1)
    klippy.send("reset_step_clock", 0, 0)
    klippy.send("set_next_step_dir", 0, 0)


def test_an_endstop_stops_its_stepper_at_the_right_step_also_when_it_is_read_late(
    klippy,
):
    """The carriage starts 30 mm away, which are 2400 steps.

    The board sleeps all the time.
    """
    begin_homing(klippy)
    klippy.send("queue_step", 0, 1000, 5000, 0)

    klippy.board.run(10_000_000)

    motor = klippy.board.machine.motors[pin_number("gpio1")]
    assert (motor.position, motor.forward, motor.back) == (-2400, 0, 2400)


def test_an_endstop_reports_after_homing_when_it_was_read_last(klippy):
    """Klippy ends the homing first.

    It computes the time of the trigger from the report.
    """
    klippy.send("config_endstop", 1, pin_number("gpio3"), 1)
    klippy.send("config_trsync", 2)
    klippy.send("trsync_start", 2, 0, 0, 4)
    klippy.send("endstop_home", 1, 1000, 0, 4, 50, 0, 2, 1)  # the endstop is open

    klippy.send("endstop_home", 1, 0, 0, 0, 0, 0, 0, 0, clock=5000)
    (answer,) = klippy.send("endstop_query_state", 1, clock=6000)

    state = [NUMBERS["endstop_state"], 1, 0, *encode_integer(1050), 0]
    assert answer == bytes(state)


def test_late_steps_stop_at_the_same_place_as_steps_in_time(klippy):
    begin_homing(klippy)

    klippy.send("queue_step", 0, 1000, 5000, 0, clock=20_000_000)
    klippy.board.run(20_000_001)

    motor = klippy.board.machine.motors[pin_number("gpio1")]
    assert motor.back == 2400


def test_a_heater_warms_its_thermistor(klippy):
    klippy.send("config_digital_out", 0, pin_number("gpio6"), 0, 0, 0)
    klippy.send("queue_digital_out", 0, 0, 1)
    heater = klippy.board.machine.heaters[0]
    cold = heater.reading

    seconds = 10 / (HASTE if isinstance(heater, QuickHeater) else 1)
    klippy.board.run(round(seconds * CLOCK_FREQUENCY))

    assert heater.on_time == pytest.approx(seconds)
    # 3 °C in each of 10 seconds, less the heat that the room takes
    assert 50 < heater.temperature < 56
    assert heater.reading < cold


def test_a_shutdown_stops_the_steppers_and_turns_the_heaters_off(klippy):
    klippy.send("config_digital_out", 0, pin_number("gpio6"), 0, 0, 0)
    klippy.send("queue_digital_out", 0, 0, 1)
    klippy.send("emergency_stop", clock=100)

    (heater,) = klippy.board.all(Output)
    assert heater.value == 0
    (answer,) = klippy.send("queue_digital_out", 0, 200, 1, clock=150)
    assert answer[0] == NUMBERS["is_shutdown"]


def test_a_reset_keeps_positions_and_temperatures():
    machine = wire(PRINTER)
    machine.motors[pin_number("gpio1")].turn(5)
    machine.heaters[0].heat(1, 10)
    warm = machine.heaters[0].temperature

    rewire(machine, wire(PRINTER | {"fan": {"pin": "gpio9"}}))

    assert machine.motors[pin_number("gpio1")].position == 5
    assert machine.heaters[0].temperature == warm
    assert machine.axes["x"].coordinate(machine.moved()) == pytest.approx(30.0625)


@pytest.mark.parametrize(
    ("kinematics", "moved", "x"),
    [
        ("cartesian", {"stepper_x": -10.0}, 20),
        ("cartesian", {"stepper_x": -30.0}, 0),
        ("corexy", {"stepper_x": -10.0, "stepper_y": -10.0}, 20),
        ("corexz", {"stepper_x": -10.0, "stepper_z": -10.0}, 20),
        ("hybrid_corexy", {"stepper_x": -13.0, "stepper_y": 3.0}, 20),
    ],
)
def test_a_carriage_moves_as_its_kinematics_say(kinematics, moved, x):
    machine = wire(PRINTER | {"printer": {"kinematics": kinematics}})

    assert machine.axes["x"].coordinate(moved) == pytest.approx(x)


def test_a_change_of_a_button_is_reported():
    board = FullBoard(wire(PRINTER))
    klippy = Klippy(board)
    klippy.send("config_buttons", 0, 1)
    klippy.send("buttons_add", 0, 0, pin_number("gpio7"), 1)
    klippy.send("buttons_query", 0, 0, 100, 0, 1)

    board.run(CLOCK_FREQUENCY)
    assert board.take() == b""
    board.machine.pressed.add(pin_number("gpio7"))
    board.run(2 * CLOCK_FREQUENCY)

    (answer,) = Frames().feed(board.take())
    number = board.dictionary.numbers["buttons_state"]
    assert answer.content == bytes([number, 0, 0, 1, 0])
