"""``mk`` from its start to its end: a value, and the list of ten thousand items.

For a list, our ``mk`` also asks registries for daemons that the cache does not have. If
no registry answers, it waits for 0.3 s. The reference lists only what it has cached. It
gives up after 0.1 s, which is too short on a busy machine; such a turn is left out.
The floor is a script that imports pyzmq, requests the same and prints it. The programs
take turns, so that a disturbance affects all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.mktl_peers import REFERENCE, STORE, environment, peer
from benchmarks.table import Row, at_most

_TURNS = 9
_ITEMS = 10_000

_FLOOR = """
import json, sys, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.linger = 0
socket.connect(f"tcp://127.0.0.1:{sys.argv[1]}")
target = sys.argv[2]
socket.send_multipart([b"a", b"1", b"GET", target.encode(), b"", b""])
while (frames := socket.recv_multipart())[2] != b"REP":
    pass
value = json.loads(frames[5])["value"]
if target.endswith("._catalog"):
    value = [key for block in value.values() for key in block["items"]]
    print("\\n".join(value))
else:
    print(value)
"""


def run() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as home, peer("ours", str(_ITEMS)) as daemon:
        settings = {**os.environ, **environment(home)}
        ours = [sys.executable, "-m", "mktl_daemon.cli.mk"]
        _remember(settings, daemon.rep)
        for verb, name, target in (
            ("get", f"{STORE}.number", f"{STORE}.number"),
            ("list", STORE, f"{STORE}._catalog"),
        ):
            commands = {
                "floor": [sys.executable, "-c", _FLOOR, str(daemon.rep), target],
                "ours": [*ours, verb, name],
            }
            if REFERENCE:
                program = [sys.executable, f"{REFERENCE}/bin/mk"]
                commands["reference"] = [*program, verb, name]
                settings["PYTHONPATH"] = f"{REFERENCE}/src"
            yield from _rows(verb, _compared(commands, settings))
        with _registry(settings):
            yield from _rows("list with a registry", _compared(commands, settings))


@contextmanager
def _registry(settings: dict[str, str]) -> Iterator[None]:
    """Run a registry, which answers the programs' calls at once."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-m", "mktl_daemon.cli.mkregistryd"],
            env={**settings, "MKTL_HOME": home},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()
            process.communicate()


def _remember(settings: dict[str, str], rep: int) -> None:
    """Put the catalog into the cache, because registries are not measured here."""
    script = (
        "import mktl_daemon as mktl\n"
        "from mktl_daemon.net import dealer\n"
        f"blocks = dealer.client('127.0.0.1', {rep}).get('{STORE}._catalog')\n"
        f"for block in blocks.values(): mktl.meta.catalog('{STORE}').update(block)\n"
    )
    subprocess.run([sys.executable, "-c", script], env=settings, check=True)


def _compared(
    commands: dict[str, list[str]], settings: dict[str, str]
) -> dict[str, float]:
    durations: dict[str, list[float]] = {kind: [] for kind in commands}
    for _ in range(_TURNS):
        for kind, command in commands.items():
            try:
                durations[kind].append(_time(command, settings))
            except RuntimeError:
                if kind != "reference":
                    raise
    return {kind: statistics.median(each) for kind, each in durations.items() if each}


def _time(command: list[str], settings: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        command, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stdout:
        raise RuntimeError(f"{command} failed: {done.stderr}")
    return time.perf_counter() - started


def _rows(verb: str, durations: dict[str, float]) -> Iterator[Row]:
    ours, text = durations["ours"], f"{durations['ours'] * 1000:.0f} ms"
    is_list = verb != "get"
    goal, is_met = ("< 1 s", ours < 1.0) if is_list else ("", None)
    yield Row(f"mk {verb}, of the floor", text, ours / durations["floor"], goal, is_met)
    if "reference" in durations:
        measure, ratio = f"mk {verb}, of the reference", ours / durations["reference"]
        yield (
            Row(measure, text, ratio) if is_list else at_most(measure, text, ratio, 1.0)
        )
