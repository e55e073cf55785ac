"""Polling: it catches up, goes on after errors, and can be stopped."""

from __future__ import annotations

import itertools
import threading

import pytest

from mktl_daemon import poll

# Calls that raise on purpose may be dropped after their test.
pytestmark = pytest.mark.logs_errors

DEADLINE = 20.0


@pytest.fixture
def polled(until):
    """Poll functions with a short period until the test ends."""
    started = []

    def begin(method, period=0.01):
        poll.start(method, period)
        started.append((method, poll.scheduler.find(method)))

    yield begin
    for method, entry in started:
        poll.stop(method)
        # A call that still runs would log its error in the next test.
        until(lambda entry=entry: not entry.running, "the last call")


def test_a_function_is_called_until_it_is_stopped(polled, box):
    """It is called at once and then again and again. Its period can be read."""
    calls = itertools.count()
    tick = lambda: box.put(next(calls))  # noqa: E731 - a lambda can be polled, too
    polled(tick)
    assert box.wait(3)[:3] == [0, 1, 2]
    assert poll.period(tick) == 0.01
    poll.start(tick, None)
    assert poll.period(tick) is None


def test_a_function_that_is_not_polled_can_be_stopped():
    poll.stop(print)
    assert poll.period(print) is None


@pytest.mark.parametrize("end", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_method_that_raises_is_called_again(polled, box, caplog, end):
    """This is so even for SystemExit."""

    def broken():
        box.put("called")
        raise end("on purpose")

    polled(broken)
    box.wait(3)
    assert "on purpose" in caplog.text


def test_fast_polls_catch_up_and_slow_ones_do_not_pile_up(box, until):
    """Missed calls of one second are made up for. Only one call runs at a time."""
    gate = threading.Event()

    def slow():
        box.put("called")
        gate.wait(DEADLINE)

    scheduler = poll.Scheduler("mktl-client-test", 4)
    for period, owed in ((0.2, 5), (10.0, 1)):
        gate.clear()
        before = len(box.things)
        entry = poll.Entry(("test", period), slow, period)
        with scheduler.changed:
            for _ in range(9):
                scheduler.ring(entry)
        box.wait(before + 1)
        gate.set()
        until(lambda entry=entry: not entry.running, "it has caught up")
        assert len(box.things) - before == 1 + owed
    scheduler.pool.close()


def test_a_stopped_poll_makes_no_more_calls(box, until):
    gate = threading.Event()
    scheduler = poll.Scheduler("mktl-client-test", 4)
    entry = poll.Entry("test", lambda: (box.put("called"), gate.wait(DEADLINE)), 0.1)
    with scheduler.changed:
        for _ in range(5):
            scheduler.ring(entry)
        entry.stopped = True
    gate.set()
    until(lambda: not entry.running, "it is over")
    assert box.things in ([], ["called"])
    scheduler.pool.close()


@pytest.mark.parametrize("period", [-1.0, float("nan"), float("inf"), 1e-9])
def test_an_impossible_period_is_refused_and_others_go_on(polled, box, period):
    with pytest.raises(ValueError, match="period"):
        polled(print, period)
    assert poll.period(print) is None
    polled(lambda: box.put("called"))
    box.wait(2)


def test_a_period_of_years_does_not_delay_others(polled, box):
    polled(lambda: box.put("first"), 1e11)
    assert box.wait(1) == ["first"]
    polled(lambda: box.put("other"))
    assert box.wait(3)[1:3] == ["other", "other"]
