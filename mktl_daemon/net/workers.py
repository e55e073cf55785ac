"""A bounded number of threads for everything that might take its time."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from mktl_daemon import process

Job = Callable[[], Any]

_logger = logging.getLogger(__name__)


class Pool:
    """Jobs of one lane run one after the other, in order; lanes take turns.

    A lane with ten thousand jobs delays another lane's job by one of its own, not by
    all. Lanes cost nothing while they are empty.
    """

    def __init__(self, name: str, size: int = 16, limit: int = 100_000) -> None:
        self._name = name
        self._size = size
        self._limit = limit
        self.forked()
        _pools.add(self)

    def forked(self) -> None:
        """Be new: no thread, no job; also for a process that was forked."""
        self._lock = threading.Lock()
        self._lanes: dict[Hashable, deque[Job]] = {}
        self._turns: queue.SimpleQueue[Hashable] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._waiting = 0
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

    def close(self, timeout: float = 2.0) -> None:
        """Drop what waits; let what runs end, for at most *timeout* seconds in all."""
        with self._lock:
            self._closing = True
            self._lanes.clear()
            threads = self._threads
        for _ in threads:
            self._turns.put(_END)
        until = time.monotonic() + timeout
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _offer(self, lane: Hashable) -> None:
        self._turns.put(lane)
        if self._idle:
            self._idle -= 1
        elif len(self._threads) < self._size:
            self._start_thread()

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (lane := self._next_turn()) is not _END:
            jobs = self._lanes.get(lane)
            if jobs is not None:
                _run(lane, jobs[0])
                with self._lock:
                    if not self._is_finished(lane, jobs):
                        self._turns.put(lane)  # nobody else needs to wake up

    def _next_turn(self) -> Hashable:
        with self._lock:
            # Whoever submits takes an idle thread off the count, or starts one.
            if self._turns.empty():
                self._idle += 1
        return self._turns.get()

    def _is_finished(self, lane: Hashable, jobs: deque[Job]) -> bool:
        """Strike the job that has run; tell whether the lane is empty now."""
        self._waiting -= 1
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


# A child has the queues, and none of the threads.
_pools: process.Family[Pool] = process.Family()


def _nothing() -> None:
    """Stand in for a job that another thread runs."""


_END = object()
