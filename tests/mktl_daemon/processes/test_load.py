"""Many requests at once, and clients that misbehave."""

import itertools
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

THOUSANDS = 5000


def collect(peer, count):
    """Return the types of messages that came for each identifier."""
    seen = {}
    while count:
        _, ident, kind, *_ = peer.receive()
        seen.setdefault(ident, []).append(kind)
        count -= kind == b"REP"
    return seen


def test_thousands_of_gets_in_flight_are_all_answered(wire, oven):
    """They come from four clients. None is lost, and each ACK comes before its REP."""
    peers = [wire.peer(oven) for _ in range(4)]
    for number in range(THOUSANDS):
        for peer in peers:
            peer.request(b"GET", "pie.number", ident=b"%d" % number)
    for peer in peers:
        seen = collect(peer, THOUSANDS)
        assert len(seen) == THOUSANDS
        assert set(map(tuple, seen.values())) == {(b"ACK", b"REP")}


def test_thousands_of_sets_in_flight_are_all_carried_out(wire, oven):
    """Two clients set two items at once, and each one's order is kept."""
    one, two = wire.peer(oven), wire.peer(oven)
    for number in range(THOUSANDS):
        one.request(b"SET", "pie.number", {"value": number}, ident=b"%d" % number)
        two.request(b"SET", "pie.a.b", {"value": number}, ident=b"%d" % number)
    for peer, key in ((one, "pie.number"), (two, "pie.a.b")):
        seen = collect(peer, THOUSANDS)
        assert len(seen) == THOUSANDS
        assert set(map(tuple, seen.values())) == {(b"ACK", b"REP")}
        assert peer.get(key).value == THOUSANDS - 1


def test_thousands_of_refreshes_in_flight_are_all_answered(peer):
    """Each reads the sensor by itself."""
    before = peer.get("pie.reading", refresh=True).value
    for number in range(1000):
        peer.request(b"GET", "pie.reading", {"refresh": True}, ident=b"%d" % number)
    assert len(collect(peer, 1000)) == 1000
    assert peer.get("pie.reading", refresh=True).value == before + 1001


def test_two_connections_with_one_identity_do_the_daemon_no_harm(wire, oven, peer):
    """The newer one is answered each time, and so are all other clients."""
    first = wire.peer(oven, b"twin")
    assert first.get("pie.number").kinds == [b"ACK", b"REP"]
    second = wire.peer(oven, b"twin")
    for _ in range(100):
        assert second.get("pie.number").kinds == [b"ACK", b"REP"]
        assert peer.get("pie.number").kinds == [b"ACK", b"REP"]


def test_a_client_may_come_back_with_its_identity(wire, oven):
    """The name of a crashed client can be used again."""
    for _ in range(20):
        client = wire.peer(oven, b"phoenix")
        assert client.get("pie.number").kinds == [b"ACK", b"REP"]
        client.socket.close(linger=0)


def test_a_client_that_never_reads_does_not_delay_others(wire, oven, peer):
    """Its own replies wait or are lost."""
    deaf = wire.peer(oven, room=1)
    for _ in range(50_000):
        deaf.request(b"GET", "pie.number")
    for value in range(20):
        assert peer.set("pie.number", value).error is None
        assert peer.get("pie.number").value == value


def test_a_subscriber_that_never_reads_does_not_delay_others(wire, oven, peer):
    """Only its own values are dropped."""
    wire.listener(oven, b"", room=1)
    listener = wire.listener(oven, b"pie.number.")
    values = iter(range(-1000, 0))
    listener.settle(lambda: peer.set("pie.number", next(values)))
    for value in range(2000):
        peer.request(b"SET", "pie.number", {"value": value}, flags=b"\3")
    assert listener.values(2000) == list(range(2000))


def test_fifty_clients_get_the_values_of_fifty_items_in_order(own_kitchen, wire, until):
    keys = [f"item{number}" for number in range(50)]
    daemon = own_kitchen.daemon("pie", "fruit", {key: {"initial": 0} for key in keys})
    crowd = [wire.listener(daemon, b"pie.item") for _ in keys]
    peer = wire.peer(daemon)
    signs = itertools.count(-1, -1)

    def all_hear():
        peer.set("pie.item0", next(signs))
        return all(each.socket.poll(0) for each in crowd)

    until(all_hear, "subscribed")
    for value in (1, 2, 3):
        for key in keys:
            assert peer.set(f"pie.{key}", value).error is None
    for listener in crowd:
        values = {key: [] for key in keys}
        while values[keys[-1]] != [1, 2, 3]:
            topic, _, payload = listener.receive()[:3]
            values[topic.decode().split(".")[1]].append(json.loads(payload)["value"])
        values["item0"] = [value for value in values["item0"] if value > 0]
        assert values == {key: [1, 2, 3] for key in keys}


@pytest.mark.timeout(300)
def test_a_client_uses_a_thousand_daemons(rounds, tmp_path):
    """Or 400: this is more than the descriptors that a process starts with."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = f"--nofile=512:{hard}"
    script = str(Path(__file__).parents[1] / "many_daemons.py")
    done = subprocess.run(
        ["prlimit", limits, sys.executable, script, str(rounds(400, 1000))],
        env={
            **os.environ,
            "MKTL_HOME": str(tmp_path),
            "MKTL_DISCOVERY": "off",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("all are heard\n", "")


def test_a_client_that_leaves_during_a_request_does_no_harm(wire, oven, peer):
    """Its replies have no receiver."""
    for _ in range(20):
        leaver = wire.peer(oven)
        for _ in range(50):
            leaver.request(b"SET", "pie.number", {"value": 1})
        leaver.socket.close(linger=100)
    assert peer.is_quiet()


def test_bytes_that_are_no_zeromq_do_no_harm(oven, peer):
    """They may come from a browser or a port scanner."""
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000, b"\xff" * 64, b""):
        for port in (oven.rep, oven.pub):
            with socket.create_connection(("127.0.0.1", port), 5) as stray:
                stray.sendall(data)
    assert peer.is_quiet()


def test_more_subscribers_than_descriptors_are_refused_with_one_line(
    own_kitchen, wire, until
):
    """The present subscribers are served, and the daemon rests in between."""
    daemon = own_kitchen.daemon(
        "pie", "fruit", {"number": {"initial": 1}}, descriptors=256
    )
    peer = wire.peer(daemon)
    clock = wire.listener(daemon, b"pie._fruitclk.")
    clock.values(1)
    crowd = [wire.listener(daemon, b"pie.number.") for _ in range(300)]
    log = own_kitchen.folder / "pie.fruit.log"
    clock.values(2)
    while "are refused" not in log.read_text():
        clock.values(1)
    clock.values(2)
    before = seconds_of(daemon.process.pid)
    clock.values(4)
    used = seconds_of(daemon.process.pid) - before
    assert used < 0.6, "the daemon uses the processor without a pause"
    assert peer.get("pie.number").value == 1
    peer.set("pie.number", 2)
    assert sum(bool(each.socket.poll(100)) for each in crowd) > 50
    assert log.read_text().count("are refused") == 1
    for each in crowd:
        each.socket.close()
    folder = Path(f"/proc/{daemon.process.pid}/fd")
    until(lambda: len(list(folder.iterdir())) < 100, "there is room again")
    late = wire.listener(daemon, b"pie.number.")
    late.settle(lambda: (peer.set("pie.number", 3), peer.set("pie.number", 4)))


def seconds_of(pid):
    """Return how many seconds of a processor a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
