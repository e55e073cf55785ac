"""The clock of the demo and of the system tests: for whom it waits, and how exactly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.clock import GONE, LATE, LOST, SLACK, Clock
from tests.fakes.board import WrongClock

DEADLINE = 30.0  # s


class Time:
    """The machine's monotonic clock, in ns."""

    now = 5_000_000_000_000

    def __call__(self):
        return self.now


@pytest.fixture
def moved(monkeypatch):
    made = Time()
    monkeypatch.setattr(time, "monotonic_ns", made)
    return made


@pytest.fixture
def board(moved, tmp_path):
    """The board's side of the clock, 30 times faster than real time."""
    return Clock(30.0, tmp_path / "clock")


def test_the_clock_runs_30_times_faster(moved, board, tmp_path):
    other = Clock(None, tmp_path / "clock")
    moved.now += 1_000_000_000

    assert board.elapsed() == other.elapsed() == 30.0
    assert other.speed == 30.0


def test_the_clock_stands_still_while_the_board_has_to_wait(moved, board):
    """The lost time is not caught up afterwards."""
    board.beat()
    moved.now += board.slack + 100_000_000
    assert board.elapsed() == pytest.approx(SLACK)

    board.beat()
    assert board.elapsed() == pytest.approx(SLACK)
    moved.now += board.slack
    assert board.elapsed() == pytest.approx(2 * SLACK)


def test_the_clock_stands_still_as_long_as_the_board_wants(moved, board):
    """However long this is, the board does not count as gone."""
    board.beat()
    for _ in range(5):
        moved.now += GONE // 2
        board.beat(runs=False)
    assert board.elapsed() == pytest.approx(SLACK)

    board.beat()
    moved.now += 1_000_000
    assert board.elapsed() == pytest.approx(SLACK + 0.03)


def test_a_reader_between_the_two_words_of_a_beat_sees_no_jump(moved, board, tmp_path):
    """The clock then shows the limit of the beat before."""
    board.beat()
    moved.now += board.slack + 100_000_000
    before, page = board.elapsed(), board.page

    class Torn:
        """The page whose limit is not written yet."""

        def __getitem__(self, place):
            return page[place]

        def __setitem__(self, place, value):
            if place == LOST:
                page[place] = value
                assert Clock(None, tmp_path / "clock").elapsed() == before

    board.page = Torn()
    board.beat()


@pytest.mark.parametrize("leaves", [True, False])
def test_the_clock_does_not_wait_for_a_board_that_is_gone(moved, board, leaves):
    board.beat()
    if leaves:
        board.stop_beating()
    moved.now += 1_000_000 if leaves else board.slack + GONE

    assert board.elapsed() == pytest.approx(0.03 if leaves else SLACK + GONE * 3e-8)


def test_the_clock_of_the_tests_does_not_wait_for_a_disk(tmp_path):
    """Who writes to a page of a file waits while the file system is busy."""
    clock = WrongClock(1.0, tmp_path / "clock")
    assert str(clock.file.readlink().readlink()).startswith("/memfd:")


def test_only_the_wall_clock_can_be_wrong(moved, tmp_path):
    wrong = WrongClock(1.0, tmp_path / "clock")
    right, elapsed = wrong.time(), wrong.elapsed()

    wrong.set_wall(-86_400.5)

    assert wrong.time() == pytest.approx(right - 86_400.5, abs=60)
    assert wrong.elapsed() == elapsed


# By the machine's own clock


@pytest.fixture
def clock(tmp_path):
    return Clock(30.0, tmp_path / "clock")


@pytest.fixture
def klippy():
    """A process that waits for its input, as Klippy waits for its board."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
    ) as process:
        wait_for_state(process, "S")
        yield process
        process.kill()


def wait_for_state(process, state):
    deadline = time.monotonic() + DEADLINE
    while state_of(process) != state:
        assert time.monotonic() < deadline, state_of(process)
        time.sleep(0.001)


def state_of(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]


def let_time_pass():
    end = time.monotonic_ns() + LATE
    while time.monotonic_ns() <= end:
        time.sleep(LATE / 1e9)


def test_time_goes_on_while_klippy_waits_by_itself(clock, klippy):
    clock.wait_for(klippy.pid)
    let_time_pass()

    assert not clock.is_late()
    assert clock.ready == {}


def test_a_klippy_that_computes_wants_to_run(clock):
    code = "print(flush=True)\nwhile True: pass"
    computing = [sys.executable, "-c", code]
    with subprocess.Popen(computing, stdout=subprocess.PIPE) as klippy:
        klippy.stdout.readline()
        wait_for_state(klippy, "R")
        clock.wait_for(klippy.pid)
        clock.is_late()
        klippy.kill()

    assert clock.ready.keys() == {str(klippy.pid)}


def test_klippy_is_late_while_the_machine_does_not_run_it(clock, klippy):
    os.kill(klippy.pid, signal.SIGSTOP)
    wait_for_state(klippy, "T")
    ran = Path(f"/proc/{klippy.pid}/schedstat").read_text().split()[0]
    clock.wait_for(klippy.pid)
    for _ in range(int(ran) // LATE + 2):
        let_time_pass()

    assert clock.is_late()


def test_the_clock_does_not_wait_for_a_klippy_that_is_gone(clock, klippy):
    clock.wait_for(klippy.pid)
    klippy.kill()
    wait_for_state(klippy, "Z")
    let_time_pass()

    assert not clock.is_late()
    klippy.wait()
    assert not clock.is_late()


def test_the_clock_does_not_wait_for_a_klippy_that_was_not_started(clock):
    assert not clock.is_late()
