"""The reactor: when it calls callbacks, and what ends it."""

import threading

import pytest

from tests.fakes.klippy import FastClock, Reactor, TestClock


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    reactor.finalize()


def test_a_timer_is_called_again_at_the_time_it_returned(start):
    """The return value of a timer is its next wake time. NEVER means no next time."""
    printer = start()
    begin = printer.clock.monotonic()
    calls = []

    def callback(eventtime):
        calls.append(eventtime - begin)
        return eventtime + 2.0 if len(calls) < 3 else printer.reactor.NEVER

    printer.reactor.register_timer(callback, begin + 1.0)
    printer.advance(60)

    assert calls == pytest.approx([1.0, 3.0, 5.0])


def test_timers_are_called_in_the_order_of_their_times(start):
    """The order of registration does not matter, even if all are due at once."""
    printer = start()
    now = printer.clock.monotonic()
    calls = []
    for delay in (3, 1, 2):
        printer.reactor.register_callback(
            lambda eventtime, delay=delay: calls.append((delay, eventtime)), now + delay
        )
    printer.advance(10)

    assert calls == [(delay, pytest.approx(now + delay)) for delay in (1, 2, 3)]


def test_other_callbacks_run_while_one_pauses(start):
    """A callback that pauses goes on later, and the callbacks after it do not wait."""
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


def test_a_completion_returns_its_result(start):
    """wait() returns the value of complete(), or another value after a timeout."""
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


def test_a_mutex_serves_in_the_order_of_the_requests(start):
    """The first caller gets it first, and only one has it at a time."""
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


def test_a_thread_cannot_use_a_reactor_that_does_not_run(reactor):
    """register_async_callback raises TypeError then, as Klippy's does.

    This is before the start and after the end.
    """
    with pytest.raises(TypeError):
        reactor.register_async_callback(lambda eventtime: None)

    reactor.register_callback(lambda eventtime: reactor.end())
    reactor.run()
    reactor.register_async_callback(lambda eventtime: None)  # it is still possible here

    reactor.finalize()
    with pytest.raises(TypeError):
        reactor.register_async_callback(lambda eventtime: None)


def test_a_thread_can_wake_the_reactor(reactor):
    """The reactor calls the callback in its own thread."""
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
def test_an_exception_in_a_callback_ends_the_reactor(start, register):
    """The printer is shut down then. An exception is never only logged."""
    printer = start()
    getattr(printer.reactor, register)(lambda eventtime: 1 / 0)
    printer.advance(1)

    assert printer.state == "shutdown"


def test_an_exception_in_a_timer_ends_this_timer(start):
    """It is never called again, though the reactor goes on in the shutdown."""
    printer = start()
    calls = []

    def callback(eventtime):
        calls.append(eventtime)
        raise ValueError

    printer.reactor.register_timer(callback, printer.reactor.NOW)
    printer.advance(10)

    assert len(calls) == 1
    assert printer.state == "shutdown"


def test_a_fast_clock_never_passes_a_timer_that_is_due():
    """A busy machine makes the printer slower.

    No timer is late by the printer's clock.
    """
    clock = FastClock(1000.0)
    reactor = Reactor(clock)
    lateness = []

    def callback(eventtime):
        lateness.append(eventtime - due[0])
        busy = sum(range(20_000))  # about 100 ms of this clock
        due[0] = eventtime + 0.010
        if len(lateness) == 50:
            reactor.end()
        return due[0] + 0 * busy

    due = [clock.monotonic() + 0.010]
    reactor.register_timer(callback, due[0])
    reactor.run()
    reactor.finalize()

    assert max(lateness) == pytest.approx(0.0, abs=1e-9)


def test_the_clock_of_a_test_stands_still_while_real_time_passes(start):
    """The test waits for threads, and no second passes for the printer."""
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
