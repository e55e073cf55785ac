"""Random and changed frames on every socket. Valid requests in between are answered.

The variable MKTL_FUZZ sets their number (a million takes some minutes). The seed is
fixed.
"""

from __future__ import annotations

import json
import os
import random
import socket
from pathlib import Path

import pytest
import zmq

FRAMES = int(os.environ.get("MKTL_FUZZ", "4000"))
VALID = 200  # after so many frames comes one that must be answered
DEADLINE = 20.0
GROWTH = 64  # megabytes by which a daemon may grow

pytestmark = pytest.mark.timeout(60 + FRAMES // 500)

KINDS = [b"GET", b"SET", b"ACK", b"REP", b"HASH", b"CONFIG", b"get", b"\xff", b""]
TARGETS = [
    *(b"pie.number", b"pie.text", b"pie.image", b"pie.a.b", b"pie.kept", b"pie.fixed"),
    *(b"pie._catalog", b"pie._hash", b"_hash", b"_catalog", b"_config", b"._hash"),
    *(b"pie._fruitclk", b"pie.", b".", b"", b"cake.x", b"../../etc.passwd", b"\xff.x"),
]
VALUES = [
    *(b'{"value":1}', b'{"value":"x"}', b'{"value":null}', b'{"value":[1,[2]]}', b""),
    *(b'{"refresh":true}', b'{"shape":[2,2],"dtype":"uint8"}', b'{"value":NaN}', b"3"),
    *(b'{"shape":[-1],"dtype":"object"}', b'{"value":{"store":"pie"}}', b"{", b"\xff"),
    *(b"[" * 2000, b'{"value":1e999}', b'{"omit":1,"value":2}', b'{"bulk":1}'),
]


def frames(chance: random.Random) -> list[bytes]:
    """Return something more or less like a request."""
    message = [
        b"a",
        chance.randbytes(chance.choice([0, 8, 300])),
        chance.choice(KINDS),
        chance.choice(TARGETS),
        chance.choice([b"", b"\0", b"\1", b"\2", b"\3", chance.randbytes(9)]),
        chance.choice(VALUES),
    ]
    if chance.random() < 0.3:
        message.append(chance.choice([b"", b"abcd", chance.randbytes(1000)]))
    while chance.random() < 0.3:
        place = chance.randrange(len(message))
        change = chance.randrange(4)
        if change == 0 and len(message) > 1:
            del message[place]
        elif change == 1:
            message.insert(place, chance.randbytes(chance.randrange(20)))
        elif change == 2:
            message[place] = chance.randbytes(chance.randrange(200))
        else:
            mutated = bytearray(message[place] or b"\0")
            mutated[chance.randrange(len(mutated))] ^= 1 << chance.randrange(8)
            message[place] = bytes(mutated)
    return message


def megabytes(process) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


class Door:
    def __init__(self, context, port, valid):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.set_hwm(0)
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.valid = valid
        self._count = 0

    def is_answered(self) -> bool:
        """Send a request that must be answered, and ignore all other replies."""
        self._count += 1
        ident = b"valid%d" % self._count
        self.socket.send_multipart([b"a", ident, b"GET", self.valid, b"", b""])
        while self.socket.poll(int(DEADLINE * 1000)):
            answer = self.socket.recv_multipart()
            if answer[1:3] == [ident, b"REP"]:
                return "error" not in json.loads(answer[5])
        return False


@pytest.mark.parametrize("seed", [1, 2])
def test_no_frames_stop_a_daemon_or_a_registry(own_kitchen, seed):
    """No request stays open, and memory does not grow."""
    chance = random.Random(seed)
    registry, daemon = own_kitchen.registry(), own_kitchen.daemon()
    context = zmq.Context()
    doors = [
        Door(context, daemon.rep, b"pie.fixed"),
        Door(context, registry.rep, b"_hash"),
    ]
    assert all(door.is_answered() for door in doors)
    before = [megabytes(running.process) for running in (daemon, registry)]
    for number in range(FRAMES // 2):
        door = doors[number % 2]
        door.socket.send_multipart(frames(chance))
        if number % VALID < 2:
            assert door.is_answered(), f"after {number} frames"
    assert all(door.is_answered() for door in doors)
    after = [megabytes(running.process) for running in (daemon, registry)]
    for door in doors:
        door.socket.close()
    context.term()
    assert daemon.process.poll() is registry.process.poll() is None
    assert all(b - a < GROWTH for a, b in zip(before, after, strict=True))


def test_no_bytes_stop_a_port(own_kitchen, udp_socket):
    """They are no ZeroMQ at the TCP ports, and any bytes at the UDP ports."""
    chance = random.Random(3)
    registry, daemon = own_kitchen.registry(), own_kitchen.daemon()
    for number in range(FRAMES // 20):
        port = (daemon.rep, daemon.pub, registry.rep, registry.pub)[number % 4]
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(chance.randbytes(chance.randrange(1, 200)))
    for number in range(FRAMES // 4):
        data = chance.choice([b"Aloha mKTL", b"I heard it", b"E komo mai:1", b""])
        data = data + chance.randbytes(chance.randrange(30))
        udp = (own_kitchen.registries, own_kitchen.daemons)[number % 2]
        udp_socket.sendto(data, ("127.0.0.1", udp))
    context = zmq.Context()
    for port, valid in ((daemon.rep, b"pie.fixed"), (registry.rep, b"_hash")):
        door = Door(context, port, valid)
        assert door.is_answered()
        door.socket.close()
    context.term()
    udp_socket.settimeout(DEADLINE)
    udp_socket.sendto(b"Aloha mKTL", ("127.0.0.1", own_kitchen.registries))
    # Some of the bytes above were calls as well, and their answers come first.
    while udp_socket.recv(100) != b"E komo mai:%d" % registry.rep:
        pass


@pytest.fixture
def udp_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as calling:
        yield calling
