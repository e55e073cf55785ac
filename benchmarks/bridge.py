"""The bridge against a bare paho subscriber: states in a second, and added delay."""

from __future__ import annotations

import json
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import zmq

from benchmarks.bridge_rig import Rig, cpu, printer, state
from benchmarks.table import Row, at_least, at_most
from mqtt_bridge import contract

_PRINTERS, _TASKS, _ROUNDS = 200, 10, 15
# Every twentieth message is timed. It is of each of these tasks in turn. A disturbance
# of the machine spoils only one of several streams.
_STREAMS, _PINGS, _EVERY, _TIMED = 7, 400, 19, 100
_LAST = f"{contract.BASE}/last/tasks/t"
# The bare subscriber and the bridge read a flood by turns, and the best turn of each
# counts, since other work of the machine affects both.
_TURNS = 3


def run() -> Iterator[Row]:
    with Rig() as rig:
        rig.retain(_PRINTERS, _TASKS)
        for topic, payload in (*printer("last", 1), *printer("ping", _TIMED)):
            rig.publisher.send([rig.publisher.packet(topic, payload, retain=True)])
        rig.publisher.settle()
        turns = [_turn(rig, turn, keep=turn == _TURNS - 1) for turn in range(_TURNS)]
        count, subscriber = turns[-1].count, turns[-1].subscriber
        floor, theirs = (
            min(each.floor for each in turns),
            min(each.theirs for each in turns),
        )
        ours, mine = min(each.ours for each in turns), min(each.mine for each in turns)
        # Only the newest waiting state of a task is mirrored; the others are counted.
        newer = rig.superseded()
        yield at_least(
            f"states mirrored, {newer} of {count} by a newer one, against bare paho",
            f"{count / ours:.0f}/s of {count / floor:.0f}/s",
            floor / ours,
            1.0,
        )
        # On a busy machine the throughput varies by chance. Processor time varies less.
        yield Row(
            "processor time a state, beside a bare paho subscriber's",
            f"{1e6 * mine / count:.0f} us, {1e6 * theirs / count:.0f} us",
            theirs / count / (mine / count),
        )
        # A rate that followed the bridge's own would measure a faster one at more load.
        yield from _delays(rig, subscriber, count / floor / 2)


class _Turn(NamedTuple):
    """A flood that a bare subscriber has read, and another one for the bridge."""

    count: int  # messages of one flood
    floor: float  # seconds that the bare subscriber took
    ours: float
    theirs: float  # seconds of the bare subscriber's processor time
    mine: float
    subscriber: zmq.Socket[bytes]  # a bare SUB, connected to the bridge


def _turn(rig: Rig, turn: int, *, keep: bool) -> _Turn:
    """Let a bare subscriber and then a bridge read a flood; *keep* that bridge."""
    bare = rig.bare(_LAST)
    before = cpu(bare)
    _, floor = _flood(rig, bare, None, turn)
    theirs = cpu(bare) - before
    bare.kill()
    bridge = rig.bridge()
    timed = [f"upkeep.ping.t{number}.used." for number in range(_TIMED)]
    subscriber = rig.subscribe("upkeep.last.t.used.", *timed)
    time.sleep(0.5)  # for the subscriptions to arrive
    before = cpu(bridge)
    count, ours = _flood(rig, None, subscriber, turn)
    mine = cpu(bridge) - before
    if not keep:
        bridge.kill()
        bridge.wait()
    return _Turn(count, floor, ours, theirs, mine, subscriber)


def _flood(
    rig: Rig,
    bare: subprocess.Popen[bytes] | None,
    subscriber: zmq.Socket[bytes] | None,
    turn: int,
) -> tuple[int, float]:
    """Send each task's state some times; return the number, and the time taken (s)."""
    packets = [
        rig.publisher.packet(
            f"{contract.BASE}/p{printer}/tasks/t{task}",
            state(f"t{task}", number + 2, number + 2.0).encode(),
        )
        for number in range(_ROUNDS)
        for printer in range(_PRINTERS)
        for task in range(_TASKS)
    ]
    # The value must differ from the last one: otherwise nothing would be published.
    used = 2.0 * turn + (2.0 if bare is not None else 3.0)
    packets.append(rig.publisher.packet(_LAST, state("t", 2, used).encode()))
    begin = time.monotonic()
    rig.publisher.send(packets)
    if bare is not None:
        assert bare.stdout is not None
        end = float(bare.stdout.readline())
    else:
        assert subscriber is not None
        while not subscriber.recv_multipart()[0].startswith(b"upkeep.last."):
            pass
        end = time.monotonic()
    return len(packets), end - begin


