"""The loop: one thread for sockets, timers, and calls from other threads."""

import fcntl
import os
import threading
import time
from functools import partial

import pytest
import zmq

from mktl_daemon.net import frames
from mktl_daemon.net.loop import Loop
from mktl_daemon.net.workers import Pool

DEADLINE = 20.0


@pytest.fixture
def loop():
    made = Loop("test-loop")
    yield made
    made.close()


@pytest.fixture
def pair(loop, box):
    """Two sockets on the loop's thread. Messages to the first are put into the box."""

    def begin():
        inside, outside = (loop.context.socket(zmq.PAIR) for _ in range(2))
        inside.bind("inproc://test")
        outside.connect("inproc://test")
        loop.watch(inside, lambda: box.put(frames.receive(inside)[0].bytes))
        return inside, outside

    inside, outside = loop.run(begin)
    yield inside, outside
    loop.run(lambda: (loop.unwatch(inside), inside.close(), outside.close()))


def test_calls_run_on_the_loops_thread_in_order(loop, box):
    for number in range(1000):
        loop.call(lambda number=number: box.put((number, loop.is_here())))
    assert box.wait(1000) == [(number, True) for number in range(1000)]
    assert not loop.is_here()


def test_run_returns_or_raises_what_the_function_does(loop):
    assert loop.run(lambda: 42) == 42
    assert loop.run(lambda: loop.run(lambda: 43)) == 43
    with pytest.raises(ZeroDivisionError):
        loop.run(lambda: 1 / 0)


def test_a_call_that_raises_does_not_end_the_loop(loop, box, caplog):
    loop.call(lambda: 1 / 0)
    loop.call(lambda: box.put("alive"))
    assert box.wait(1) == ["alive"]
    assert "ZeroDivisionError" in caplog.text


def test_timers_run_when_they_are_due_and_not_if_they_were_cancelled(loop, box):
    loop.later(0.06, lambda: box.put("third"))
    loop.later(0.01, lambda: box.put("cancelled")).cancel()
    loop.later(0.03, lambda: box.put("second"))
    loop.later(0.0, lambda: box.put("first"))
    assert box.wait(3) == ["first", "second", "third"]


def test_a_timer_may_be_due_in_years(loop, box):
    """The system's poll has 32 bits for milliseconds, which is 25 days."""
    loop.run(lambda: loop.later(1e9, lambda: box.put("in years")))
    loop.later(0.05, lambda: box.put("soon"))
    assert box.wait(1) == ["soon"]
    assert loop.run(loop.is_here)


def test_a_call_that_repeats_itself_does_not_block_the_sockets(loop, pair, box):
    """A message is read although there is always another call."""
    over = threading.Event()

    def again():
        if not over.is_set():
            loop.call(again)

    _, outside = pair
    loop.call(again)
    loop.run(lambda: outside.send(b"hello"))
    assert box.wait(1) == [b"hello"]
    over.set()


def test_a_message_that_a_call_has_noticed_is_read_by_the_loop(loop, pair, box):
    """A ZeroMQ socket's descriptor signals a message only once, to the first reader."""
    inside, outside = pair

    def send_and_look():
        outside.send(b"hello")
        assert inside.poll(DEADLINE * 1000)
        assert inside.get(zmq.EVENTS) & zmq.POLLIN

    loop.run(send_and_look)
    assert box.wait(1) == [b"hello"]


def test_a_descriptor_with_any_number_can_be_unwatched(loop, box):
    reads, writes = os.pipe()
    high = fcntl.fcntl(reads, fcntl.F_DUPFD, 900)
    # Python keeps one object for each small number, but makes a new one for each large
    # number.
    again = int(str(high))
    try:
        loop.run(lambda: loop.watch(high, lambda: box.put(os.read(high, 1))))
        os.write(writes, b"a")
        assert box.wait(1) == [b"a"]
        loop.run(lambda: loop.unwatch(again))
        os.write(writes, b"b")
        # The loop sleeps, and does not poll all the time.
        began, busy = time.monotonic(), time.process_time()
        loop.later(0.2, lambda: box.put("nothing else"))
        assert box.wait(2) == [b"a", "nothing else"]
        assert time.process_time() - busy < (time.monotonic() - began) / 2
    finally:
        for descriptor in (reads, writes, high):
            os.close(descriptor)


