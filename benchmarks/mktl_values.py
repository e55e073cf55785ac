"""Published values: a burst, arrays, and a million values to ten subscribers.

An array is measured against two floors. By default an array is copied, because its
owner may change it later; that floor also makes one copy. An array that is given away
is sent without a copy, and so does its floor (``copy=False``, and no tracker). With 32
MB, a copied array has a quarter of the second floor's speed, which only measures the
copy.

The reference (its head of August 2026) may hang in a burst: several threads use the
same ZeroMQ socket, which is not allowed, and one of them waits for ever. It is then
left out of that measure, and the row says so.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import zmq

from benchmarks.mktl_peers import KINDS, STORE, Peer, StuckError, peer
from benchmarks.mktl_requests import drain
from benchmarks.table import Row, at_least, at_most

# The peers take turns, so that a disturbance affects all of them. A process may be
# faster by chance, for example by its place in memory, so all are started several
# times.
_STARTS = 5
_ROUNDS = 3
_BURST = 50_000
_MILLION, _BURSTS = 1_000_000, 100
_ARRAYS = ((1_000_000, 200), (32_000_000, 12))  # bytes of an array, and how many arrays


def run() -> Iterator[Row]:
    every: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    hung: set[tuple[str, str]] = set()  # each measure with a peer that did not end it
    for _ in range(_STARTS):
        with ExitStack() as stack:
            peers = {kind: stack.enter_context(peer(kind)) for kind in KINDS}
            for measure, act in _measures(peers):
                _take_turns(stack, peers, measure, act, every[measure], hung)
    for measure, rates in every.items():
        yield from _rows(measure, rates)
        for _, name in {each for each in hung if each[0] == measure}:
            yield Row(f"{measure} ({name})", "hangs")
    with peer("ours") as each:
        yield _million(each)


def _take_turns(
    stack: ExitStack,
    peers: dict[str, Peer],
    measure: str,
    act: Callable[[Peer], float],
    rates: dict[str, list[float]],
    hung: set[tuple[str, str]],
) -> None:
    """Add to the *rates* of all *peers*. A peer that hangs is started again."""
    for _ in range(_ROUNDS):
        for name, each in list(peers.items()):
            if (measure, name) in hung:
                continue
            try:
                rates[name].append(act(each))
            except StuckError:
                if name != "reference":
                    raise
                hung.add((measure, name))
                rates.pop(name)
                peers[name] = stack.enter_context(peer(name))


def _measures(
    peers: dict[str, Peer],
) -> Iterator[tuple[str, Callable[[Peer], float]]]:
    yield "publish, values per second in a burst, all delivered", _burst
    for size, count in _ARRAYS:
        named = f"arrays of {size // 1_000_000} MB"
        yield f"publish {named}", partial(_array, size=size, count=count, act="arrays")
        given = f"publish {named} that are given away"
        yield given, partial(_array, size=size, count=count, act="given")
        for each in peers.values():
            each.tell(f"array large {size}")
        yield f"GET {named}", partial(_read, size=size, count=count)


def _rows(measure: str, rates: dict[str, list[float]]) -> Iterator[Row]:
    floor = statistics.median(rates.pop("floor"))
    for name, each in rates.items():
        rate = statistics.median(each)
        text = f"{rate / 1e6:.0f} MB/s" if "MB" in measure else f"{rate:.0f}/s"
        if name == "ours":
            goal = 0.85 if "MB" in measure else 0.7
            yield at_least(measure, text, rate / floor, goal)
        else:
            yield Row(f"{measure} ({name})", text, rate / floor)


def _burst(each: Peer) -> float:
    with zmq.Context() as context, _subscribed(context, each, "number") as socket:
        started = time.perf_counter()
        with _telling(each, f"burst number {_BURST}"):
            missing = _BURST
            while missing and socket.poll(3000):
                missing -= drain(socket, 1, None)
            ended = time.perf_counter()
    if missing:
        raise RuntimeError(f"{missing} values were not delivered")
    return _BURST / (ended - started)


def _array(each: Peer, size: int, count: int, act: str) -> float:
    """Return bytes per second."""
    with zmq.Context() as context, _subscribed(context, each, "small") as socket:
        started = time.perf_counter()
        with _telling(each, f"{act} small {count} {size}"):
            missing = count
            while missing and socket.poll(5000):
                socket.recv_multipart(copy=False)
                missing -= 1
            ended = time.perf_counter()
    if missing:
        raise RuntimeError(f"{missing} arrays were not delivered")
    return size * count / (ended - started)


@contextmanager
def _telling(each: Peer, line: str) -> Iterator[None]:
    """Let the peer carry out *line* meanwhile. StuckError: it does not finish it."""
    with ThreadPoolExecutor(1) as telling:
        done = telling.submit(each.tell, line)
        yield
        done.result()


def _million(each: Peer) -> Row:
    """Publish a million values to ten subscribers that read them."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        readers = [
            stack.enter_context(_subscribed(context, each, "number")) for _ in range(10)
        ]
        for reader in readers:  # earlier ones also got the trial values of later ones
            while reader.poll(200):
                drain(reader, 1, None)
        for burst in range(_BURSTS):
            each.tell(f"burst number {_MILLION // _BURSTS}")
            for reader in readers:
                missing = _MILLION // _BURSTS
                while missing and reader.poll(20_000):
                    missing -= drain(reader, 1, None)
                if missing:
                    raise RuntimeError(f"{missing} values were not delivered")
            if burst == _BURSTS // 10:
                before = each.megabytes()
        after = each.megabytes()
    text = f"{before:.0f} MB, then {after:.0f} MB"
    return at_most(
        "a million values to 10 subscribers, memory", text, after / before, 1.1
    )


def _read(each: Peer, size: int, count: int) -> float:
    """Return bytes per second."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(f"tcp://127.0.0.1:{each.rep}")
        started = time.perf_counter()
        for number in range(count):
            target = f"{STORE}.large".encode()
            socket.send_multipart([b"a", b"%08x" % number, b"GET", target, b"", b""])
            while len(frames := socket.recv_multipart(copy=False)) < 7:
                pass
            if len(frames[6]) != size:
                raise RuntimeError("the array is not whole")
        return size * count / (time.perf_counter() - started)


def _subscribed(
    context: zmq.Context[zmq.Socket[bytes]], each: Peer, key: str
) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.SUB)
    socket.set_hwm(0)
    socket.linger = 0
    socket.connect(f"tcp://127.0.0.1:{each.pub}")
    socket.subscribe(f"{STORE}.{key}.".encode())
    # ZeroMQ does not report that a subscription has arrived, so try with values.
    while not socket.poll(20):
        each.tell(f"{'arrays' if key == 'small' else 'burst'} {key} 1 8")
    while socket.poll(200):
        socket.recv_multipart()
    return socket
