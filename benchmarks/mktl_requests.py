"""GET and SET, one at a time and many in flight, by a raw client and by our client."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import zmq

from benchmarks.mktl_peers import KINDS, STORE, Peer, environment, peer
from benchmarks.table import Row, at_least, at_most

_ROUNDS = 5
_SEQUENTIAL = 2000
_TURNS, _TURN = 60, 200  # turns of our client and its floors, and requests in a turn
_PIPELINED = 20_000

_more = int(zmq.SNDMORE)
_send: Callable[..., Any] = zmq.backend.Socket.send
_receive: Callable[..., Any] = zmq.backend.Socket.recv


class Pace(NamedTuple):
    rate: float  # requests per second
    worst: float  # the 99th percentile, in seconds
    lost: int = 0


def run() -> Iterator[Row]:
    with ExitStack() as stack:
        peers = {kind: stack.enter_context(peer(kind)) for kind in KINDS}
        yield from _one_at_a_time(peers)
        yield from _own_client(peers)
        yield from _in_flight(peers)


def _one_at_a_time(peers: dict[str, Peer]) -> Iterator[Row]:
    for kind, key, measure, goal in (
        (b"GET", "number", "sequential GET, raw client", 0.9),
        (b"SET", "number", "sequential SET, raw client", 0.9),
        (b"SET", "worked", "sequential SET with a user's perform_set", 0.0),
    ):
        results = _compared(peers, lambda each: sequential(each.rep, kind, key))  # noqa: B023
        yield from _rows(measure, results, goal)
        if kind == b"GET":
            worst = results["ours"].worst / results["floor"].worst
            yield at_most(
                f"{measure}, p99", f"{_us(results['ours'].worst)}", worst, 1.3
            )


def _own_client(peers: dict[str, Peer]) -> Iterator[Row]:
    """Measure our client beside the floors. All take short turns in one process.

    A SET of our client causes a publication, which a thread of this process reads
    meanwhile. One of the floors does that too, and the others do not: they do less than
    the protocol demands of a client that has read the value.
    """
    with (
        tempfile.TemporaryDirectory() as home,
        peer("floor", "publishes") as publishing,
        zmq.Context() as context,
    ):
        item = _item(home, peers["ours"].rep)
        values = iter(range(10**9))
        rep = peers["floor"].rep
        with ExitStack() as stack:
            asking = [
                stack.enter_context(_asking(context, *each))
                for each in ((rep, b"GET"), (rep, b"SET"), (publishing.rep, b"SET"))
            ]
            stack.enter_context(_heard(context, publishing.pub))
            acts = dict(
                zip(("GET", "SET", "SET that is published"), asking, strict=True)
            )
            acts["our GET"] = lambda: item.get(refresh=True)
            acts["our SET"] = lambda: item.set(next(values))
            paces: dict[str, list[Pace]] = {name: [] for name in acts}
            for _ in range(_TURNS):
                for name, act in acts.items():
                    paces[name].append(_paced(act, _TURN))
    yield from _own_rows("GET", paces["our GET"], {"": paces["GET"]})
    floors = {"": paces["SET"], " (published)": paces["SET that is published"]}
    yield from _own_rows("SET", paces["our SET"], floors)


def _own_rows(
    kind: str, ours: list[Pace], floors: dict[str, list[Pace]]
) -> Iterator[Row]:
    rate = statistics.median(pace.rate for pace in ours)
    worst = _undisturbed(ours)
    for name, paces in floors.items():
        measure = f"sequential {kind}, own client{name}"
        floor = statistics.median(pace.rate for pace in paces)
        yield at_least(measure, f"{rate:.0f}/s", rate / floor, 0.75)
        ratio = worst / _undisturbed(paces)
        yield at_most(f"{measure}, p99", _us(worst), ratio, 1.2)


def _undisturbed(paces: list[Pace]) -> float:
    """Return the 99th percentile that a quarter of the turns do not exceed.

    In the other turns, the machine may have had other work.
    """
    return statistics.quantiles((pace.worst for pace in paces), n=4)[0]


def _item(home: str, port: int) -> Any:
    """Return the item of our daemon at *port*, for a client that has just started."""
    os.environ.update(environment(home))
    import mktl_daemon as mktl  # noqa: PLC0415 - after the environment
    from mktl_daemon.net import dealer  # noqa: PLC0415

    mktl.home(home)
    client = dealer.client("127.0.0.1", port)
    for block in client.get(f"{STORE}._catalog").values():
        mktl.config.known(STORE).update(block)
    return mktl.get(STORE, "number")


@contextmanager
def _heard(context: zmq.Context[zmq.Socket[bytes]], port: int) -> Iterator[None]:
    """Let a thread read the publications, as a script with plain pyzmq does."""
    over = threading.Event()

    def read() -> None:
        with context.socket(zmq.SUB) as socket:
            socket.connect(f"tcp://127.0.0.1:{port}")
            socket.subscribe(f"{STORE}.number.".encode())
            while not over.is_set():
                if socket.poll(100):
                    socket.recv_multipart()

    with ThreadPoolExecutor(1) as reading:
        reading.submit(read)
        yield
        over.set()


def _in_flight(peers: dict[str, Peer]) -> Iterator[Row]:
    for kind, clients, window, goal in (
        (b"GET", 1, 64, 0.9),
        (b"GET", 4, 64, 0.9),
        (b"GET", 4, 1000, 0.9),
        (b"SET", 1, 64, 0.7),
        (b"SET", 1, 1000, 0.7),
    ):
        measure = f"pipelined {kind.decode()}, {clients} x {window} in flight"
        cost: dict[str, list[float]] = {each: [] for each in peers}

        def measured(each: Peer, name: str) -> Pace:
            before = each.cpu()
            pace = pipelined(each.rep, kind, clients, window)  # noqa: B023
            done = max(1, _PIPELINED - pace.lost)
            cost[name].append((each.cpu() - before) / done)  # noqa: B023
            return pace

        usable = (
            peers
            if window < 1000
            else {name: each for name, each in peers.items() if name != "reference"}
        )
        results = _compared(usable, measured)
        yield from _rows(measure, results, goal)
        lost = results["ours"].lost
        yield Row(f"{measure}, lost", str(lost), None, "0", lost == 0)
        if kind == b"GET" and window == 64:
            ours, floor = (statistics.median(cost[name]) for name in ("ours", "floor"))
            yield at_most(f"daemon's CPU per {measure}", _us(ours), ours / floor, 1.2)


def _compared(peers: dict[str, Peer], measure: Callable[..., Pace]) -> dict[str, Pace]:
    """Measure all peers by turns, so that a disturbance affects all of them."""
    paces: dict[str, list[Pace]] = {name: [] for name in peers}
    named = measure.__code__.co_argcount == 2
    for _ in range(_ROUNDS):
        for name, each in peers.items():
            paces[name].append(measure(each, name) if named else measure(each))
    return {
        name: Pace(
            statistics.median(pace.rate for pace in results),
            statistics.median(pace.worst for pace in results),
            sum(pace.lost for pace in results),
        )
        for name, results in paces.items()
    }


def _rows(measure: str, results: dict[str, Pace], goal: float) -> Iterator[Row]:
    floor = results["floor"].rate
    for name, pace in results.items():
        rate = f"{pace.rate:.0f}/s"
        if name == "ours" and goal:
            yield at_least(measure, rate, pace.rate / floor, goal)
        elif name != "floor":
            label = measure if name == "ours" else f"{measure} ({name})"
            yield Row(label, rate, pace.rate / floor)


def sequential(port: int, kind: bytes, key: str) -> Pace:
    with zmq.Context() as context, _asking(context, port, kind, key) as act:
        return _paced(act, _SEQUENTIAL)


@contextmanager
def _asking(
    context: zmq.Context[zmq.Socket[bytes]],
    port: int,
    kind: bytes,
    key: str = "number",
) -> Iterator[Callable[[], None]]:
    """Send one request after the other, as a script with plain pyzmq does."""
    target = f"{STORE}.{key}".encode()
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(f"tcp://127.0.0.1:{port}")
        numbers = iter(range(10**9))

        def act() -> None:
            number = next(numbers)
            payload = b'{"value":%d}' % number if kind == b"SET" else b""
            ident = b"%08x" % number
            socket.send_multipart([b"a", ident, kind, target, b"", payload])
            while socket.recv_multipart()[2] != b"REP":
                pass

        yield act


def _paced(act: Callable[[], Any], count: int) -> Pace:
    for _ in range(50):
        act()
    times = []
    started = before = time.perf_counter()
    for _ in range(count):
        act()
        now = time.perf_counter()
        times.append(now - before)
        before = now
    times.sort()
    return Pace(count / (before - started), times[len(times) * 99 // 100])


def pipelined(port: int, kind: bytes, clients: int, window: int) -> Pace:
    """Keep *window* requests of each of *clients* processes in flight."""
    each = _PIPELINED // clients
    with multiprocessing.Pool(clients) as pool:
        spans = pool.starmap(
            _pipeline, [(port, kind, window, each, n) for n in range(clients)]
        )
    started = min(start for start, _, _ in spans)
    ended = max(end for _, end, _ in spans)
    lost = sum(missing for _, _, missing in spans)
    return Pace(_PIPELINED / (ended - started), 0.0, lost)


def _pipeline(
    port: int, kind: bytes, window: int, count: int, number: int
) -> tuple[float, float, int]:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.set_hwm(0)
    socket.connect(f"tcp://127.0.0.1:{port}")
    key = "number" if kind == b"GET" else f"lane{number}"
    target = f"{STORE}.{key}".encode()
    sent = answered = 0
    started = time.perf_counter()
    while answered < count:
        while sent < count and sent - answered < window:
            payload = b'{"value":%d}' % sent if kind == b"SET" else b""
            for frame in (b"a", b"%08x" % sent, kind, target, b""):
                _send(socket, frame, _more)
            _send(socket, payload)
            sent += 1
        if not socket.poll(3000):
            break
        answered += drain(socket, 2, b"REP")
    ended = time.perf_counter()
    context.destroy(linger=0)
    return started, ended, count - answered


def drain(socket: zmq.Socket[bytes], index: int, wanted: bytes | None) -> int:
    """Read the waiting messages; count those with *wanted* at *index* (None: all)."""
    count = 0
    while True:
        try:
            frame = _receive(socket, 1, False)
        except zmq.Again:
            return count
        frames = [frame]
        while frame.more:
            frame = _receive(socket, 1, False)
            frames.append(frame)
        count += wanted is None or frames[index].bytes == wanted


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"
