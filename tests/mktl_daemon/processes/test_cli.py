"""The commands mk, mkd and mkregistryd as a user types them."""

import contextlib
import json
import select
import signal
import subprocess
import sys
import uuid

import pytest

from mktl_daemon.cli import mk, mkd
from mktl_daemon.cli.version import version
from tests.mktl_daemon.conftest import DEADLINE

TART = {
    "angle": {
        "type": "numeric",
        "description": "How far the door is open.",
        "units": {"": "rad", "formatted": "deg"},
        "format": "%2d:%2.2d:%04.1f",
        "initial": 0.5,
    },
    "width": {
        "type": "numeric",
        "units": {"": "m", "formatted": "mm"},
        "format": "%.1f",
        "initial": 1.25,
    },
    "slices": {"type": "numeric", "units": "pieces", "initial": 3},
    "empty": {"type": "numeric", "units": "g"},
    "lit": {"type": "boolean", "enumerators": {"0": "Off", "1": "On"}, "initial": 0},
    "taste": {
        "type": "enumerated",
        "enumerators": {"0": "Sweet", "1": "Sour"},
        "initial": 1,
    },
    "leds": {
        "type": "mask",
        "enumerators": {"None": "dark", "0": "Red", "1": "Green"},
        "initial": 3,
    },
    "name": {"type": "string", "initial": "lemon tart"},
    "layers": {"type": "numeric array", "initial": [1, 2.5]},
    "note": {},
    "weight": {"type": "numeric", "settable": False, "initial": 7},
    "secret": {"type": "numeric", "gettable": False},
    "crumbs.big": {"type": "numeric", "initial": 1},
    "crumbs.small": {"type": "numeric", "initial": 2},
}


@pytest.fixture(scope="session")
def shop(kitchen, registry):
    """A registry and two stores: tart is read, torte is set."""
    kitchen.daemon("tart", "lemon", TART)
    kitchen.daemon("torte", "lemon", TART)
    return kitchen


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("get tart.angle", "angle: 28:38:52.4 deg"),
        ("get TART.Angle", "angle: 28:38:52.4 deg"),
        ("--unformatted get tart.angle", "angle: 0.5 rad"),
        ("get tart.width tart.slices", "width: 1250.0 mm|slices: 3 pieces"),
        ("get -s tart width slices", "width: 1250.0 mm|slices: 3 pieces"),
        (
            "--formatted --unformatted get tart.width tart.taste",
            "width: 1.25 m => 1250.0 mm|taste: 1 => Sour",
        ),
        ("get --terse tart.width tart.slices", "1250.0|3"),
        ("get --terse --unformatted tart.width", "1.25"),
        ("get -u inch tart.width", "width: 49.21259842519685 inch"),
        ("get --units inch --terse tart.width", "49.21259842519685"),
        ("get tart.lit tart.taste tart.leds", "lit: Off|taste: Sour|leds: Red, Green"),
        ("get --unformatted tart.taste tart.leds", "taste: 1|leds: 3"),
        ("get tart.name tart.layers", "name: lemon tart|layers: [1, 2.5]"),
        ("get tart.empty tart.note", "empty: |note: None"),
        ("get tart.crumbs.*", "crumbs.big: 1|crumbs.small: 2"),
    ],
)
def test_values_are_printed(shop, line, printed):
    """A line for each item has its key, its value as people read it, and its units."""
    done = shop.mk(*line.split())
    assert done == (printed.replace("|", "\n") + "\n", "", 0)


def test_a_whole_store_is_printed(shop):
    """It has everything that can be read in order, and the daemon's own items."""
    lines = shop.mk("get", "tart").out.splitlines()
    keys = [line.partition(":")[0] for line in lines]

    assert keys == sorted(keys)
    assert "_lemonclk" in keys
    assert "secret" not in keys
    assert "slices: 3 pieces" in lines


