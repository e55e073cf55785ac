"""The one thread that reads sockets. Everybody else rings.

Which thread that is may change: it calls a user's method itself, and where that takes
its time another one reads on. So nobody has to be woken for a call that is over at
once, and the sockets do not wait for one that is not.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import zmq
from zmq.backend import zmq_poll

from mktl_daemon import process

from .frames import receive
from .handover import Handover
from .workers import Pool

Call = Callable[[], Any]
Source = zmq.Socket[bytes] | int  # a ZeroMQ socket or a file descriptor
T = TypeVar("T")

_logger = logging.getLogger(__name__)

# What a monitor's first frame begins with. pyzmq's own function for it imports asyncio,
# which takes a program of ours as long as a fifth of its start.
_EVENT = struct.Struct("=H")
_READ = int(zmq.POLLIN)
_WRITE = int(zmq.POLLOUT)
_DESCRIPTORS = 2**16  # that a process may want to have open
_DAY = 86400.0  # seconds: the system's poll cannot wait for a month


class Loop:
    """A thread with sockets, timers, and calls from other threads."""

    def __init__(self, name: str = "mktl-client-loop") -> None:
        self.context = _context()
        self.tenants: dict[type, object] = {}  # what there is once for each loop
        self._ready: dict[Source, Call] = {}
        self.watched: list[tuple[Source, int]] = []
        self._sleeper = select.poll()
        self._descriptors: dict[Source, int] = {}  # that wake us
        self._waking: dict[int, Call] = {}
        self._monitors: dict[zmq.Socket[bytes], zmq.Socket[bytes]] = {}
        self._calls: deque[Call] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self.closing = False
        self.is_anothers = False  # this process was forked, and has not its thread
        self._rung = False
        self._hears, self._bell = os.pipe()
        os.set_blocking(self._hears, False)
        os.set_blocking(self._bell, False)
        self.watch(self._hears, self._answer_bell)
        self._handover = Handover(self._turn, name)
        self.is_here = self._handover.is_here
        self.defer = self._handover.defer
        self.step_aside = self._handover.step_aside
        self._handover.start()

    @property
    def deferred(self) -> list[Any]:
        """Jobs that wait for this turn to end."""
        return self._handover.deferred

    def call(self, function: Call) -> None:
        """Run *function* on the loop's thread, soon. Safe from any thread."""
        self._calls.append(function)
        self.step_aside()
        # A bell that was rung and not yet heard is as good as two.
        if not self._rung:
            self._rung = True
            with contextlib.suppress(BlockingIOError):
                os.write(self._bell, b"\0")

    def run(self, function: Callable[[], T]) -> T:
        """Run *function* on the loop's thread and return what it returns.

        RuntimeError: that thread is in the process that this one was forked from.
        """
        if self.is_here():
            return function()
        if self.is_anothers:
            raise RuntimeError(
                "this object belongs to the parent: make a new one in a forked process"
            )
        outcome: list[T] = []
        failure: list[BaseException] = []
        done = threading.Event()

        def report() -> None:
            try:
                outcome.append(function())
            except BaseException as error:  # noqa: BLE001 - it is raised again below
                failure.append(error)
            done.set()

        self.call(report)
        done.wait()
        if failure:
            raise failure[0]
        return outcome[0]

    def later(self, delay: float, function: Call) -> Timer:
        """Run *function* on the loop's thread in *delay* seconds."""
        timer = Timer(function)
        entry = (time.monotonic() + delay, next(self._order), timer)
        if self.is_here():
            heapq.heappush(self._timers, entry)
        else:
            self.call(lambda: heapq.heappush(self._timers, entry))
        return timer

    # On the loop's thread only (or before anybody knows the source).

    def watch(self, source: Source, ready: Call, writable: bool = False) -> None:
        """Call *ready* whenever *source* can be read (*writable*: or written)."""
        self.unwatch(source)
        descriptor = source if isinstance(source, int) else int(source.get(zmq.FD))
        wakes = select.POLLIN  # for a ZeroMQ socket, whatever has happened to it
        if writable and descriptor is source:
            wakes |= select.POLLOUT
        self._ready[source] = self._waking[descriptor] = ready
        self._descriptors[source] = descriptor
        self.watched.append((source, _READ | _WRITE if writable else _READ))
        self._sleeper.register(descriptor, wakes)

    def unwatch(self, source: Source) -> None:
        ready = self._ready.pop(source, None)
        if ready is None:
            return
        self.watched = [entry for entry in self.watched if entry[0] in self._ready]
        descriptor = self._descriptors.pop(source)
        if self._waking.get(descriptor) is ready:  # else it is another socket's by now
            del self._waking[descriptor]
            self._sleeper.unregister(descriptor)

    def follow(
        self,
        socket: zmq.Socket[bytes],
        lost: Call | None = None,
        up: Call | None = None,
    ) -> None:
        """Call *lost* when a connection of *socket* ends and *up* when one is made."""
        events = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
        monitor = socket.get_monitor_socket(events)

        def ready() -> None:
            while (frames := receive(monitor)) is not None:
                (number,) = _EVENT.unpack_from(frames[0].bytes)
                self._dispatch(lost if number == zmq.EVENT_DISCONNECTED else up)

        self._monitors[socket] = monitor
        self.watch(monitor, ready)

    def unfollow(self, socket: zmq.Socket[bytes]) -> None:
        monitor = self._monitors.pop(socket)
        self.unwatch(monitor)
        socket.disable_monitor()
        monitor.close(linger=0)

    def forked(self) -> None:
        """Be the parent's: a child has the memory, and neither thread nor sockets."""
        self.closing = self.is_anothers = True

    def close(self) -> None:
        """End the thread. Sockets that are still open are closed."""
        if self.closing:
            return

        def stop() -> None:
            self.closing = self._handover.closing = True

        self.call(stop)
        self._handover.join()
        self.context.destroy(linger=0)
        os.close(self._hears)
        os.close(self._bell)

    def _turn(self) -> None:
        """Hand out what has come, or else sleep until something may have."""
        try:
            come = zmq_poll(self.watched, 0)
        except zmq.ZMQError:
            _logger.exception("a socket was closed without being unwatched")
            for source in [each for each in self._ready if not _is_open(each)]:
                self.unwatch(source)
            return
        for source, _ in come:
            self._dispatch(self._ready.get(source))
        if not come:
            # Nobody touched a socket since that look, so each has something to tell
            # when its descriptor wakes us, and the others need not be asked.
            for descriptor, _ in self._sleeper.poll(self._patience()):
                self._dispatch(self._waking.get(descriptor))
        self._ring_timers()

    def _patience(self) -> int:
        """Return for how many milliseconds to sleep at most; -1: there is no timer."""
        if not self._timers:
            return -1
        delay = self._timers[0][0] - time.monotonic()
        return int(min(max(0.0, delay), _DAY) * 1000 + 0.999)

    def _ring_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            self._dispatch(heapq.heappop(self._timers)[2].function)

    def _answer_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._hears, 4096)
        # From here on a call rings again, so none is forgotten. What comes while
        # these are carried out waits for the next turn: sockets are not starved.
        self._rung = False
        for _ in range(len(self._calls)):
            self._dispatch(self._calls.popleft())

    def _dispatch(self, function: Call | None) -> None:
        if function is None:
            return
        try:
            function()
        except BaseException:
            _logger.exception("the loop dropped %r", function)


def _context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return a context for as many sockets as the system lets this process have."""
    _raise_limit()
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))
    return context


def _raise_limit() -> None:
    """Take as many descriptors as may be taken: each connection needs some."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Timer:
    """A call in the future that can be taken back."""

    __slots__ = ("function",)

    def __init__(self, function: Call) -> None:
        self.function: Call | None = function

    def cancel(self) -> None:
        self.function = None


def _leave(loop: Loop) -> None:
    """Leave the loop to the parent; a child makes its own."""
    loop.forked()


_shared = process.Once(Loop, _leave, lambda loop: not loop.closing)


def shared() -> Loop:
    """Return the process's loop; the first call starts it."""
    return _shared.get()


def defer(pool: Pool, lane: Hashable, job: Call) -> None:
    """Run *job* in the turn of its lane, by whoever can do it first."""
    loop = _shared.peek()
    if loop is None:
        pool.submit(lane, job)
    else:
        loop.defer(pool, lane, job)


def close() -> None:
    """End the process's loop, if there is one. The next `shared` starts another."""
    loop = _shared.take()
    if loop is not None:
        loop.close()


def _is_open(source: Source) -> bool:
    return isinstance(source, int) or not source.closed
