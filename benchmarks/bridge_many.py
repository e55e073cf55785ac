"""Several bridges: their cost to a broker, and the time until a standby serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.bridge_rig import Rig, cpu, state
from benchmarks.table import Row, at_most
from mqtt_bridge.broker.presence import ABSENT

_HALLS = tuple(f"farm/hall-{number}" for number in range(4))
_PRINTERS, _TASKS, _ROUNDS = 50, 10, 10  # in each hall
_PART = 1000  # printers in a part that a standby takes over

# This client reads an item again and again, and prints the time of each answer.
_READER = """
import contextlib, time, mktl_daemon
item = mktl_daemon.get('upkeep.p0.t0.used')
while True:
    with contextlib.suppress(mktl_daemon.errors.MktlError, TimeoutError, RuntimeError):
        item.get(refresh=True)
        print(time.monotonic(), flush=True)
    time.sleep(0.02)
"""


def run() -> Iterator[Row]:
    one = _cost([_HALLS])
    four = _cost([(hall,) for hall in _HALLS])
    alone = one[0]
    measure = "a broker of four bridges with a hall each, beside one of four halls"
    yield at_most(
        f"{measure}: bytes that it sends",
        f"{four[0] / 1e6:.1f} MB of {alone / 1e6:.1f} MB",
        four[0] / alone,
        1.2,
    )
    yield at_most(
        f"{measure}: processor time",
        f"{four[1]:.2f} s of {one[1]:.2f} s",
        four[1] / one[1],
        1.2,
    )
    yield from _standby()


def _cost(parts: list[tuple[str, ...]]) -> tuple[int, float]:
    """Return a broker's sent bytes and processor time with a bridge for each part."""
    with Rig() as rig:
        rig.registry()
        rig.retain(_PRINTERS, _TASKS, *_HALLS)
        sent, before = rig.bytes_sent(), cpu(rig.broker)
        for number, bases in enumerate(parts):
            rig.bridge(
                f"broker.base={','.join(bases)}", f"store.alias=part{number}",
                name=f"part{number}",
            )  # fmt: skip
        rig.publisher.send(
            rig.publisher.packet(
                f"{hall}/{hall.rpartition('/')[2]}-p{printer}/tasks/t{task}",
                state(f"t{task}", number + 2, number + 2.0).encode(),
            )
            for number in range(_ROUNDS)
            for hall in _HALLS
            for printer in range(_PRINTERS)
            for task in range(_TASKS)
        )
        rig.publisher.settle()
        return rig.bytes_sent() - sent, cpu(rig.broker) - before


def _standby() -> Iterator[Row]:
    """Measure how long a client gets no answers, beside the start of a bridge."""
    with Rig() as rig:
        rig.registry()
        rig.retain(_PART, _TASKS)
        begin = time.monotonic()
        main = rig.bridge("store.role=main", name="main")
        start = time.monotonic() - begin
        standby = rig.bridge("store.role=standby", name="standby", ready=b"standing by")
        reader = rig.program("reader", _READER)
        rig.until_logged("reader", b"\n", reader)
        killed = time.monotonic()
        main.kill()
        rig.until_logged("standby", b"on the air", standby)
        over = _without_answers(rig, killed)
        again = time.monotonic()
        rig.bridge("store.role=main", name="again")
        rig.until_logged("standby", b"this standby leaves", standby)
        back = _without_answers(rig, again)
    measure = f"a standby of {_PART} x {_TASKS}: a client is without answers"
    yield Row(
        f"{measure}, after a kill, beside {ABSENT:.0f} s and a start",
        f"{over:.1f} s of {ABSENT:.0f} s + {start:.1f} s",
        over / (ABSENT + start),
        "< 30 s",
        over < 30,
    )
    yield Row(f"{measure}, given back", f"{back:.1f} s", None, "< 5 s", back < 5)


def _without_answers(rig: Rig, since: float) -> float:
    """Return the longest time between two answers (s); *since* is monotonic."""
    now, moments = time.monotonic(), [0.0]
    while moments[-1] < now:
        time.sleep(0.1)  # between two checks of another process's log
        lines = rig.log("reader").read_text().split("\n")[:-1]
        moments = [float(line) for line in lines]
    later = [since, *(each for each in moments if each > since)]
    return max(after - before for before, after in pairwise(later))
