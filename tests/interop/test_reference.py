"""Our programs with the reference's, in every combination with one of each."""

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


# The reference from before 8 June 2026 also differs by itself: its client has no names
# for JSON's false, its daemon accepts any number for an enumerator.
KNOWN_EARLY = {
    ("ours", "reference"): ["get lit"],
    ("reference", "ours"): ["a bad value is refused"],
    ("reference", "reference"): ["get lit", "a bad value is refused"],
}


@pytest.mark.parametrize(("registry", "daemon", "client"), COMBINATIONS)
def test_a_client_can_read_set_and_subscribe_to_every_type(
    network, sides, registry, daemon, client
):
    """This is so for each combination of daemon and client."""
    network.registry(sides[registry])
    network.daemon(sides[daemon])
    if client == "reference":
        # Its get() of an item in a store that it has never read asks for a wrong key.
        network.mk(sides[client], "discover", "127.0.0.1")

    done = network.run(sides[client], "probe")

    assert done.returncode == 0, done.stderr + network.logs()
    seen = json.loads(done.stdout)
    known = KNOWN_EARLY if sides["reference"].is_early else {}
    for what in known.get((daemon, client), ()):
        seen[what] = DAY[what]
    assert seen == DAY


@pytest.mark.parametrize(("daemon", "client"), [SIDES, SIDES[::-1]])
def test_an_array_is_read_and_published_as_it_was_set(
    network, sides, arrays, daemon, client
):
    network.registry(sides[daemon])
    network.daemon(sides[daemon])
    network.mk(sides[client], "discover", "127.0.0.1")

    done = network.run(sides[client], "probe_array")

    assert done.returncode == 0, done.stderr + network.logs()
    assert json.loads(done.stdout) == [ARRAY, ARRAY]


@pytest.mark.parametrize(("daemon", "client"), [SIDES, SIDES[::-1]])
def test_mk_prints_the_same_lines_with_either_daemon(network, sides, daemon, client):
    """mk of one implementation is used with the daemon of the other."""
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
def test_mk_watch_prints_the_changes_of_the_other_implementation(
    network, sides, daemon, client
):
    """mk watch belongs to one implementation, mk set to the other."""
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
def test_a_registry_that_is_started_again_finds_the_daemon(
    network, sides, registry, daemon, how
):
    """The daemon of the other implementation has run on."""
    first = network.registry(sides[registry])
    network.daemon(sides[daemon])
    network.stop(first, how)

    network.registry(sides[registry])

    network.until(
        sides[daemon], "get", "cake.fixed", home="new client", says="fixed: 7"
    )


@pytest.mark.parametrize(("registry", "daemon"), [SIDES, SIDES[::-1]])
def test_a_daemon_that_is_started_again_has_its_ports_and_values(
    network, sides, registry, daemon
):
    """Its persistent values are the same, and the client still finds it."""
    network.registry(sides[registry])
    process = network.daemon(sides[daemon])
    network.mk(sides[registry], "discover", "127.0.0.1")
    network.mk(sides[registry], "set", "cake.kept=23")
    assert network.mk(sides[registry], "get", "cake.kept").stdout == "kept: 23\n"
    network.stop(process)

    network.daemon(sides[daemon])

    network.until(sides[registry], "get", "cake.fixed", home="client", says="fixed: 7")
    if daemon == "ours":
        # The reference saves values in a separate program, which does not run here.
        assert network.mk(sides[registry], "get", "cake.kept").stdout == "kept: 23\n"


@pytest.mark.parametrize(("registry", "daemon"), [SIDES, SIDES[::-1]])
def test_a_second_daemon_with_the_same_name_is_refused(
    network, sides, registry, daemon
):
    """Both registries refuse it, whichever implementation comes second."""
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
