"""The reactor: timers, callbacks and files in one thread, as an extra uses them.

A callback may pause. It runs in its own greenlet, and others run in between.
"""

from __future__ import annotations

import contextlib
import logging
import operator
import os
import queue
import select
from types import TracebackType
from typing import Any, Callable, Iterator, List, Union

import greenlet

from .clock import FastClock, TestClock

Callback = Callable[[float], Any]
Files = List[int]
Clock = Union[FastClock[Files], TestClock[Files]]

NOW = 0.0
NEVER = 9999999999999999.0
_WAKETIME = operator.attrgetter("waketime")

logger = logging.getLogger(__name__)


class ReactorError(Exception):
    """A callback paused where nothing may pause."""


class Timer:
    """A callback and its next time. The callback returns the time after that."""

    def __init__(self, callback: Callback, waketime: float) -> None:
        self.callback = callback
        self.waketime = waketime
        self.running = False


class Pause(Timer):
    """A timer that continues a paused greenlet."""


class Completion:
    """A result for which a greenlet can wait."""

    _nothing = object()

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._result = self._nothing
        self._sleepers: list[Timer] = []

    def test(self) -> bool:
        return self._result is not self._nothing

    def complete(self, result: Any) -> None:
        self._result = result
        for timer in self._sleepers:
            self._reactor.update_timer(timer, NOW)

    def wait(self, waketime: float = NEVER, waketime_result: Any = None) -> Any:
        if not self.test():
            self._reactor.sleep(waketime, self._sleepers)
        return self._result if self.test() else waketime_result


class Mutex:
    """A lock for one greenlet at a time.

    Greenlets get it in the order of their requests.
    """

    def __init__(self, reactor: Reactor, is_locked: bool = False) -> None:
        self._reactor = reactor
        self._locked = is_locked
        self._holder: greenlet.greenlet | None = None
        self._queue: list[Completion] = []

    def test(self) -> bool:
        return self._locked

    def __enter__(self) -> None:
        if self._locked:
            if self._holder is greenlet.getcurrent():
                # Klippy would wait for itself for ever, without an error.
                raise ReactorError("deadlock: this code already holds the mutex")
            turn = self._reactor.completion()
            self._queue.append(turn)
            turn.wait()
        self._locked = True
        self._holder = greenlet.getcurrent()

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._holder = None
        if self._queue:
            self._queue.pop(0).complete(None)
        else:
            self._locked = False

    def lock(self) -> None:
        self.__enter__()

    def unlock(self) -> None:
        self.__exit__()


class FileHandler:
    """A file whose input is waited for."""

    def __init__(self, fd: int, callback: Callback) -> None:
        self.fd = fd
        self.callback = callback


