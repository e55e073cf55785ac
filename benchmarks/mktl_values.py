"""Published values: a burst, and arrays."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import zmq

from benchmarks.mktl_peers import REFERENCE, STORE, Peer, peer
from benchmarks.mktl_requests import drain
from benchmarks.table import Row, at_least

_ROUNDS = 5
_BURST = 50_000


def run() -> Iterator[Row]:
    with ExitStack() as stack:
        kinds = ["floor", "ours", *(["reference"] if REFERENCE else [])]
        peers = {kind: stack.enter_context(peer(kind)) for kind in kinds}
        yield from _bursts(peers)
        yield from _arrays(peers)


def _bursts(peers: dict[str, Peer]) -> Iterator[Row]:
    found = _by_turns(peers, _burst)
    floor = found["floor"]
    for name, rate in found.items():
        if name == "ours":
            measure = "publish, values per second in a burst, all delivered"
            yield at_least(measure, f"{rate:.0f}/s", rate / floor, 0.7)
        elif name != "floor":
            yield Row(f"publish, burst ({name})", f"{rate:.0f}/s", rate / floor)


def _burst(each: Peer) -> float:
    with zmq.Context() as context, _subscribed(context, each, "number") as socket:
        teller = threading.Thread(target=each.tell, args=(f"burst number {_BURST}",))
        started = time.perf_counter()
        teller.start()
        missing = _BURST
        while missing and socket.poll(3000):
            missing -= drain(socket, 1, None)
        ended = time.perf_counter()
        teller.join()
    if missing:
        raise RuntimeError(f"{missing} values were not delivered")
    return _BURST / (ended - started)


def _arrays(peers: dict[str, Peer]) -> Iterator[Row]:
    for size, count in ((1_000_000, 200), (32_000_000, 12)):
        found = _by_turns(peers, lambda each: _array(each, size, count))  # noqa: B023
        rate, floor = found["ours"], found["floor"]
        measure = f"publish arrays of {size // 1_000_000} MB"
        yield at_least(measure, f"{rate / 1e6:.0f} MB/s", rate / floor, 0.85)
        for each in peers.values():
            each.tell(f"array large {size}")
        found = _by_turns(peers, lambda each: _read(each, size, count))  # noqa: B023
        rate, floor = found["ours"], found["floor"]
        measure = f"GET arrays of {size // 1_000_000} MB"
        yield at_least(measure, f"{rate / 1e6:.0f} MB/s", rate / floor, 0.85)


def _array(each: Peer, size: int, count: int) -> float:
    with zmq.Context() as context, _subscribed(context, each, "small") as socket:
        teller = threading.Thread(
            target=each.tell, args=(f"arrays small {count} {size}",)
        )
        started = time.perf_counter()
        teller.start()
        missing = count
        while missing and socket.poll(5000):
            socket.recv_multipart(copy=False)
            missing -= 1
        ended = time.perf_counter()
        teller.join()
    if missing:
        raise RuntimeError(f"{missing} arrays were not delivered")
    return size * count / (ended - started)


def _read(each: Peer, size: int, count: int) -> float:
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
    # Nobody is told that a subscription has arrived, so try until a value does.
    while not socket.poll(20):
        each.tell(f"{'arrays' if key == 'small' else 'burst'} {key} 1 8")
    while socket.poll(200):
        socket.recv_multipart()
    return socket


def _by_turns(
    peers: dict[str, Peer], measure: Callable[[Peer], float]
) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(_ROUNDS):
        for name, each in peers.items():
            found[name].append(measure(each))
    return {name: statistics.median(rates) for name, rates in found.items()}
