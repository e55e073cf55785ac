"""Threads that take turns at reading: where one is busy with a job, another reads."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from .workers import Pool

Call = Callable[[], Any]

_THREADS = 3  # that take turns at reading
_SHORT = 0.001  # seconds that a job may take each time while nobody reads
_LONG = 0.005  # seconds between checks of whether a job takes its time
_PATIENCE = 2.0  # seconds for a thread to end


class Handover:
    """Has *turn* called again and again, by one thread at a time: the reader.

    A turn may put jobs into `deferred`. The reader then carries one of them out itself,
    so that nobody has to be woken for it. Where that takes its time, another thread
    becomes the reader.
    """

    def __init__(self, turn: Call, name: str) -> None:
        self._turn = turn
        self._name = name
        self.closing = False
        self._reader: int | None = None
        # Jobs that wait for the reader to be through with reading.
        self.deferred: list[tuple[Pool, Hashable, Call]] = []
        self._spare: list[threading.Lock] = []  # of threads that could read on
        self._threads: list[threading.Thread] = []
        self._acting: int | None = None  # the thread that has a job, while nobody reads
        self._handing_over = threading.Lock()  # for the one above
        self._begun = 0  # jobs
        self._slow: set[Hashable] = set()  # lanes whose last job took its time
        self._lookout: threading.Thread | None = None
        self._is_asleep = False  # the lookout, until there is an alarm
        self._alarm: queue.SimpleQueue[None] = queue.SimpleQueue()

    def start(self) -> None:
        self._start_thread()

    def is_here(self) -> bool:
        """Tell whether this is the thread that reads."""
        return threading.get_ident() == self._reader

    def defer(self, pool: Pool, lane: Hashable, job: Call) -> None:
        """Run *job* in the turn of its lane, by whoever can do it first."""
        if self.is_here() and pool.claim(lane):
            self.deferred.append((pool, lane, job))
        else:
            pool.submit(lane, job)

    def step_aside(self) -> None:
        """Let another thread read on, where a user's method is about to wait."""
        if self._acting == threading.get_ident():
            self._relieve(self._begun)

    def join(self) -> None:
        """Wait for the threads to end, once `closing` is set."""
        for thread in self._threads:
            thread.join(_PATIENCE)  # a user's method may be stuck in one
        self._alarm.put(None)
        if self._lookout is not None:
            self._lookout.join(_PATIENCE)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while not self.closing:
            self._reader = threading.get_ident()
            while not self.deferred and not self.closing:
                self._turn()
            deferred, self.deferred = self.deferred, []
            self._reader = None
            mine = deferred[:1] if self._could_be_relieved() else []
            # One job may take for ever, and must not keep the others waiting.
            for pool, lane, job in deferred[len(mine) :]:
                pool.hand_on(lane, job)
            for pool, lane, job in mine:
                self._carry_out(pool, lane, job)
        while self._spare:
            self._spare.pop().release()

    def _could_be_relieved(self) -> bool:
        return bool(self._spare) or len(self._threads) < _THREADS or self.closing

    def _carry_out(self, pool: Pool, lane: Hashable, job: Call) -> None:
        """Carry a job out, and return as the thread that reads."""
        self._begun += 1
        me = self._acting = threading.get_ident()
        if lane in self._slow:
            self.step_aside()
        else:
            self._keep_a_lookout()
        started = time.monotonic()
        pool.carry_out(lane, job)
        if time.monotonic() - started > _SHORT:
            self._slow.add(lane)
        else:
            self._slow.discard(lane)
        with self._handing_over:
            was_relieved = self._acting != me
            if not was_relieved:
                self._acting = None
        if was_relieved:
            self._wait_to_read()

    def _relieve(self, job: int) -> None:
        """Let another thread read on, if the job is still the last one and runs."""
        with self._handing_over:
            if self._acting is None or self._begun != job:
                return
            self._acting = None
        if self._spare:
            self._spare.pop().release()
        elif not self.closing:
            self._start_thread()

    def _keep_a_lookout(self) -> None:
        if self._lookout is None:
            self._lookout = threading.Thread(
                target=self._look_out, name=f"{self._name}-lookout", daemon=True
            )
            self._lookout.start()
        elif self._is_asleep:
            self._is_asleep = False
            self._alarm.put(None)

    def _look_out(self) -> None:
        """Have a thread relieved whose job takes its time.

        To be woken for every job would cost more than most jobs, so while there are
        any this looks now and then, and otherwise sleeps.
        """
        while not self.closing:
            job = self._begun
            time.sleep(_LONG)
            if job == self._begun:
                self._relieve(job)
                self._is_asleep = True
                if job == self._begun:  # else nobody saw that an alarm is needed
                    self._alarm.get()

    def _wait_to_read(self) -> None:
        turn = threading.Lock()
        turn.acquire()
        self._spare.append(turn)
        if not self.closing:
            turn.acquire()
