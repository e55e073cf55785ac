"""The peers of the mKTL benchmarks, each a process: the floor, ours, the reference.

The floor is bare pyzmq: a ROUTER that answers each request with the same ACK and the
same REP, and a PUB. With ``publishes`` it also publishes the value of each SET, as a
daemon does.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zmq

STORE = "bench"
ITEMS = {
    "number": {"type": "numeric", "initial": 1.5},
    "worked": {"type": "numeric", "initial": 1.5},
    "small": {"type": "bulk"},
    "large": {"type": "bulk"},
} | {f"lane{number}": {"type": "numeric"} for number in range(16)}

REFERENCE = os.environ.get("MKTL_REFERENCE")
KINDS = ("floor", "ours", "reference") if REFERENCE else ("floor", "ours")


_PATIENCE = 60.0  # seconds in which a peer must carry out a line


class StuckError(RuntimeError):
    """A peer does not finish what a line asked for."""


class Peer(NamedTuple):
    rep: int
    pub: int
    process: subprocess.Popen[str]

    def cpu(self) -> float:
        """Return the seconds of processor time that all its threads have used."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    def tell(self, line: str) -> str:
        """Let the peer carry out *line*, and return its report.

        StuckError: there is no report within a minute.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], _PATIENCE)
        if not ready:
            raise StuckError(f"{line!r} is not over after {_PATIENCE:.0f} s")
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def peer(kind: str, *arguments: str) -> Iterator[Peer]:
    """Run a peer: ``floor``, ``ours`` or ``reference``."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.mktl_peers", kind, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment(home)},
        )
        try:
            assert process.stdout is not None
            rep, pub = process.stdout.readline().split()
            yield Peer(int(rep), int(pub), process)
        finally:
            process.kill()
            process.wait()
            process.stdin and process.stdin.close()
            process.stdout and process.stdout.close()


def environment(home: str) -> dict[str, str]:
    """Return an environment in which a process neither calls nor finds a registry."""
    return {
        "MKTL_HOME": home,
        "MKTL_INTERFACE": "127.0.0.1",
        "MKTL_DISCOVERY": "29103,29111",
    }


def package(kind: str) -> Any:
    """Import ``ours`` or the ``reference``."""
    if kind == "ours":
        return importlib.import_module("mktl_daemon")
    sys.path.append(str(Path(REFERENCE or "", "src")))
    return importlib.import_module("mktl")


def main() -> None:
    kind, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if kind == "floor":
        _floor(*arguments)
    else:
        _daemon(kind, *arguments)


def _floor(act: str = "") -> None:
    context = zmq.Context()
    router, pub = context.socket(zmq.ROUTER), context.socket(zmq.PUB)
    router.set_hwm(0)
    pub.set_hwm(0)
    rep = router.bind_to_random_port("tcp://127.0.0.1")
    print(rep, pub.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    payload = b'{"value":1.5,"time":1791000000.123}'
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    poller.register(sys.stdin, zmq.POLLIN)
    bulk: dict[bytes, bytes] = {}
    while True:
        for source, _ in poller.poll():
            if source is not router:
                _publish(pub, sys.stdin.readline().split(), bulk)
                continue
            routing, _, ident, kind, target, _, *sent = router.recv_multipart()
            router.send_multipart([routing, b"a", ident, b"ACK", b"", b"", b""])
            answer = [routing, b"a", ident, b"REP", target, b"", payload]
            if target in bulk:
                answer.append(bulk[target])
            router.send_multipart(answer)
            if act == "publishes" and kind == b"SET":
                pub.send_multipart([target + b".", b"a", *sent])


def _publish(pub: zmq.Socket[bytes], line: list[str], bulk: dict[bytes, bytes]) -> None:
    act, key, count = line[0], line[1], int(line[2])
    topic = f"{STORE}.{key}.".encode()
    if act == "array":
        bulk[topic[:-1]] = os.urandom(count)
    elif act == "burst":
        for number in range(count):
            value = b'{"value":%d,"time":1791000000.123}' % number
            pub.send_multipart([topic, b"a", value])
    elif act == "clock":
        text = b'{"value":%r,"time":1.5}'
        _tick(count, lambda now: pub.send_multipart([topic, b"a", text % now]))
    elif act in ("arrays", "given"):
        images = [os.urandom(int(line[3])) for _ in range(2)]
        for number in range(count):
            data = images[number % 2 if act == "given" else 0]
            described = b'{"time":%d,"shape":[%d],"dtype":"uint8"}'
            frames = [topic, b"a", described % (number, len(data)), data]
            pub.send_multipart(frames, copy=act == "arrays")
    print("done", flush=True)


def _tick(count: int, put: Callable[[float], Any]) -> None:
    """Publish the time *count* times, once in each millisecond."""
    due = time.monotonic()
    for _ in range(count):
        due += 0.001
        time.sleep(max(0.0, due - time.monotonic()))
        put(time.monotonic())


def _daemon(kind: str, count: str = "0") -> None:
    mktl = package(kind)

    class Worked(mktl.Item):  # type: ignore[misc]
        def perform_set(self, value: Any) -> None:
            pass

    class Daemon(mktl.Daemon):  # type: ignore[misc]
        def describe_items(self) -> dict[str, Any]:
            more = {
                f"item{number}": {"type": "numeric"} for number in range(int(count))
            }
            return {**ITEMS, **more}

        def setup(self) -> None:
            self.add_item(Worked, "worked")

    daemon = Daemon(STORE, "bench")
    print(daemon.rep.port, daemon.pub.port, flush=True)
    for line in sys.stdin:
        _act(daemon.store, line.split())
        print("done", flush=True)


def _act(store: Any, line: list[str]) -> None:
    import numpy as np  # noqa: PLC0415 - the floor does not need it

    act, key, count = line[0], line[1], int(line[2])
    item = store[key]
    if act == "array":
        item.publish(np.frombuffer(os.urandom(count), dtype="uint8"))
    elif act == "burst":
        for number in range(count):
            item.publish(number, repeat=True)
    elif act == "clock":
        _tick(count, item.publish)
    elif act == "arrays":
        data = np.frombuffer(os.urandom(int(line[3])), dtype="uint8")
        for _ in range(count):
            item.publish(data, repeat=True)
    elif act == "given":
        _give(item, count, int(line[3]))


def _give(item: Any, count: int, size: int) -> None:
    """Publish arrays that are given away. Each is a new one, like a camera's."""
    import numpy as np  # noqa: PLC0415 - the floor does not need it

    images = [np.frombuffer(os.urandom(size), dtype="uint8") for _ in range(2)]
    own = {"copy": False} if type(item).__module__.startswith("mktl_daemon") else {}
    for number in range(count):
        item.publish(images[number % 2], repeat=True, **own)


if __name__ == "__main__":
    main()
