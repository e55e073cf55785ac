"""The one thread that reads sockets. Everybody else rings.

Which thread that is may change: it calls a user's method itself, and where that takes
its time another one reads on. So nobody has to be woken for a call that is over at
once, and the sockets do not wait for one that is not.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import logging
import os
import queue
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import zmq
from zmq.backend import zmq_poll
from zmq.utils.monitor import parse_monitor_message

from .wire import Buffer
from .workers import Pool

Call = Callable[[], Any]
Source = zmq.Socket[bytes] | int  # a ZeroMQ socket or a file descriptor
T = TypeVar("T")

_logger = logging.getLogger(__name__)

_READ = int(zmq.POLLIN)
_WRITE = int(zmq.POLLOUT)
_NOBLOCK = int(zmq.NOBLOCK)
_THREADS = 3  # that take turns at reading
_SHORT = 0.001  # seconds that a job may take each time while nobody reads
_LONG = 0.005  # seconds between looks at whether a job takes its time
_DAY = 86400.0  # seconds: the system's poll cannot wait for a month
_PATIENCE = 2.0  # seconds for a thread to end
_UNCOUNTED = 2**26  # bytes that a backlog may not have counted yet, of all its ways
ZERO_COPY = 32 * 1024  # bytes from which sending without a copy pays

# pyzmq's own methods below the ones that look at every argument: a message of seven
# frames costs a fifth of what send_multipart and recv_multipart take for it.
send_frame: Callable[..., Any] = zmq.backend.Socket.send
_receive_frame: Callable[..., zmq.Frame] = zmq.backend.Socket.recv

SNDMORE = int(zmq.SNDMORE)


class Loop:
    """A thread with sockets, timers, and calls from other threads."""

    def __init__(self, name: str = "mktl-client-loop") -> None:
        self.context = zmq.Context()
        self.tenants: dict[type, object] = {}  # what there is once for each loop
        self._ready: dict[Source, Call] = {}
        self._watched: list[tuple[Source, int]] = []
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
        self._name = name
        self._reader: int | None = None  # the thread that has the sockets
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
        self._start_thread()

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
            raise RuntimeError("this is the parent's: a forked process begins anew")
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

    def is_here(self) -> bool:
        """Tell whether this is the loop's thread."""
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
        self._watched.append((source, _READ | _WRITE if writable else _READ))
        self._sleeper.register(descriptor, wakes)

    def unwatch(self, source: Source) -> None:
        ready = self._ready.pop(source, None)
        if ready is None:
            return
        self._watched = [entry for entry in self._watched if entry[0] in self._ready]
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
                event = parse_monitor_message([frame.bytes for frame in frames])
                gone = event["event"] == zmq.EVENT_DISCONNECTED
                self._dispatch(lost if gone else up)

        self._monitors[socket] = monitor
        self.watch(monitor, ready)

    def unfollow(self, socket: zmq.Socket[bytes]) -> None:
        monitor = self._monitors.pop(socket)
        self.unwatch(monitor)
        socket.disable_monitor()
        monitor.close(linger=0)

    def close(self) -> None:
        """End the thread. Sockets that are still open are closed."""
        if self.closing:
            return

        def stop() -> None:
            self.closing = True

        self.call(stop)
        for thread in self._threads:
            thread.join(_PATIENCE)  # a user's method may be stuck in one
        self._alarm.put(None)
        if self._lookout is not None:
            self._lookout.join(_PATIENCE)
        self.context.destroy(linger=0)
        os.close(self._hears)
        os.close(self._bell)

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

    def _turn(self) -> None:
        """Hand out what has come, or else sleep until something may have."""
        try:
            come = zmq_poll(self._watched, 0)
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


class Timer:
    """A call in the future that can be taken back."""

    __slots__ = ("function",)

    def __init__(self, function: Call) -> None:
        self.function: Call | None = function

    def cancel(self) -> None:
        self.function = None


def receive(socket: zmq.Socket[bytes], flags: int = _NOBLOCK) -> list[zmq.Frame] | None:
    """Return the frames of the next message, or None if there is none.

    With no *flags* wait for it as long as the socket's RCVTIMEO allows.
    """
    try:
        frame = _receive_frame(socket, flags, False)
    except zmq.Again:
        return None
    frames = [frame]
    while frame.more:
        frame = _receive_frame(socket, _NOBLOCK, False)
        frames.append(frame)
    return frames