class _Delays(NamedTuple):
    """The delays in one stream, in ms and sorted."""

    added: list[float]  # from a bare subscriber's arrival to ours
    bare: list[float]  # from the sending to a bare subscriber's arrival

    @property
    def spread(self) -> float:
        """How much the bare subscriber's own delay varies: p99 less p50."""
        return _share(self.bare, 0.99) - _share(self.bare, 0.5)


def _share(delays: list[float], share: float) -> float:
    return delays[int(len(delays) * share)]


def _delays(rig: Rig, subscriber: zmq.Socket[bytes], rate: float) -> Iterator[Row]:
    """Measure how much later a value arrives over mKTL than at a bare MQTT subscriber.

    The stream has *rate* messages a second, and some of them are timed. The bare
    subscriber has a process of its own, and gets only the timed messages. So it reports
    when they left the broker, and takes little of the processor. The added delay is
    shown beside the bare subscriber's own spread, since a busy machine makes both
    larger.
    """
    bare = rig.bare("", "ping/tasks/+")
    streams = [
        _timed(rig, subscriber, bare, rate, first)
        for first in range(0, _STREAMS * _PINGS, _PINGS)
    ]
    timed = sum(len(each.added) for each in streams)
    measure = (
        f"PUB after a bare subscriber's arrival, at {rate:.0f}/s, half of its best, "
        f"{timed} of {_STREAMS * _PINGS} timed, median of {_STREAMS}"
    )
    spread = statistics.median(each.spread for each in streams)
    for name, share, goal in (("p50", 0.5, 2.0), ("p99", 0.99, 5.0)):
        delay = statistics.median(_share(each.added, share) for each in streams)
        yield at_most(
            f"{measure}: {name}, beside the bare one's own spread",
            f"{delay:.2f} ms of {spread:.2f} ms",
            delay / spread,
            goal,
        )


def _timed(
    rig: Rig,
    subscriber: zmq.Socket[bytes],
    bare: subprocess.Popen[bytes],
    rate: float,
    first: int,
) -> _Delays:
    """Return the delays in one stream. Its timed messages are numbered from *first*."""
    sent: dict[int, float] = {}
    sender = threading.Thread(target=_stream, args=(rig, rate, first, sent))
    sender.start()
    last = first + _PINGS - 1
    ours: dict[int, float] = {}
    while last not in ours:
        frames = subscriber.recv_multipart()
        if frames[0].startswith(b"upkeep.ping."):
            ours[int(json.loads(frames[2])["value"])] = time.monotonic()
    sender.join()
    assert bare.stdout is not None
    theirs: dict[int, float] = {}
    while last not in theirs:
        when, seq = bare.stdout.readline().split()
        theirs[int(seq)] = float(when)
    return _Delays(
        sorted(1000 * (ours[ping] - theirs[ping]) for ping in ours.keys() & theirs),
        sorted(1000 * (theirs[ping] - sent[ping]) for ping in theirs.keys() & sent),
    )


def _stream(rig: Rig, rate: float, first: int, sent: dict[int, float]) -> None:
    # All packets are made first: this process must not be busy when it reads the clock.
    packets: list[bytes] = []
    for ping in range(first, first + _PINGS):
        for _ in range(_EVERY):
            number = first * (_EVERY + 1) + len(packets)  # each message has its own
            topic = f"{contract.BASE}/p{number % _PRINTERS}/tasks/t{number % _TASKS}"
            message = state(f"t{number % _TASKS}", number + 100, 5.0 + number % 97)
            packets.append(rig.publisher.packet(topic, message.encode()))
        # The tasks are used in turn, since a newer state would replace a waiting one.
        task = f"t{ping % _TIMED}"
        message = state(task, ping, ping + 0.5)  # no retained message has this value
        topic = f"{contract.BASE}/ping/tasks/{task}"
        packets.append(rig.publisher.packet(topic, message.encode()))
    begin = time.monotonic()
    for number, packet in enumerate(packets):
        ping, behind = divmod(number, _EVERY + 1)
        if behind == _EVERY:
            sent[first + ping] = time.monotonic()
        rig.publisher.send([packet])
        ahead = begin + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