def test_a_time_stamp_is_printed_on_request(shop):
    """It is local time, to the millisecond."""
    line = shop.mk("--timestamp", "get", "tart.slices").out
    assert line[2] + line[5] + line[8] == "::."
    assert line[12:] == " slices: 3 pieces\n"


@pytest.mark.parametrize(
    ("line", "printed", "value"),
    [
        ("set torte.width=1500", "Set torte.width to 1500.0 mm", "1.5"),
        ("set --unformatted torte.width=1.75", "Set torte.width to 1.75 m", "1.75"),
        ("set -u inch torte.width=10", "Set torte.width to 10.0 inch", "0.254"),
        ("set --terse torte.width=1250", "1250.0", "1.25"),
        ("set torte.angle=-0:30:00", "Set torte.angle to -0:30:00.0 deg", None),
        ("set torte.lit=oN", "Set torte.lit to On", "True"),
        ("set torte.lit=0", "Set torte.lit to Off", "False"),
        ("set torte.taste=sweet", "Set torte.taste to Sweet", "0"),
        ("set --unformatted torte.taste=1", "Set torte.taste to 1", "1"),
        ("set torte.leds=green", "Set torte.leds to Green", "2"),
        ("set torte.leds=none", "Set torte.leds to dark", "0"),
        ("set torte.name=007", "Set torte.name to 007", "007"),
        ("set torte.name=a=b", "Set torte.name to a=b", "a=b"),
        ("set torte.layers=4,5", "Set torte.layers to [4, 5]", "[4, 5]"),
        ("set torte.note=5", "Set torte.note to 5", "5"),
        ("set torte.note=five", "Set torte.note to five", "five"),
        ("set --no-wait torte.name=soon", "", "soon"),
    ],
)
def test_values_are_set(shop, until, line, printed, value):
    """The value is printed after the daemon has confirmed it."""
    done = shop.mk(*line.split())
    assert (done.out.strip(), done.err, done.code) == (printed, "", 0)
    if value is not None:
        name = next(word for word in line.split() if "=" in word).partition("=")[0]
        get = ("--terse", "--unformatted", "get", name)
        until(lambda: shop.mk(*get).out == value + "\n", f"{name} is {value}")


def test_items_are_set_at_once_or_one_after_the_other(shop):
    """A failure is reported. One after the other, it is the last item that is set."""
    line = "torte.weight=1", "torte.slices=4"
    at_once = shop.mk("set", *line)
    assert at_once.out == "Set torte.slices to 4 pieces\n"
    assert (at_once.err.count("\n"), at_once.code) == (1, 1)

    in_turn = shop.mk("--serial", "set", *line)
    assert in_turn.out == ""
    assert (in_turn.err.count("\n"), in_turn.code) == (1, 1)


def test_mk_is_a_program(shop):
    """It has its own output, errors and exit code."""
    done = shop.mk_alone("get", "tart.nothing", "tart.weight")
    assert done == (
        "weight: 7\n",
        "tart.nothing failed: store 'tart' has no 'nothing'\n",
        1,
    )


@pytest.mark.parametrize(
    ("line", "wording"),
    [
        ("get tart.nothing", "tart.nothing failed: store 'tart' has no 'nothing'"),
        ("get nowhere.at.all", "nowhere.at.all failed: "),
        ("get tart.secret", "tart.secret failed: "),
        ("set tart.weight=1", "tart.weight failed: TypeError: "),
        ("set tart.slices=many", "tart.slices failed: 'many' is not a number"),
        ("set tart.taste=bitter", "not one of: Sweet (0), Sour (1)"),
        ("set --unformatted tart.taste=9", "tart.taste failed: ValueError: "),
        ("set tart=1", "tart failed: a set names a key"),
        ("get -u furlong tart.name", "tart.name failed: the item does not have units"),
        ("get -u second tart.width", "tart.width failed: "),
        ("get -u frob tart.width", "pint knows no unit 'frob'"),
        ("watch tart.nothing", "tart.nothing failed: "),
        ("describe tart.nothing", "tart.nothing failed: "),
        ("list nowhere", "nowhere failed: "),
    ],
)
def test_an_error_is_one_line(shop, line, wording):
    """It is on standard error, with exit code 1 and without a traceback."""
    done = shop.mk(*line.split())
    assert (done.out, done.code) == ("", 1)
    assert wording in done.err
    assert done.err.count("\n") == 1