def send(socket: zmq.Socket[bytes], frames: Sequence[Buffer]) -> None:
    """Send the frames of a message; zmq.Again where nobody is there to take it."""
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        flags = _NOBLOCK if index == last else _NOBLOCK | SNDMORE
        send_frame(socket, frame, flags, len(frame) < ZERO_COPY)


class Backlog:
    """Counts the bytes that were sent and have not left yet.

    What goes one way, to the same peers, leaves in order, so frames of one way may be
    counted together when they come to *stride* bytes: to follow each would take longer
    than to send it.
    """

    def __init__(self, limit: int, stride: int = 0) -> None:
        self._limit = limit
        self._stride = stride
        self._sent: deque[tuple[zmq.MessageTracker, int]] = deque()
        self.waiting = 0
        self._uncounted: dict[bytes, int] = {}  # by way
        self._all_uncounted = 0
        self._last: Buffer | None = None

    def has_room(self, size: int) -> bool:
        """Tell whether *size* bytes more may wait; always, if nothing else does."""
        while self._sent and self._sent[0][0].done:
            self.waiting -= self._sent.popleft()[1]
        if not self._sent:
            self._last = None
        return not self._sent or self.waiting + size <= self._limit

    def send(
        self, socket: zmq.Socket[bytes], frame: Buffer, size: int, way: bytes = b""
    ) -> None:
        """Send the last frame of a message that has *size* bytes.

        The socket's `copy_threshold` is 0. The bytes stay the sender's until they
        have left, so those that are sent again and again are there once.
        """
        if frame is self._last and len(frame) >= ZERO_COPY:
            send_frame(socket, frame, 0, False)
            return
        uncounted = self._uncounted.pop(way, 0)
        self._all_uncounted -= uncounted
        uncounted += size
        if uncounted < self._stride and self._all_uncounted + uncounted < _UNCOUNTED:
            self._uncounted[way] = uncounted
            self._all_uncounted += uncounted
            send_frame(socket, frame)
            return
        tracker = send_frame(socket, frame, 0, False, True)
        self._sent.append((tracker, uncounted))
        self.waiting += uncounted
        self._last = frame


def bind(
    socket: zmq.Socket[bytes], host: str, ports: tuple[int, int], avoid: set[int]
) -> tuple[int, str]:
    """Bind to the first free port from the first to the last of *ports*.

    Those in *avoid* come last. Return the port and the address it is bound to.
    ConnectionError: none is free; the socket is closed.
    """
    first, last = ports
    wanted = sorted(range(first, last + 1), key=lambda port: (port in avoid, port))
    for port in wanted:
        try:
            socket.bind(f"tcp://{host}:{port}")
        except zmq.ZMQError as error:
            if error.errno != errno.EADDRINUSE:
                socket.close()
                raise ConnectionError(
                    f"unable to bind to {host}:{port}: {error}"
                ) from error
            continue
        endpoint = bytes(socket.get(zmq.LAST_ENDPOINT)).decode().rstrip("\0")
        return port, endpoint.removeprefix("tcp://").rpartition(":")[0]
    socket.close()
    raise ConnectionError(f"no port from {first} to {last} is free on {host}")


def stay_alive(socket: zmq.Socket[bytes]) -> None:
    """Notice a peer that is gone without a word, and try to come back, for ever."""
    socket.set(zmq.HEARTBEAT_IVL, 5000)
    socket.set(zmq.HEARTBEAT_TIMEOUT, 15000)
    socket.set(zmq.RECONNECT_IVL, 100)
    socket.set(zmq.RECONNECT_IVL_MAX, 400)


_shared: Loop | None = None
_shared_lock = threading.Lock()


def shared() -> Loop:
    """Return the process's loop; the first call starts it."""
    global _shared  # noqa: PLW0603 - one process has one loop
    with _shared_lock:
        if _shared is None or _shared.closing:
            _shared = Loop()
        return _shared


def defer(pool: Pool, lane: Hashable, job: Call) -> None:
    """Run *job* in the turn of its lane, by whoever can do it first."""
    if _shared is None:
        pool.submit(lane, job)
    else:
        _shared.defer(pool, lane, job)


def close() -> None:
    """End the process's loop, if there is one. The next `shared` starts another."""
    global _shared
    with _shared_lock:
        loop, _shared = _shared, None
    if loop is not None:
        loop.close()


def _forked() -> None:
    # The child has the memory, not the thread; ZeroMQ's sockets are not the child's.
    global _shared, _shared_lock
    if _shared is not None:
        _shared.closing = _shared.is_anothers = True
    _shared, _shared_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forked)


def _is_open(source: Source) -> bool:
    return isinstance(source, int) or not source.closed
