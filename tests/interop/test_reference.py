"""Our programs with the reference's, in every combination that has one of each."""

import itertools
import json
import math
import signal
import subprocess

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

SIDES = ("ours", "reference")
COMBINATIONS = [
    combination
    for combination in itertools.product(SIDES, repeat=3)
    if "ours" in combination
]

ARRAY = ["int16", [3, 4], [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]]

DAY = {
    "get count": [3, "3"],
    "get note": ["plain", "plain"],
    "get lit": [False, "Off"],
    "get taste": [0, "Sweet"],
    "get leds": [0, "dark"],
    "get angle": [0.5, "28:38:52.4"],
    "get list": [[1, 2.5], "[1, 2.5]"],
    "get deep.er": ["below", "below"],
    "set count": 5,
    "set count to a fraction": 5.25,
    "set note": "a piece of é🥧",
    "set lit": 1,
    "set taste": 1,
    "set leds": 5,
    "set angle": round(math.pi / 2, 6),
    "set list": [4, 5.5],
    "set deep.er": "still",
    "quantity": 90,
    "fixed cannot be set": True,
    "a bad value is refused": True,
    "an unknown key is refused": True,
    "fixed stays": 7,
    "heard": [*range(100, 121)],
    "pending": True,
    "in place": 10,
    "keys": [
        "angle",
        "count",
        "deep.er",
        "fixed",
        "image",
        "kept",
        "leds",
        "list",
        "lit",
        "note",
        "taste",
    ],
    "uptime": True,
}


# What the reference of before 8 June 2026 does differently, by itself too: its client
# has no names for JSON's false, its daemon takes any number for an enumerator.
KNOWN_EARLY = {
    ("ours", "reference"): ["get lit"],
    ("reference", "ours"): ["a bad value is refused"],
    ("reference", "reference"): ["get lit", "a bad value is refused"],
}


@pytest.mark.parametrize(("registry", "daemon", "client"), COMBINATIONS)
def test_a_clients_day(network, sides, registry, daemon, client):
    """Every type is read, set and heard of, whoever serves and whoever asks."""
    network.registry(sides[registry])
    network.daemon(sides[daemon])
    if client == "reference":
        # Its get() of an item whose store it has never seen asks for a wrong key.
        network.mk(sides[client], "discover", "127.0.0.1")

    done = network.run(sides[client], "probe")

    assert done.returncode == 0, done.stderr + network.logs()
    seen = json.loads(done.stdout)
    known = KNOWN_EARLY if sides["reference"].is_early else {}
    for what in known.get((daemon, client), ()):
        seen[what] = DAY[what]
    assert seen == DAY


@pytest.mark.parametrize(("daemon", "client"), [SIDES, SIDES[::-1]])
def test_an_array(network, sides, arrays, daemon, client):
    """It is read and heard of as it was set."""
    network.registry(sides[daemon])
    network.daemon(sides[daemon])
    network.mk(sides[client], "discover", "127.0.0.1")

    done = network.run(sides[client], "probe_array")

    assert done.returncode == 0, done.stderr + network.logs()
    assert json.loads(done.stdout) == [ARRAY, ARRAY]


@pytest.mark.parametrize(("daemon", "client"), [SIDES, SIDES[::-1]])
def test_the_command_line(network, sides, daemon, client):
    """mk of the one against the daemon of the other prints the same lines."""
    network.registry(sides[daemon])
    network.daemon(sides[daemon])
    network.mk(sides[client], "discover", "127.0.0.1")

    def mk(*arguments):
        done = network.mk(sides[client], *arguments)
        return done.stdout

    assert mk("get", "cake.angle") == "angle: 28:38:52.4 deg\n"
    assert mk("--unformatted", "get", "cake.angle") == "angle: 0.5 rad\n"
    assert mk("-u", "degree", "get", "cake.angle").startswith("angle: 28.6478897565")
    assert mk("--terse", "get", "cake.count", "cake.note") == "3\nplain\n"
    assert mk("set", "cake.count=4") == "Set cake.count to 4 pieces\n"
    assert mk("set", "cake.taste=sour") == "Set cake.taste to Sour\n"
    assert mk("-s", "cake", "get", "count", "taste") == "count: 4 pieces\ntaste: Sour\n"
    assert "cake.fixed" in mk("list", "cake")
    described = json.loads(mk("describe", "cake.fixed"))["cake.fixed"]
    assert (described["type"], described["settable"]) == ("numeric", False)
    refused = network.mk(sides[client], "set", "cake.fixed=1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "cake.fixed failed" in refused.stderr


@pytest.mark.parametrize(("daemon", "client"), [SIDES, SIDES[::-1]])
def test_a_watcher_hears_of_changes(network, sides, daemon, client):
    """mk watch of the one, mk set of the other."""
    network.registry(sides[daemon])
    network.daemon(sides[daemon])
    network.mk(sides[client], "discover", "127.0.0.1")
    network.start(
        sides[client], "mk", "--no-timestamp", "watch", "cake.note", home="client"
    )
    log = network.folder / "client.log"
    network.until(sides[daemon], "discover", "127.0.0.1", home="other", says="cake")
    for number in itertools.count():
        network.mk(sides[daemon], "set", f"cake.note=slice {number}", home="other")
        if "note: slice " in log.read_text():
            break
        assert number < 20, network.logs()


@pytest.mark.parametrize(("registry", "daemon"), [SIDES, SIDES[::-1]])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_registry_comes_back(network, sides, registry, daemon, how):
    """It finds the daemon that has run on, of the other implementation."""
    first = network.registry(sides[registry])
    network.daemon(sides[daemon])
    network.stop(first, how)

    network.registry(sides[registry])

    network.until(
        sides[daemon], "get", "cake.fixed", home="new client", says="fixed: 7"
    )


@pytest.mark.parametrize(("registry", "daemon"), [SIDES, SIDES[::-1]])
def test_a_daemon_comes_back(network, sides, registry, daemon):
    """On its old ports, with the values that persist; the client knows it still."""
    network.registry(sides[registry])
    process = network.daemon(sides[daemon])
    network.mk(sides[registry], "discover", "127.0.0.1")
    network.mk(sides[registry], "set", "cake.kept=23")
    assert network.mk(sides[registry], "get", "cake.kept").stdout == "kept: 23\n"
    network.stop(process)

    network.daemon(sides[daemon])

    network.until(sides[registry], "get", "cake.fixed", home="client", says="fixed: 7")
    if daemon == "ours":
        # The reference keeps values in a program of its own, which is not run here.
        assert network.mk(sides[registry], "get", "cake.kept").stdout == "kept: 23\n"


@pytest.mark.parametrize(("registry", "daemon"), [SIDES, SIDES[::-1]])
def test_a_second_daemon_of_the_same_name_is_refused(network, sides, registry, daemon):
    """By either registry, whichever implementation comes second."""
    network.registry(sides[registry])
    network.daemon(sides[daemon])
    for side in sides.values():
        second = network.start(
            side,
            "mkd",
            "-c",
            str(network.folder / "cake.json"),
            "cake",
            "batter",
            home=f"{side.name} second",
        )
        try:
            assert second.wait(30) != 0
        except subprocess.TimeoutExpired:
            pytest.fail(f"a second daemon runs: {side.name}{network.logs()}")
