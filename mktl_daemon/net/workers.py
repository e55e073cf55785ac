"""Threads for everything that might take its time: few, and more where all are stuck.

A pool begins with a few threads. Where work waits and the threads are busy with jobs
that do not end, the pool gets as many threads more, up to a limit; short jobs do not
make it grow, however many wait. Threads that have nothing to do for a while end.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from mktl_daemon import process

Job = Callable[[], Any]

_logger = logging.getLogger(__name__)

_MOST = 1000  # threads of a pool, unless MKTL_THREADS says otherwise
_WINDOW = 0.01  # seconds in which a thread that ends no job is stuck in one
_REST = 5.0  # seconds without a job after which a thread that was added ends


def most_threads() -> int:
    """Return how many threads a pool may have: ``MKTL_THREADS``, or a thousand.

    ValueError: that is no number above zero.
    """
    setting = os.environ.get("MKTL_THREADS") or str(_MOST)
    if not setting.isdecimal() or int(setting) < 1:
        raise ValueError(f"MKTL_THREADS must be a number of threads, not {setting!r}")
    return int(setting)


class Pool:
    """Jobs of one lane run one after the other, in order; lanes take turns.

    A lane with ten thousand jobs delays another lane's job by one of its own, not by
    all. Lanes cost nothing while they are empty.
    """

    def __init__(
        self,
        name: str,
        size: int = 16,
        limit: int = 100_000,
        most: int | None = None,
    ) -> None:
        """*size* threads are there at once if there is work, and *most* at most.

        *limit* jobs may wait.
        """
        self._name = name
        self._size = size
        self._limit = limit
        self._most = most
        self.forked()
        _pools.add(self)

    def forked(self) -> None:
        """Be new: no thread, no job; also for a process that was forked."""
        self._lock = threading.Lock()
        self._lanes: dict[Hashable, deque[Job]] = {}
        self._turns: queue.SimpleQueue[Hashable] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Threads that take the next turn, less the turns that wait: below zero, turns
        # wait for which there is no thread.
        self._free = 0
        self._waiting = 0
        self._ended = 0  # jobs, of all time
        self._ended_before: int | None = None  # at the last check; None: none yet
        self._names = itertools.count()
        self._closing = False

    def submit(self, lane: Hashable, job: Job) -> bool:
        """Queue *job*; False, and nothing queued, where too many wait already."""
        with self._lock:
            if self._closing or self._waiting >= self._limit:
                return False
            self._waiting += 1
            jobs = self._lanes.get(lane)
            if jobs is not None:
                jobs.append(job)
                return True
            self._lanes[lane] = deque((job,))
            self._offer(lane)
        return True

    def claim(self, lane: Hashable) -> bool:
        """Take the turn of a lane that is empty, for `carry_out` or `hand_on`."""
        with self._lock:
            if self._closing or lane in self._lanes:
                return False
            self._waiting += 1
            self._lanes[lane] = deque((_nothing,))
        return True

    def carry_out(self, lane: Hashable, job: Job) -> None:
        """Run *job* in this thread, in the turn that was claimed."""
        _run(lane, job)
        with self._lock:
            if self._is_finished(lane, self._lanes.get(lane, deque())):
                return
            self._offer(lane)

    def hand_on(self, lane: Hashable, job: Job) -> None:
        """Have a worker run *job* in the turn that was claimed."""
        with self._lock:
            if lane in self._lanes:
                self._lanes[lane][0] = job
                self._offer(lane)

    def is_idle(self) -> bool:
        """Tell whether no job runs or waits."""
        with self._lock:
            return not self._lanes

    def close(self, timeout: float = 2.0) -> None:
        """Drop what waits; let what runs end, for at most *timeout* seconds in all."""
        with self._lock:
            self._closing = True
            self._lanes.clear()
            threads = list(self._threads)
        for _ in threads:
            self._turns.put(_END)
        until = time.monotonic() + timeout
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def relieve(self) -> bool:
        """Add threads for those that are stuck in a job; tell whether work waits.

        It is called every `_WINDOW` seconds while work waits.
        """
        with self._lock:
            before, self._ended_before = self._ended_before, self._ended
            waiting = -self._free
            if waiting <= 0 or self._closing:
                self._ended_before = None
                return False
            if before is not None:
                stuck = len(self._threads) - (self._ended - before)
                most = most_threads() if self._most is None else self._most
                room = most - len(self._threads)
                for _ in range(min(waiting, stuck, room)):
                    self._start_thread()
        return True

    def _offer(self, lane: Hashable) -> None:
        self._put(lane)
        if self._free >= 0:
            return
        if len(self._threads) < self._size:
            self._start_thread()
        else:
            _monitor.watch(self)

    def _put(self, lane: Hashable) -> None:
        self._free -= 1
        self._turns.put(lane)

    def _start_thread(self) -> None:
        self._free += 1
        name = f"{self._name}-{next(self._names)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (lane := self._next_turn()) is not _END:
            jobs = self._lanes.get(lane)
            if jobs is not None:
                _run(lane, jobs[0])
            with self._lock:
                if jobs is not None and not self._is_finished(lane, jobs):
                    self._put(lane)  # nobody else needs to wake up
                self._free += 1

    def _next_turn(self) -> Hashable:
        while True:
            try:
                added = len(self._threads) > self._size
                return self._turns.get(timeout=_REST if added else None)
            except queue.Empty:
                if self._may_end():
                    return _END

    def _may_end(self) -> bool:
        """Take this thread off the list, unless it is needed after all."""
        with self._lock:
            if self._free <= 0 or len(self._threads) <= self._size:
                return False
            self._free -= 1
            self._threads.remove(threading.current_thread())
            return True

    def _is_finished(self, lane: Hashable, jobs: deque[Job]) -> bool:
        """Strike the job that has run; tell whether the lane is empty now."""
        self._waiting -= 1
        self._ended += 1
        if jobs:
            jobs.popleft()
        if jobs and not self._closing:
            return False
        if self._lanes.get(lane) is jobs:
            del self._lanes[lane]
        return True


def _run(lane: Hashable, job: Job) -> None:
    try:
        job()
    except BaseException:  # sys.exit() in it would end the thread, and its lane
        _logger.exception("a worker dropped a job of %r", lane)


class _Monitor:
    """Has pools relieved whose work waits; one thread for all of them."""

    def __init__(self) -> None:
        self.forked()

    def forked(self) -> None:
        self._pools: set[Pool] = set()
        self._lock = threading.Lock()
        self._waits = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, pool: Pool) -> None:
        if pool in self._pools:
            return
        with self._lock:
            self._pools.add(pool)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="mktl-client-monitor", daemon=True
                )
                self._thread.start()
        self._waits.set()

    def _run(self) -> None:
        while True:
            self._waits.wait()
            self._waits.clear()
            while self._pools:
                time.sleep(_WINDOW)
                for pool in list(self._pools):
                    # Off the list first: what comes meanwhile puts it on again.
                    with self._lock:
                        self._pools.discard(pool)
                    if pool.relieve():
                        with self._lock:
                            self._pools.add(pool)


_monitor = process.kept(_Monitor())
# A child has the queues, and none of the threads.
_pools: process.Family[Pool] = process.Family()


def _nothing() -> None:
    """Stand in for a job that another thread runs."""


_END = object()
