"""The pool: each lane in order, a turn for every lane, a limited number of threads."""

import sys
import threading

import pytest

from mktl_daemon.net import workers
from mktl_daemon.net.workers import Pool

DEADLINE = 20.0


@pytest.fixture
def pool():
    made = Pool("test", size=4, limit=1000, most=4)
    yield made
    made.close()


def test_jobs_of_one_lane_run_one_after_the_other(pool, box):
    """This is so with any number of threads."""
    running = []

    def job(number):
        running.append(number)
        assert len(running) == 1
        box.put(number)
        running.remove(number)

    for number in range(200):
        pool.submit("lane", lambda number=number: job(number))
    assert box.wait(200) == list(range(200))


def test_a_long_lane_does_not_delay_others():
    """With one thread, another lane waits for one job of the long lane, not for all."""
    pool = Pool("test", size=1, most=1)
    gate, order, done = threading.Event(), [], threading.Event()
    pool.submit("flood", gate.wait)
    for number in range(50):
        pool.submit("flood", lambda number=number: order.append(number))
    pool.submit("other", lambda: (order.append("other"), done.set()))
    gate.set()
    assert done.wait(DEADLINE)
    assert order.index("other") <= 1
    pool.close()


def test_there_are_never_more_threads_than_the_limit(pool):
    """A hundred lanes that block use four threads."""
    gate, entered = threading.Event(), threading.Semaphore(0)
    for lane in range(100):
        pool.submit(lane, lambda: (entered.release(), gate.wait(DEADLINE)))
    for _ in range(4):
        assert entered.acquire(timeout=DEADLINE)
    names = [thread.name for thread in threading.enumerate()]
    assert sum(name.startswith("test-") for name in names) == 4
    gate.set()


def test_lanes_that_block_leave_threads_to_others(pool, box):
    """Three of four threads are blocked. The fourth serves all others."""
    gate = threading.Event()
    for lane in range(3):
        pool.submit(lane, lambda: gate.wait(DEADLINE))
    for number in range(20):
        pool.submit(("free", number), lambda number=number: box.put(number))
    assert sorted(box.wait(20)) == list(range(20))
    gate.set()


def test_a_job_above_the_limit_is_refused():
    """submit returns False, so memory is limited."""
    pool = Pool("test", size=1, limit=3)
    gate = threading.Event()
    taken = [pool.submit(number, lambda: gate.wait(DEADLINE)) for number in range(5)]
    assert taken == [True, True, True, False, False]
    gate.set()
    pool.close()


def test_a_job_that_raises_is_logged_and_the_next_one_runs(pool, box, caplog):
    pool.submit("lane", lambda: 1 / 0)
    pool.submit("lane", lambda: box.put("next"))
    assert box.wait(1) == ["next"]
    assert "ZeroDivisionError" in caplog.text


def test_a_closed_pool_accepts_no_jobs(pool):
    pool.close()
    assert pool.submit("lane", print) is False


def test_a_pool_whose_threads_are_all_blocked_gets_more_up_to_its_limit():
    pool = Pool("test", size=2, most=6)
    gate, entered = threading.Event(), threading.Semaphore(0)

    def stuck():
        entered.release()
        gate.wait(DEADLINE)

    for lane in range(10):
        pool.submit(lane, stuck)
    for _ in range(6):
        assert entered.acquire(timeout=DEADLINE)
    assert not entered.acquire(timeout=0.1)
    gate.set()
    for _ in range(4):
        assert entered.acquire(timeout=DEADLINE)
    pool.close()


def test_added_threads_end_when_they_have_nothing_to_do(monkeypatch, until):
    monkeypatch.setattr(workers, "_REST", 0.05)
    pool = Pool("shrinks", size=2)
    gate, entered = threading.Event(), threading.Semaphore(0)

    def stuck():
        entered.release()
        gate.wait(DEADLINE)

    def threads():
        names = [each.name for each in threading.enumerate()]
        return sum(name.startswith("shrinks-") for name in names)

    for lane in range(9):
        pool.submit(lane, stuck)
    for _ in range(9):
        assert entered.acquire(timeout=DEADLINE)
    assert threads() == 9
    gate.set()
    until(lambda: threads() <= 2, "the pool is small again")
    done = threading.Event()
    pool.submit("after", done.set)
    assert done.wait(DEADLINE)
    pool.close()


def test_short_jobs_do_not_make_a_pool_grow(box):
    """More threads would not run them sooner, however many wait."""
    pool = Pool("short", size=2)
    for lane in range(20_000):
        pool.submit(lane, lambda: None)
    pool.submit("last", lambda: box.put("last"))
    box.wait(1)
    names = [each.name for each in threading.enumerate()]
    assert sum(name.startswith("short-") for name in names) <= 6
    pool.close()


def test_the_limit_of_threads_of_a_pool_is_a_setting(monkeypatch):
    assert workers.most_threads() == 1000
    monkeypatch.setenv("MKTL_THREADS", "50")
    assert workers.most_threads() == 50
    monkeypatch.setenv("MKTL_THREADS", "many")
    with pytest.raises(ValueError, match="MKTL_THREADS"):
        workers.most_threads()


@pytest.fixture
def hasty():
    """Make the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_new_work_gets_threads_after_idle_threads_shared_long_lanes():
    """Which thread takes the next job of a lane is random, but the count is exact."""
    pool = Pool("test", size=8, most=60)
    for _ in range(8):
        # All threads exist, and most of them have nothing to do, because only three
        # lanes are long.
        together = threading.Barrier(8)
        for lane in range(8):
            pool.submit(lane, together.wait)
        over = threading.Semaphore(0)
        for lane in ("a", "b", "c"):
            for _ in range(300):
                pool.submit(lane, lambda: None)
            pool.submit(lane, over.release)
        assert all(over.acquire(timeout=DEADLINE) for _ in range(3))
    gate, entered = threading.Event(), threading.Semaphore(0)
    for lane in range(60):
        pool.submit(lane, lambda: (entered.release(), gate.wait()))
    assert all(entered.acquire(timeout=DEADLINE) for _ in range(60))
    gate.set()
    pool.close()
