"""Several bridges: what they cost a broker together; how soon a standby serves."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bridge_rig import Rig, cpu, state
from benchmarks.table import Row, at_most
from mqtt_bridge.broker.presence import ABSENT

_HALLS = tuple(f"farm/hall-{number}" for number in range(4))
_PRINTERS, _TASKS, _ROUNDS = 50, 10, 10  # of each hall
_PART = 1000  # printers of a part that a standby takes over


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
    """Bytes and processor time of a broker that serves a bridge for each of *parts*."""
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
    with Rig() as rig:
        rig.registry()
        rig.retain(_PART, _TASKS)
        begin = time.monotonic()
        main = rig.bridge("store.role=main", name="main")
        start = time.monotonic() - begin
        standby = rig.bridge("store.role=standby", name="standby", ready=b"standing by")
        begin = time.monotonic()
        main.kill()
        rig.until_logged("standby", b"on the air", standby)
        over = time.monotonic() - begin
        begin = time.monotonic()
        rig.bridge("store.role=main", name="again")
        back = time.monotonic() - begin
    measure = f"a standby of {_PART} x {_TASKS}, beside {ABSENT:.0f} s and a start"
    for what, took in (("after a kill", over), ("given back", back)):
        yield at_most(
            f"{measure}: served again, {what}",
            f"{took:.1f} s of {ABSENT:.0f} s + {start:.1f} s",
            took / (ABSENT + start),
            1.2,
        )
        yield Row(f"{measure}: {what}", f"{took:.1f} s", None, "< 30 s", took < 30)
