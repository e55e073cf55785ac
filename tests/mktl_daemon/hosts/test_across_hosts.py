"""Daemons and clients on different hosts, with a network that has faults."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.mktl_daemon.conftest import HERE as TESTS
from tests.mktl_daemon.hosts.conftest import DEADLINE, HERE, line, port_of

pytestmark = pytest.mark.timeout(300)

ITEMS = {"count": {"type": "numeric", "initial": 7}, "image": {"type": "bulk"}}

FILL = """
import mktl_daemon as mktl
import sys
mktl.get("pie.image").set(bytes(int(sys.argv[1])), wait=True)
"""
READ = """
import sys, time
import mktl_daemon as mktl
item = mktl.get("pie.image")
print(len(item.get()), flush=True)
"""
WAIT = """
import mktl_daemon as mktl
gate = mktl.get("pie.gate")
pending = gate.set("wait", wait=False)
print("waiting", flush=True)
try:
    pending.wait(300)
except TimeoutError as error:
    print(type(error).__name__, error, flush=True)
"""
# A foreign client, like the reference's: it does not ask for heartbeats.
LISTEN = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"pie.count.")
socket.connect(f"tcp://{sys.argv[1]}:{sys.argv[2]}")
print("listening", flush=True)
while True:
    print(socket.recv_multipart()[2].decode(), flush=True)
"""


@pytest.fixture
def pair(world):
    """A host with a registry and a daemon, a host with a client, and their network."""
    oven, desk = world.host("oven"), world.host("desk")
    network = world.network(1, oven, desk)
    oven.registry()
    return oven, desk, network


def connections(host, state):
    """Return the lines of ``ss`` for the TCP connections of a host in a state."""
    done = subprocess.run(
        host.command("ss", "-Htno", "state", state),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_store_is_found_on_another_host(pair):
    """There is no default route: calls go to each interface's broadcast address."""
    oven, desk, _ = pair
    oven.daemon(ITEMS)
    done = desk.mk("get", "pie.count")
    assert (done.stdout, done.stderr) == ("count: 7\n", "")


def test_an_array_that_takes_half_a_minute_arrives(pair, rounds):
    """It has 14 or 20 MB at 5 Mbit/s.

    No heartbeat ends a connection while bytes flow.
    """
    oven, desk, network = pair
    oven.daemon(ITEMS)
    size = rounds(14_000_000, 20_000_000)
    assert oven.python("-c", FILL, str(size)).stderr == ""
    network.change(rate=5e6)
    done = desk.python("-c", READ)
    assert (done.stdout, done.stderr) == (f"{size}\n", "")


def test_a_store_of_many_daemons_is_read_over_a_bad_line(pair, rounds):
    """8 or 21 daemons with 0.2 s and 2 % loss are asked at the same time."""
    oven, desk, network = pair
    many = rounds(8, 21)
    oven.start(str(HERE / "farm.py"), str(many))
    network.change(delay=0.1, loss=0.02)
    done = desk.mk("get", *(f"pie.farmer{number}.count" for number in range(many)))
    assert done.stderr == ""
    assert done.stdout.count(": 7\n") == many


def test_the_address_from_which_a_reply_came_is_tried_too(world):
    """A daemon with two interfaces names the first, and the client is at the second."""
    oven, other, desk = (world.host(name) for name in ("oven", "other", "desk"))
    world.network(1, oven, other)
    world.network(2, oven, desk)
    oven.registry()
    oven.daemon(ITEMS)
    for host in (other, desk):
        assert host.mk("get", "pie.count").stdout == "count: 7\n"


def test_a_client_on_a_slow_line_causes_no_warning(pair):
    """An ACK that takes over a second comes after the other edition was tried."""
    oven, desk, network = pair
    oven.daemon(ITEMS)
    assert desk.mk("get", "pie.count").stdout == "count: 7\n"
    network.change(delay=0.6)
    for _ in range(3):
        done = desk.mk("get", "pie.count")
        assert "malformed" not in done.stderr.lower()
    assert "refused a message" not in oven.log.read_text()


def test_a_watcher_gets_values_again_when_the_cable_is_back(pair, until):
    """It reconnects every few seconds. The kernel alone would wait for longer."""
    oven, desk, network = pair
    oven.daemon(ITEMS)
    watch = "mktl_daemon.cli.mk", "watch", "--no-timestamp", "pie.count"
    watcher = desk.launch(*watch, says="count: 7")
    network.change(cut=[desk])
    assert oven.mk("set", "pie.count=8").returncode == 0
    tried = set()

    def has_tried_twice():
        for each in connections(desk, "syn-sent"):
            tried.add(each.split()[2])
        return len(tried) >= 4  # two connections for each of the daemon's ports

    until(has_tried_twice, "connects again", DEADLINE)
    network.change(cut=[])
    assert line(watcher) == "count: 8\n"


def test_a_foreign_client_misses_nothing_while_the_cable_is_cut(pair, until):
    """It never notices the cut, so its connection is kept."""
    oven, desk, network = pair
    daemon = oven.daemon(ITEMS)
    values = re.search(r"values at (\d+)", daemon.first)[1]
    listener = desk.start(
        "-c", LISTEN, oven.addresses[0], values, says="listening"
    )  # fmt: skip

    def has_arrived():
        oven.mk("set", "pie.count=1")
        oven.mk("set", "pie.count=2")
        return connections(oven, "established")

    until(has_arrived, "subscribed")
    while '"value":2' not in line(listener):
        continue
    network.change(cut=[desk])
    assert oven.mk("set", "pie.count=3").returncode == 0

    def has_tried_for_long():
        tries = re.findall(
            r"timer:\(on,[^,]+,(\d+)\)", str(connections(oven, "established"))
        )
        return any(int(each) >= 7 for each in tries)

    until(has_tried_for_long, "the system sends it again for 20 s", DEADLINE)
    network.change(cut=[])
    assert '"value":3' in line(listener)


def test_a_client_that_waits_for_a_silent_daemon_gets_an_error(pair):
    """The error comes long before the client's own timeout of two minutes."""
    oven, desk, network = pair
    items = {key: {"type": "string"} for key in ("reading", "gate", "opener", "broken")}
    oven.daemon(items, "--module", "oven", PYTHONPATH=f"{TESTS}:{':'.join(sys.path)}")
    waiter = desk.start("-c", WAIT, says="waiting")
    network.change(cut=[oven])
    assert "NoReplyError" in line(waiter)


def test_a_restarted_daemon_announces_its_ports_again(pair):
    """A client with a cached catalog finds the daemon that has come back."""
    oven, desk, _ = pair
    daemon = oven.daemon(ITEMS)
    assert desk.mk("get", "pie.count").stdout == "count: 7\n"
    oven.end(daemon, kill=True)
    again = oven.daemon(ITEMS)
    assert port_of(again) == port_of(daemon)
    assert desk.mk("get", "pie.count").stdout == "count: 7\n"