class Reactor:
    NOW = NOW
    NEVER = NEVER

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or FastClock(1.0)
        self._timers: list[Timer] = []
        self._files: dict[int, FileHandler] = {}
        self._async_calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._doorbell: tuple[int, int] | None = None
        self._hub: greenlet.greenlet | None = None
        self._workers: list[greenlet.greenlet] = []
        self._idle: list[greenlet.greenlet] = []
        self._running = False
        self._no_pause = 0

    def monotonic(self) -> float:
        return self._clock.monotonic()

    # Timers

    def register_timer(self, callback: Callback, waketime: float = NEVER) -> Timer:
        timer = Timer(callback, waketime)
        self._timers.append(timer)
        return timer

    def update_timer(self, timer: Timer, waketime: float) -> None:
        # The return value of a running callback decides, not a change during the call.
        if not timer.running:
            timer.waketime = waketime

    def unregister_timer(self, timer: Timer) -> None:
        timer.waketime = NEVER
        self._timers.remove(timer)

    # Callbacks

    def completion(self) -> Completion:
        return Completion(self)

    def register_callback(
        self, callback: Callback, waketime: float = NOW
    ) -> Completion:
        """Call *callback* once at *waketime*. Its return value completes the result."""
        result = self.completion()

        def once(eventtime: float) -> float:
            self.unregister_timer(timer)
            result.complete(callback(eventtime))
            return NEVER

        timer = self.register_timer(once, waketime)
        return result

    def register_async_callback(
        self, callback: Callback, waketime: float = NOW
    ) -> None:
        """Do the same from another thread. Raises TypeError unless the reactor runs."""
        self._ring(lambda: void(self.register_callback(callback, waketime)))

    def _ring(self, call: Callable[[], None]) -> None:
        doorbell = self._doorbell
        if doorbell is None:
            raise TypeError("the reactor does not run")
        self._async_calls.put(call)
        self._push(doorbell[1])

    def _push(self, button: int) -> None:
        # A full pipe already means "wake up".
        with contextlib.suppress(BlockingIOError):
            os.write(button, b"\0")

    def _answer_bell(self, eventtime: float) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._doorbell[0], 4096)  # type: ignore[index]
        with contextlib.suppress(queue.Empty):
            while True:
                self._async_calls.get_nowait()()

    # Pauses

    def pause(self, waketime: float) -> float:
        """Let others run until *waketime*. Returns the time after the pause."""
        self.sleep(waketime, [])
        return self.monotonic()

    def sleep(self, waketime: float, sleepers: list[Timer]) -> None:
        """Pause.

        It is in *sleepers* meanwhile, so that others can end the pause earlier.
        """
        if self._no_pause:
            raise ReactorError("nothing may pause here")
        if self._hub is None:
            self._clock.wait(waketime, lambda seconds: select_readable([], seconds))
            return
        timer = Pause(greenlet.getcurrent().switch, waketime)
        self._timers.append(timer)
        sleepers.append(timer)
        try:
            self._hub.switch(NEVER)
        finally:
            sleepers.remove(timer)
            self.unregister_timer(timer)

    @contextlib.contextmanager
    def assert_no_pause(self) -> Iterator[None]:
        self._no_pause += 1
        try:
            yield
        finally:
            self._no_pause -= 1

    def mutex(self, is_locked: bool = False) -> Mutex:
        return Mutex(self, is_locked)

    # Files

    def register_fd(self, fd: int, read_callback: Callback) -> FileHandler:
        handler = self._files[fd] = FileHandler(fd, read_callback)
        return handler

    def unregister_fd(self, handler: FileHandler) -> None:
        del self._files[handler.fd]

    # Start and end

    def run(self) -> None:
        """Run until `end()`. An exception in a callback is raised from here."""
        if self._doorbell is None:
            self._doorbell = os.pipe()
            for fd in self._doorbell:
                os.set_blocking(fd, False)
            self.register_fd(self._doorbell[0], self._answer_bell)
        self._hub = greenlet.getcurrent()
        self._no_pause = 0
        self._running = True
        try:
            while self._running:
                self._turn()
        finally:
            self._hub = None

    def end(self) -> None:
        """End the loop. A signal handler may call this."""
        self._running = False
        if self._doorbell is not None:
            self._push(self._doorbell[1])

    def finalize(self) -> None:
        """Close all greenlets and files."""
        workers, self._workers = self._workers, []
        self._idle.clear()
        for worker in workers:
            if not worker.dead:
                with contextlib.suppress(Exception):
                    worker.throw()
        if self._doorbell is not None:
            for fd in self._doorbell:
                os.close(fd)
        self._doorbell = None
        self._timers.clear()
        self._files.clear()

    def _turn(self) -> None:
        due = self._soonest()
        readable = self._clock.wait(
            NEVER if due is None else due.waketime, self._listen
        )
        eventtime = self.monotonic()
        for fd in readable:
            handler = self._files.get(fd)
            if handler is not None:
                self._in_worker(lambda h=handler: h.callback(eventtime))  # type: ignore[misc]
        # Otherwise nothing has run that could have changed what is due.
        if readable or due is None or due.waketime > eventtime:
            due = self._soonest()
        if self._running and due is not None and due.waketime <= eventtime:
            self._fire(due, eventtime)

    def _listen(self, seconds: float) -> Files:
        # A test lets hours pass, in which no other thread has called.
        if not seconds and len(self._files) == 1 and self._async_calls.empty():
            return []
        # Not for ever: Klippy wakes up once a second too, and so it notices a signal.
        return select_readable(list(self._files), min(seconds, 1.0))

    def _soonest(self) -> Timer | None:
        return min(self._timers, key=_WAKETIME, default=None)

    def _fire(self, timer: Timer, eventtime: float) -> None:
        timer.waketime = NEVER
        if isinstance(timer, Pause):
            timer.callback(eventtime)
            return

        def call() -> None:
            timer.running = True
            try:
                waketime = timer.callback(eventtime)
            finally:
                timer.running = False
            timer.waketime = waketime

        self._in_worker(call)

    def _in_worker(self, call: Callable[[], Any]) -> None:
        """Run *call* where it may pause. Its exception is raised here, or later.

        A worker runs one call after another, as Klippy's do: to make a greenlet for
        each call takes longer than most calls.
        """
        if self._idle:
            worker = self._idle.pop()
        else:
            worker = greenlet.greenlet(self._work)
            self._workers.append(worker)
        worker.switch(call)

    def _work(self, call: Callable[[], Any]) -> None:
        worker = greenlet.getcurrent()
        while True:
            call()
            self._idle.append(worker)
            call = worker.parent.switch()  # type: ignore[union-attr]


def select_readable(fds: Files, seconds: float) -> Files:
    return select.select(fds, [], [], seconds)[0]


def void(_: object) -> None:
    """Drop a result."""
