"""One process publishes a value, and another process calls a callback, at 1 kHz.

The floor does the same with a PUB and a SUB. All processes run all the time and take
short turns, so that a disturbance affects all of them. They are also started again some
times, since a process may be faster by chance, for example by its place in memory.

A benchmark that runs one process after the other gets ratios from 1.2 to 1.7 for the
same code, because the machine has changed meanwhile. A median says nothing about late
values, so the 99th percentile of each turn is measured too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import zmq

from benchmarks.mktl_peers import KINDS, STORE, Peer, environment, package, peer
from benchmarks.table import Row, at_most

_STARTS = 5
_TURNS = 10
_VALUES = 200  # values in a turn


def run() -> Iterator[Row]:
    turns_of: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for _ in range(_STARTS):
        with ExitStack() as stack:
            turns = {kind: stack.enter_context(_subscribed(kind)) for kind in KINDS}
            for _ in range(_TURNS):
                for kind, turn in turns.items():
                    turns_of[kind].append(turn())
    for index, name, goal in ((0, "p50", 1.2), (1, "p99", 1.5)):
        delays = {
            kind: statistics.median(turn[index] for turn in turns)
            for kind, turns in turns_of.items()
        }
        floor = delays.pop("floor")
        measure = f"publish to a subscriber's callback at 1 kHz, {name}"
        for kind, delay in delays.items():
            text = f"{delay * 1e6:.0f} us"
            if kind == "ours":
                yield at_most(measure, text, delay / floor, goal)
            else:
                yield Row(f"{measure} ({kind})", text, delay / floor)


@contextmanager
def _subscribed(kind: str) -> Iterator[Callable[[], tuple[float, float]]]:
    """Run both ends; yield a function that takes a turn and returns p50 and p99 (s)."""
    with peer(kind) as publisher, _subscriber(kind, publisher) as subscriber:
        output = subscriber.stdout
        assert output is not None
        output.readline()

        def turn() -> tuple[float, float]:
            publisher.tell(f"clock number {_VALUES}")
            middle, late = map(float, output.readline().split())
            return middle, late

        yield turn


@contextmanager
def _subscriber(kind: str, publisher: Peer) -> Iterator[subprocess.Popen[str]]:
    module = "benchmarks.mktl_callback"
    ports = [str(publisher.rep), str(publisher.pub)]
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            [sys.executable, "-m", module, kind, *ports],
            env={**os.environ, **environment(home)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _subscribe(kind: str, rep: int, pub: int) -> None:
    """Print for each turn how long its values took: the median, the 99th percentile."""
    delays: list[float] = []

    def called(_item: Any, value: float, _time: float) -> None:
        now = time.monotonic()
        if not 0 < now - value < 1:
            return  # this is the value from before the first turn
        delays.append(now - value)
        if len(delays) == _VALUES:
            late = sorted(delays)[_VALUES * 99 // 100]
            print(statistics.median(delays), late, flush=True)
            delays.clear()

    if kind == "floor":
        socket = zmq.Context().socket(zmq.SUB)
        socket.connect(f"tcp://127.0.0.1:{pub}")
        socket.subscribe(f"{STORE}.number.".encode())
    else:
        _register(package(kind), rep, called)
    time.sleep(1.5)  # ZeroMQ does not report that a subscription has arrived
    print("ready", flush=True)
    while kind == "floor":
        text = socket.recv_multipart()[2]
        called(None, float(text.split(b",")[0].split(b":")[1]), 0.0)
    threading.Event().wait()


def _register(mktl: Any, rep: int, callback: Callable[..., None]) -> None:
    from mktl_daemon.net import dealer  # noqa: PLC0415

    for block in dealer.client("127.0.0.1", rep).get(f"{STORE}._catalog").values():
        mktl.meta.catalog(STORE).update(block)
    mktl.get(STORE, "number").register(callback)


if __name__ == "__main__":
    _subscribe(sys.argv[1], *map(int, sys.argv[2:]))