def test_one_failure_does_not_hide_the_other_items(shop):
    """Their values are printed."""
    done = shop.mk("get", "tart.nothing", "tart.slices", "tart.empty")
    assert done.out.splitlines()[1:] == ["empty: "]
    assert done.code == 1


def test_a_store_is_listed(shop):
    """Each key is shown with its type and what a client may do with it."""
    done = shop.mk("list", "tart")
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())

    assert done.code == 0
    assert lines["tart.angle"] == "numeric     rw"
    assert lines["tart.weight"] == "numeric     r"
    assert lines["tart.secret"] == "numeric      w"
    assert lines["tart.note"] == "rw"
    assert lines["tart.layers"] == "numeric array rw"
    assert shop.mk("list", "-s", "tart").out == done.out


def test_a_description_is_printed_as_json(shop):
    """It has the UUID and the address of the daemon that has the item."""
    [(name, description)] = json.loads(shop.mk("describe", "tart.angle").out).items()
    assert name == "tart.angle"
    assert {field: description[field] for field in TART["angle"]} == TART["angle"]
    assert description["uuid"]
    assert description["provenance"][0]["pub"]

    whole = json.loads(shop.mk("describe", "tart").out)
    assert set(TART) <= set(whole)


def test_stores_are_discovered(shop):
    """Their number and their names are printed, or with an option only the names."""
    done = shop.mk_alone("discover", "127.0.0.1", home="newcomer")
    assert done.code == 0
    assert "stores discovered: " in done.out
    assert "tart" in done.out
    assert "tart" in shop.mk_alone("list", home="newcomer").out.splitlines()


def test_without_a_registry_nothing_is_discovered(own_kitchen):
    """An error tells it."""
    done = own_kitchen.mk_alone("discover")
    assert (done.out, done.err, done.code) == (
        "",
        "discover failed: no registry answers\n",
        1,
    )


def test_without_a_registry_the_stores_that_were_used_are_listed(own_kitchen):
    """The daemon has the same home, and no registry runs."""
    assert own_kitchen.mk_alone("list").code == 1
    own_kitchen.daemon("bread", "rye", {"loaves": {}})
    done = own_kitchen.mk_alone("list", home="bread.rye")
    assert (done.out, done.err, done.code) == ("bread\n", "", 0)


