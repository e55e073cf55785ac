"""The reactor: when callbacks are called, and what ends it."""

import threading

import pytest

from tests.fakes.klippy import FastClock, Reactor, TestClock


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    reactor.finalize()


def test_a_timer_is_called_again_when_it_asked_to_be(start):
    """A timer's return value is its next wake time; NEVER is none."""
    printer = start()
    begin = printer.clock.monotonic()
    calls = []

    def callback(eventtime):
        calls.append(eventtime - begin)
        return eventtime + 2.0 if len(calls) < 3 else printer.reactor.NEVER

    printer.reactor.register_timer(callback, begin + 1.0)
    printer.advance(60)

    assert calls == pytest.approx([1.0, 3.0, 5.0])


def test_timers_fire_in_the_order_in_which_they_are_due(start):
    """Not in the order of their registration, even when time goes by at once."""
    printer = start()
    now = printer.clock.monotonic()
    calls = []
    for delay in (3, 1, 2):
        printer.reactor.register_callback(
            lambda eventtime, delay=delay: calls.append((delay, eventtime)), now + delay
        )
    printer.advance(10)

    assert calls == [(delay, pytest.approx(now + delay)) for delay in (1, 2, 3)]


def test_others_run_while_one_pauses(start):
    """A callback that pauses goes on later; those behind it need not wait."""
    printer = start()
    reactor = printer.reactor
    seen = []

    def sleeper(eventtime):
        seen.append("falls asleep")
        reactor.pause(eventtime + 5.0)
        seen.append("wakes up")

    reactor.register_callback(sleeper)
    reactor.register_callback(lambda eventtime: seen.append("works"), reactor.NOW)
    printer.advance(4)
    assert seen == ["falls asleep", "works"]

    printer.advance(2)
    assert seen[-1] == "wakes up"


def test_a_completion_hands_over_its_result(start):
    """wait() returns what complete() was given, or the other result when it is late."""
    printer = start()
    reactor = printer.reactor
    results = []
    early, late = reactor.completion(), reactor.completion()

    def waiter(eventtime):
        results.append(early.wait(eventtime + 10.0))
        results.append(late.wait(eventtime + 20.0, "nobody came"))

    reactor.register_callback(waiter)
    reactor.register_callback(
        lambda eventtime: early.complete("here"), printer.clock.monotonic() + 3.0
    )
    printer.advance(30)

    assert results == ["here", "nobody came"]


def test_a_mutex_serves_in_the_order_of_asking(start):
    """Who came first is served first, one at a time."""
    printer = start()
    reactor = printer.reactor
    mutex = reactor.mutex()
    seen = []

    def hold(name):
        def callback(eventtime):
            with mutex:
                seen.append(name)
                reactor.pause(reactor.monotonic() + 1.0)
                seen.append(name)

        return callback

    for name in "abc":
        reactor.register_callback(hold(name))
    printer.advance(10)

    assert seen == list("aabbcc")
    assert not mutex.test()


def test_a_thread_cannot_ring_before_the_reactor_runs_or_after_it_is_gone(reactor):
    """register_async_callback raises TypeError then, as Klippy's does."""
    with pytest.raises(TypeError):
        reactor.register_async_callback(lambda eventtime: None)

    reactor.register_callback(lambda eventtime: reactor.end())
    reactor.run()
    reactor.register_async_callback(lambda eventtime: None)  # still possible

    reactor.finalize()
    with pytest.raises(TypeError):
        reactor.register_async_callback(lambda eventtime: None)


def test_a_thread_wakes_the_reactor(reactor):
    """What a thread rings for is called in the reactor's own thread."""
    callers = []

    def ring():
        reactor.register_async_callback(
            lambda eventtime: (
                callers.append(threading.current_thread()),
                reactor.end(),
            )
        )

    thread = threading.Thread(target=ring)
    reactor.register_callback(lambda eventtime: thread.start())
    reactor.run()
    thread.join()

    assert callers == [threading.current_thread()]


@pytest.mark.parametrize("register", ["register_callback", "register_async_callback"])
def test_what_escapes_a_callback_ends_the_run(start, register):
    """The printer is shut down then: an exception is never only logged."""
    printer = start()
    getattr(printer.reactor, register)(lambda eventtime: 1 / 0)
    printer.advance(1)

    assert printer.state == "shutdown"


def test_what_escapes_a_timer_kills_it(start):
    """It is never called again, though the reactor goes on in the shutdown state."""
    printer = start()
    calls = []

    def callback(eventtime):
        calls.append(eventtime)
        raise ValueError

    printer.reactor.register_timer(callback, printer.reactor.NOW)
    printer.advance(10)

    assert len(calls) == 1
    assert printer.state == "shutdown"


def test_a_fast_clock_never_runs_past_what_is_due():
    """A busy machine makes the printer slower; no timer fires late by its own clock."""
    clock = FastClock(1000.0)
    reactor = Reactor(clock)
    lateness = []

    def callback(eventtime):
        lateness.append(eventtime - due[0])
        busy = sum(range(20_000))  # some 100 ms of this clock
        due[0] = eventtime + 0.010
        if len(lateness) == 50:
            reactor.end()
        return due[0] + 0 * busy

    due = [clock.monotonic() + 0.010]
    reactor.register_timer(callback, due[0])
    reactor.run()
    reactor.finalize()

    assert max(lateness) == pytest.approx(0.0, abs=1e-9)


def test_a_test_s_clock_stands_still_while_real_time_passes(start):
    """Threads are waited for without a second going by for the printer."""
    printer = start()
    rung = threading.Event()
    before = printer.clock.monotonic()

    def ring():
        printer.reactor.register_async_callback(lambda eventtime: rung.set())

    thread = threading.Thread(target=ring)
    thread.start()
    printer.wait_for(rung.is_set)
    thread.join()

    assert isinstance(printer.clock, TestClock)
    assert printer.clock.monotonic() == before
