"""The clock of the demo and of the system tests: whom it waits for, and how exactly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.clock import LATE, Clock

DEADLINE = 30.0  # s


@pytest.fixture
def clock(tmp_path):
    return Clock(30.0, tmp_path / "clock")


@pytest.fixture
def klippy():
    """A process that waits for its input, as Klippy does for its board."""
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


def test_time_goes_on_while_klippy_waits_of_its_own_accord(clock, klippy):
    clock.wait_for(klippy.pid)
    let_time_pass()

    assert not clock.is_late()


def test_klippy_is_late_while_the_machine_does_not_run_it(clock, klippy):
    os.kill(klippy.pid, signal.SIGSTOP)
    wait_for_state(klippy, "T")
    ran = Path(f"/proc/{klippy.pid}/schedstat").read_text().split()[0]
    clock.wait_for(klippy.pid)
    for _ in range(int(ran) // LATE + 1):
        let_time_pass()

    assert clock.is_late()


def test_nobody_waits_for_a_klippy_that_is_gone(clock, klippy):
    clock.wait_for(klippy.pid)
    klippy.kill()
    wait_for_state(klippy, "Z")
    let_time_pass()

    assert not clock.is_late()
    klippy.wait()
    assert not clock.is_late()


def test_nobody_waits_for_a_klippy_that_was_not_started(clock):
    assert not clock.is_late()


def test_time_stands_still_while_it_is_held_and_goes_on_from_there(clock):
    clock.beat()
    clock.hold()
    held = clock.elapsed()
    for _ in range(5):
        let_time_pass()
        assert clock.elapsed() == held
        clock.hold()
    assert clock.elapsed() == pytest.approx(held, abs=1e-6)

    clock.beat()
    let_time_pass()
    assert held < clock.elapsed()