@contextlib.contextmanager
def watching(kitchen, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "mktl_daemon.cli.mk", "watch", *arguments],
        env=kitchen.environment("client"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def line():
        ready, _, _ = select.select([process.stdout], [], [], 20)
        return (
            process.stdout.readline()
            if ready
            else pytest.fail("the process printed nothing")
        )

    try:
        yield process, line
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_changes_are_watched(shop, how):
    """The present value and every change is printed, until the given number."""
    shop.mk("set", "torte.slices=1")
    with watching(shop, "torte.slices") as (process, line):
        assert line()[12:] == " slices: 1 pieces\n"
        shop.mk("set", "torte.slices=2")
        assert line()[12:] == " slices: 2 pieces\n"
        process.send_signal(how)
        code = process.wait(20)
        assert (code, process.stderr.read()) == (0, "")


def test_a_reader_that_closes_the_pipe_ends_the_watch(shop):
    """This is so in "mk watch torte.slices | head -1", and without an error."""
    shop.mk("set", "torte.slices=1")
    with watching(shop, "--no-timestamp", "torte.slices") as (process, line):
        assert line() == "slices: 1 pieces\n"
        process.stdout.close()
        for value in range(2, 6):
            shop.mk("set", f"torte.slices={value}")
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("line", "wording"),
    [
        ("get", "no requests specified"),
        ("set -s tart", "no requests specified"),
        ("set tart.slices", "'tart.slices' is not of the form key=value"),
        ("get a.b --timestamp --no-timestamp", "exclude each other"),
        ("set a.b=1 --serial --no-wait", "exclude each other"),
        ("set a.b=1 --formatted --unformatted", "either --formatted or --unformatted"),
        ("get a.b -u mm --unformatted", "--units needs formatted values"),
    ],
)
def test_an_invalid_command_line_is_refused(capsys, line, wording):
    """No daemon is asked."""
    assert mk.main(line.split()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mk: ")
    assert wording in err


@pytest.mark.parametrize("line", ["", "bake", "get --hot"])
def test_an_unknown_command_is_refused_with_the_usage(capsys, line):
    """The exit code is the same as for every wrong usage."""
    with pytest.raises(SystemExit, match="2"):
        mk.main(line.split())
    assert "usage: mk" in capsys.readouterr().err


def started(kitchen, line, home):
    """Run an mkd that is to end soon, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "mktl_daemon.cli.mkd", *line.split()],
        env=kitchen.environment(home),
        cwd=kitchen.folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_an_item_file_in_a_folder_is_a_running_store(own_kitchen):
    """It needs nothing but the file and "mkd bread rye"."""
    folder = own_kitchen.folder / "baker" / "daemon" / "store" / "bread"
    folder.mkdir(parents=True)
    (folder / "rye.json").write_text('{"Loaves": {"type": "numeric", "initial": 4}}')
    registry = own_kitchen.registry()

    daemon = own_kitchen.start("mkd", "bread", "rye", home="baker")

    assert daemon.line.startswith("bread.rye: 1 item, requests at 127.0.0.1:")
    assert "this machine only" in daemon.line
    assert own_kitchen.mk_alone("get", "bread.loaves").out == "loaves: 4\n"
    for running in (daemon, registry):
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0


def test_a_daemon_uses_the_address_and_the_allowed_clients_of_its_options(own_kitchen):
    """Options replace the variables of the environment."""
    items = own_kitchen.folder / "items.json"
    items.write_text('{"loaves": {"initial": 4}}')
    own_kitchen.registry()
    line = f"bread rye -c {items} --interface 127.0.0.2 --allow 192.0.2.7"
    on_the_list = f"{line} --allow 127.0.0.0/8"
    daemon = own_kitchen.start("mkd", *on_the_list.split(), home="baker")
    assert "requests at 127.0.0.2:" in daemon.line
    assert own_kitchen.mk("get", "bread.loaves") == ("loaves: 4\n", "", 0)


@pytest.mark.parametrize(
    ("registry", "daemon"), [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")]
)
def test_a_registry_is_found_at_another_address_of_the_machine(
    own_kitchen, registry, daemon
):
    """The reply to a call comes from the address at which the registry can be asked."""
    own_kitchen.start("mkregistryd", "--interface", registry, home="registry")
    items = own_kitchen.folder / "items.json"
    items.write_text('{"loaves": {"initial": 4}}')
    line = f"bread rye -c {items} --interface {daemon}"
    own_kitchen.start("mkd", *line.split(), home="baker")
    assert own_kitchen.mk("get", "bread.loaves") == ("loaves: 4\n", "", 0)


def bakery(kitchen):
    """Start the daemon that the test has written into bakery.py."""
    line = "pie fruit --module bakery --subclass Baker"
    return subprocess.Popen(
        [sys.executable, "-m", "mktl_daemon.cli.mkd", *line.split()],
        env=kitchen.environment("daemon"),
        cwd=kitchen.folder,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_daemon_can_be_stopped_during_its_setup(own_kitchen):
    """It cleans up."""
    (own_kitchen.folder / "bakery.py").write_text(
        "import mktl_daemon, time\n"
        "class Baker(mktl_daemon.Daemon):\n"
        "    def setup(self):\n"
        "        print('waiting', flush=True)\n"
        "        time.sleep(60)\n"
        "    def cleanup(self):\n"
        "        print('cleaned', flush=True)\n"
    )
    with bakery(own_kitchen) as running:
        assert running.stdout.readline() == "waiting\n"
        running.send_signal(signal.SIGTERM)
        assert running.communicate(timeout=20)[0] == "cleaned\n"
        assert running.returncode == 0


@pytest.mark.parametrize(
    ("line", "wording"),
    [
        ("pie fruit -c nowhere.json", "nowhere.json"),
        ("pie fruit -c broken.json", "broken.json: "),
        ("pie fruit -c list.json", "list.json: items are an object"),
        ("pie fruit -c typo.json", "item 'a': type: 'nummeric' is not one of"),
        ("pie fruit -m no_such_module", "no_such_module"),
        ("pie fruit -s Bakery", "has no class 'Bakery'"),
        ("pie fruit --interface nowhere", "unable to bind to nowhere"),
        ("pie fruit --allow everybody", "everybody"),
        ("../pie fruit", "cannot be used as a name"),
        ("pie ../fruit", "cannot be used as a name"),
    ],
)
def test_a_daemon_that_cannot_start_tells_why(own_kitchen, line, wording):
    """It prints one line and ends with exit code 1."""
    (own_kitchen.folder / "broken.json").write_text("{")
    (own_kitchen.folder / "list.json").write_text("[]")
    (own_kitchen.folder / "typo.json").write_text('{"a": {"type": "nummeric"}}')
    done = started(own_kitchen, line, "daemon")
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("mkd: ")
    assert wording in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_class_in_the_current_folder_is_found(own_kitchen):
    """It gets the options of the command line, like its own configuration file."""
    (own_kitchen.folder / "bakery.py").write_text(
        "import mktl_daemon\n"
        "class Baker(mktl_daemon.Daemon):\n"
        "    def setup(self):\n"
        "        raise RuntimeError(f'baking by {self.options.appconfig}')\n"
    )
    line = "pie fruit --module bakery --subclass Baker --appconfig book.txt"
    done = started(own_kitchen, line, "daemon")
    assert done.stderr.endswith("mkd: RuntimeError: baking by book.txt\n")


def test_an_error_in_a_users_class_is_printed_with_its_traceback(own_kitchen):
    """The text of a KeyError alone does not tell where it was raised."""
    (own_kitchen.folder / "bakery.py").write_text(
        "import mktl_daemon\n"
        "class Baker(mktl_daemon.Daemon):\n"
        "    def setup(self):\n"
        "        {}['flour']\n"
    )
    done = started(own_kitchen, "pie fruit -m bakery -s Baker", "daemon")
    assert "bakery.py" in done.stderr
    assert "line 4, in setup" in done.stderr
    assert done.stderr.endswith("mkd: KeyError: 'flour'\n")


@pytest.mark.parametrize("program", ["mk", "mkd", "mkregistryd"])
def test_a_program_prints_its_version(program):
    done = subprocess.run(
        [sys.executable, "-m", f"mktl_daemon.cli.{program}", "--version"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.stdout, done.returncode) == (f"{program} {version()}\n", 0)


def test_a_verbose_daemon_logs_each_set(own_kitchen):
    own_kitchen.registry()
    (own_kitchen.folder / "items.json").write_text('{"loaves": {"type": "numeric"}}')
    line = f"bread rye -v -c {own_kitchen.folder}/items.json"
    own_kitchen.start("mkd", *line.split(), home="baker")
    assert own_kitchen.mk("set", "bread.loaves=4").code == 0
    assert "bread.loaves" in (own_kitchen.folder / "baker.log").read_text()


@pytest.mark.parametrize("option", ["--override", "store.override"])
def test_a_refusal_names_the_option_that_overrides_it(own_kitchen, option):
    """With the option that the text names, the daemon starts."""
    (own_kitchen.folder / "bakery.py").write_text(
        "import mktl_daemon\n"
        "class Baker(mktl_daemon.Daemon):\n"
        f"    override_option = {option!r}\n"
    )
    own_kitchen.registry()
    gone = own_kitchen.daemon("bread", "rye", {"loaves": {}})
    own_kitchen.stop(gone, signal.SIGKILL)
    line = "bread wheat -m bakery -s Baker -c bread.rye.json"
    done = started(own_kitchen, line, "baker")
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"if that one is gone for good, {option} takes its place\n"
    )
    running = own_kitchen.start(
        "mkd", *f"bread wheat -c {own_kitchen.folder}/bread.rye.json -o".split(),
        home="baker",
    )  # fmt: skip
    assert "bread.wheat" in running.line


def test_a_daemon_that_runs_is_not_started_again(own_kitchen):
    """The error tells where it runs."""
    running = own_kitchen.daemon("bread", "rye", {})
    done = started(own_kitchen, "bread rye", "bread.rye")
    assert done.returncode == 1
    assert f"127.0.0.1:{running.rep}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_key_of_a_neighbour_is_refused_without_a_registry(own_kitchen):
    """Both daemons have one home, and no registry runs."""
    own_kitchen.daemon("bread", "rye", {"loaves": {}})
    (own_kitchen.folder / "wheat.json").write_text('{"loaves": {}}')
    for _ in range(2):  # This is so at each attempt.
        done = started(own_kitchen, "bread wheat -c wheat.json", "bread.rye")
        assert (done.stdout, done.returncode) == ("", 1)
        assert "the key 'loaves' of 'bread' is that of 'rye'" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_daemon_that_is_gone_is_reported_once(own_kitchen):
    """It does not matter how many of its items are read. Other items are printed."""
    own_kitchen.registry()
    gone = own_kitchen.daemon("bread", "rye", {f"loaf{n}": {} for n in range(5)})
    own_kitchen.daemon("bread", "wheat", {"rolls": {"initial": 4}})
    assert own_kitchen.mk("get", "bread.rolls", "bread.loaf0").code == 0
    own_kitchen.stop(gone, signal.SIGKILL)
    printed = own_kitchen.mk_alone("get", "bread")
    assert "rolls: 4\n" in printed.out
    assert printed.err.count("\n") == 1
    assert "nobody at 127.0.0.1" in printed.err
    assert printed.code == 1


def test_a_silent_key_is_searched_once_and_reported_once(own_kitchen, wire, mute):
    """A registry knows its daemon, which accepts requests and answers none."""
    block = {
        "store": "bread",
        "alias": "rye",
        "uuid": str(uuid.uuid4()),
        "hash": 1,
        "time": 1.0,
        "provenance": [
            {"stratum": 0, "hostname": "127.0.0.1", "rep": mute.port, "pub": 1}
        ],
        "items": {"loaves": {"type": "numeric"}},
    }
    announced = wire.peer(own_kitchen.registry()).set("_catalog", block)
    assert announced.error is None

    printed = own_kitchen.mk_alone("get", "bread.loaves")
    assert (printed.out, printed.code) == ("", 1)
    assert printed.err == (
        "bread.loaves failed: GET of bread.loaves: "
        f"nobody at 127.0.0.1:{mute.port} answered in time\n"
    )
    # Once in each of the two forms of a request, and perhaps once more by a search that
    # begins a second after the subscription. The value itself is not requested.
    requests = mute.requests()
    assert set(requests) == {("GET", "bread._hash")}
    assert 2 <= len(requests) <= 4


def test_the_package_lists_its_programs():
    """It runs the program that is named."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "mktl_daemon", *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    named = run()
    assert named.returncode == 0
    assert [line.split()[0] for line in named.stdout.splitlines()[:3]] == [
        "mk",
        "mkd",
        "mkregistryd",
    ]
    assert run("mkd", "--help").stdout.startswith("usage: mkd")
    assert run("bake").returncode == 1


def test_the_options_of_both_editions_name_the_file_of_items():
    """--config and --catalog mean the same."""
    parse = mkd.parser().parse_args
    given = [
        parse(["pie", "fruit", option, "x"])
        for option in ("-c", "--config", "--catalog")
    ]
    assert [options.catalog for options in given] == ["x"] * 3


HIDING = """
import os, sys
for name in ("fcntl", "resource", "termios"):
    sys.modules[name] = None
del os.register_at_fork, os.fork
import mktl_daemon as mktl
item = mktl.get("pie.number")
item.set(3)
assert item.value == 3
assert mktl.get("pie.text").value == "apple"
"""


def test_a_client_works_on_a_system_that_is_not_unix(own_kitchen):
    """The test hides the modules that Windows does not have."""
    own_kitchen.registry()
    own_kitchen.daemon()
    done = subprocess.run(
        [sys.executable, "-c", HIDING],
        env=own_kitchen.environment("client"),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_interface_with_ipv6_is_refused_with_a_text(own_kitchen):
    done = started(own_kitchen, "pie fruit --interface ::1", "daemon")
    assert "only IPv4" in done.stderr


def test_a_daemon_that_joins_a_store_is_listed(own_kitchen):
    """A client that has read the store before sees it too."""
    own_kitchen.registry()
    own_kitchen.daemon()
    assert "pie.number" in own_kitchen.mk("list", "pie").out
    own_kitchen.daemon("pie", "filling", {"cream": {"type": "numeric", "initial": 4}})
    assert own_kitchen.mk("get", "pie.cream").out == "cream: 4\n"
    assert "pie.cream" in own_kitchen.mk("list", "pie").out
    assert json.loads(own_kitchen.mk("describe", "pie.cream").out)


@pytest.fixture
def stuck(own_kitchen):
    """Run a daemon whose cleanup() never ends. Yield it when it is ready."""
    (own_kitchen.folder / "bakery.py").write_text(
        "import mktl_daemon, threading\n"
        "class Baker(mktl_daemon.Daemon):\n"
        "    def cleanup(self):\n"
        "        print('cleaning', flush=True)\n"
        "        threading.Event().wait()\n"
    )
    with bakery(own_kitchen) as running:
        assert "requests at" in running.stdout.readline()
        yield running
        running.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_a_daemon_whose_cleanup_hangs(stuck, how):
    """The first signal of any kind makes it clean up."""
    stuck.send_signal(how)
    assert stuck.stdout.readline() == "cleaning\n"
    stuck.send_signal(how)
    assert stuck.wait(DEADLINE) == 128 + how


@pytest.mark.parametrize("name", ["pie.x y", "pie. y", ".pie y"])
def test_a_store_with_a_dot_is_refused_at_the_start(own_kitchen, name):
    """The name of a store ends at the first dot, so nobody could ask for its keys."""
    done = started(own_kitchen, name, "daemon")
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("mkd: ")
    assert done.stderr.count("\n") == 1


def test_a_daemon_is_found_under_the_name_that_it_advertises(own_kitchen):
    """Its catalog has this name, and so do the replies of a registry."""
    own_kitchen.registry()
    items = own_kitchen.folder / "items.json"
    items.write_text('{"loaves": {"initial": 4}}')
    line = f"bread rye -c {items} --advertise localhost"
    own_kitchen.start("mkd", *line.split(), home="baker")
    assert own_kitchen.mk("get", "bread.loaves").out == "loaves: 4\n"
    described = json.loads(own_kitchen.mk("describe", "bread.loaves").out)
    assert described["bread.loaves"]["provenance"][0]["hostname"] == "localhost"