def test_a_closed_socket_does_not_end_the_loop(loop, box, caplog):
    def open_and_close():
        socket = loop.context.socket(zmq.PULL)
        loop.watch(socket, lambda: None)
        socket.close()

    loop.run(open_and_close)
    loop.call(lambda: box.put("alive"))
    assert box.wait(1) == ["alive"]


def test_bind_takes_the_first_free_port_and_avoids_the_given_ones(loop):
    with zmq.Context() as context:
        sockets = [context.socket(zmq.PULL) for _ in range(3)]
        port = sockets[0].bind_to_random_port("tcp://127.0.0.1", 20000, 40000)
        ports = (port, port + 20)
        second, host = frames.bind(sockets[1], "127.0.0.1", ports, set())
        third, _ = frames.bind(sockets[2], "127.0.0.1", ports, {second + 1})
        assert host == "127.0.0.1"
        assert port < second < third != second + 1
        context.destroy(linger=0)


def test_bind_reports_that_no_port_is_free(loop):
    with zmq.Context() as context:
        first, second = context.socket(zmq.PULL), context.socket(zmq.PULL)
        port = first.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(ConnectionError, match=str(port)):
            frames.bind(second, "127.0.0.1", (port, port), set())
        context.destroy(linger=0)


def test_deferred_jobs_that_block_do_not_stop_the_reading(loop, box):
    """This is so also with more jobs than the loop has threads."""
    pool, gate = Pool("test"), threading.Event()
    for lane in range(6):
        job = (lambda: gate.wait(DEADLINE)) if lane < 5 else (lambda: box.put("last"))
        loop.run(lambda lane=lane, job=job: loop.defer(pool, lane, job))
    assert box.wait(1) == ["last"]
    assert loop.run(lambda: "reading") == "reading"
    gate.set()
    pool.close()


def test_a_deferred_job_that_blocks_does_not_delay_other_lanes(loop, box):
    """The jobs of several lanes came in one burst."""
    pool, gate = Pool("test"), threading.Event()

    def burst():
        loop.defer(pool, "blocked", lambda: gate.wait(DEADLINE))
        loop.defer(pool, "free", lambda: box.put("free"))

    loop.run(burst)
    assert box.wait(1) == ["free"]
    gate.set()
    pool.close()


def test_deferred_jobs_of_one_lane_keep_their_order(loop, box):
    """It does not matter which thread runs them, and where they come from."""
    pool = Pool("test")
    for number in range(300):
        job = partial(box.put, number)
        if number % 3:
            loop.run(partial(loop.defer, pool, "lane", job))
        else:
            loop.defer(pool, "lane", job)
    assert box.wait(300) == list(range(300))
    pool.close()


def test_a_deferred_job_may_call_the_loop(loop, box):
    """Another thread than the reading one runs it."""
    pool = Pool("test")
    loop.run(lambda: loop.defer(pool, 1, lambda: box.put(loop.run(loop.is_here))))
    assert box.wait(1) == [True]
    pool.close()


def test_jobs_that_wait_for_calls_of_the_loop_all_end(loop, box):
    """Each waits for a call that it has made, or that another thread has made."""
    pool = Pool("test")

    def ask(number):
        loop.call(lambda: box.put(number))
        box.wait(2 * number + 1)

    def be_told(number):
        box.wait(2 * number + 2)

    for number in range(40):
        loop.run(partial(loop.defer, pool, "asks", partial(ask, number)))
        loop.run(partial(loop.defer, pool, "is told", partial(be_told, number)))
        loop.call(partial(box.put, number))
    assert sorted(box.wait(80)) == [number for number in range(40) for _ in range(2)]
    pool.close()


def test_a_quick_job_is_run_by_the_thread_that_reads(loop, box):
    pool = Pool("test")
    reader = loop.run(threading.get_ident)
    loop.run(lambda: loop.defer(pool, 1, lambda: box.put(threading.get_ident())))
    assert box.wait(1) == [reader]
    assert loop.run(lambda: "reading") == "reading"
    pool.close()
