"""The reference's examples run with our package, and only their import is changed.

What an example has wrong for the reference as well is corrected first, and listed here.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.interop.conftest import DEADLINE, OURS, Side

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
MKTL = "import sys, mktl_daemon\nsys.modules['mktl'] = mktl_daemon\n"

# A name that is not bound, a class with another name, and a bracket.
CHO = "= False\n        items[cho]['initial'] = channel\n\n        out"
HEATER = (
    ("= False\n        items[chi]['initial'] = channel\n\n        out", CHO),
    ("InputTemperature", "InputChannel"),
)  # fmt: skip
PRECIOUS = ("'':", '"":')
PAGES = (
    ("average.computed)\n\n", "average.computed))\n\n"),
    ("sleep(30)", "sleep(300)"),
)

HEATING = """
[main]
controller = 1
[inputs]
first = stage
[outputs]
first = heat
[stage]
input = A
[heat]
output = B
"""


class Examples:
    """The files of a checkout, and a running daemon of one of them."""

    def __init__(self, checkout, network, folder):
        self.checkout = checkout
        self.network = network
        self.folder = folder
        (folder / "mktl.py").write_text(MKTL)
        self.path = [str(folder), str(HERE / "standins"), *OURS.path]
        self.side = Side("ours", OURS.python, OURS.programs, self.path)

    def text(self, *names):
        """Return the text of the first of *names* that the checkout has."""
        for name in names:
            if (self.checkout / name).exists():
                return (self.checkout / name).read_text()
        return pytest.fail(f"the reference at {self.checkout} has none of {names}")

    def module(self, name, text, mended=()):
        for wrong, right in mended:
            assert wrong in text, f"{name} has been mended since: {wrong}"
            text = text.replace(wrong, right)
        (self.folder / f"{name}.py").write_text(text)

    def serve(self, store, alias, *arguments, ready):
        """Run mkd until it answers for the item *ready*."""
        self.network.registry(OURS)
        self.network.start(self.side, "mkd", *arguments, store, alias, home="daemon")
        self.network.until(OURS, "get", f"{store}.{ready}", home="asker", says=":")

    def items(self, store, alias, items, ready):
        path = self.folder / "items.json"
        path.write_text(json.dumps(items))
        self.serve(store, alias, "-c", str(path), ready=ready)

    def mk(self, *arguments):
        done = self.network.mk(OURS, *arguments)
        assert done.returncode == 0, done.stderr + self.network.logs()
        return done.stdout

    def says(self, text, *arguments):
        self.network.until(OURS, *arguments, home="client", says=text)

    def run(self, program):
        """Run the lines of a page as a program."""
        return subprocess.run(
            [*self.network.entry, sys.executable, "-c", program],
            env=self.network.environment(self.side, "client"),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    @contextlib.contextmanager
    def printing(self, program):
        """Run *program*, and yield a function that returns all its output."""
        log = self.folder / "program.log"
        with log.open("w") as out:
            running = subprocess.Popen(
                [*self.network.entry, sys.executable, "-u", "-c", program],
                env=self.network.environment(self.side, "client"),
                stdout=out,
                stderr=out,
            )
        try:
            yield log.read_text
        finally:
            running.kill()
            running.wait()


@pytest.fixture
def examples(reference, network, tmp_path):
    return Examples(Path(reference.path[0]).parent, network, tmp_path)


def blocks(page):
    """Return the literal blocks of a page that are complete programs."""
    literal = re.findall(r"::\n\n((?:    .*\n|\n)+)", page)
    programs = [textwrap.dedent(each).strip() + "\n\n" for each in literal]
    return [each for each in programs if each.startswith("import mktl")]


def test_the_heater_can_be_read_and_set(examples):
    """heater.py has a configuration, polled items, and a setpoint that is read back."""
    name = "examples/heater/heater.py"
    if not (examples.checkout / name).exists():
        pytest.skip("the reference had no example of a heater before July 2026")
    examples.module("heater", examples.text(name), HEATER)
    (examples.folder / "heater.ini").write_text(HEATING)
    examples.serve(
        "furnace", "heater", "-m", "heater",
        "--appconfig", str(examples.folder / "heater.ini"), ready="stagechi",
    )  # fmt: skip
    assert examples.mk("get", "furnace.stagechi") == "stagechi: A\n"
    examples.says("stagetmp: 20.5", "get", "furnace.stagetmp")
    examples.mk("set", "furnace.heattrg=180")
    assert "heattrg: 180" in examples.mk("get", "furnace.heattrg")
    examples.says("heatout: 18", "get", "furnace.heatout")
    examples.mk("set", "furnace.ctrl1aux=VERSION?")
    assert examples.mk("get", "furnace.ctrl1aux") == "ctrl1aux: VERSION? => 1.0\n"


KTL = {
    "glass": "1250.00 mm",
    "counts": "7 counts",
    "short": "-3 counts",
    "total": "8 counts",
    "name": "blue",
    "shutter": "closed",
    "mode": "expose",
    "alarms": "dry",
    "limits": "[1.0, 2.5]",
    "fixed": "5",
}


def test_a_ktl_service_can_be_served(examples):
    """KTL.py has its own catalog, publications with times, and formats of C."""
    examples.module("KTL", examples.text("examples/ktl/KTL.py", "examples/KTL.py"))
    examples.serve("lens", "lens", "-m", "KTL", ready="fixed")
    names = [f"lens.{key}" for key in KTL]
    printed = examples.mk("get", *names).splitlines()
    assert printed == [f"{key}: {text}" for key, text in KTL.items()]

    for text in ("glass=1500", "counts=12", "mode=idle", "shutter=open", "limits=3,4"):
        examples.mk("set", f"lens.{text}")
    names = ("lens.glass", "lens.counts", "lens.mode", "lens.shutter", "lens.limits")
    assert examples.mk("--terse", "get", *names).splitlines() == [
        "1500.00", "12", "idle", "open", "[3, 4]"
    ]  # fmt: skip
    refused = examples.network.mk(OURS, "set", "lens.fixed=6")
    assert "read-only" in refused.stderr


def test_prices_of_metals_can_be_served(examples):
    """precious.py has a file of items, which are polled once a day."""
    examples.module("precious", examples.text("doc/example/precious.py"))
    items = examples.text("doc/example/precious.json").replace(*PRECIOUS)
    path = examples.folder / "precious.json"
    path.write_text(items)
    line = "metal", "precious", "-m", "precious", "-c", str(path)
    examples.network.registry(OURS)
    examples.network.start(examples.side, "mkd", *line, home="daemon")
    for key in ("gold", "silver", "platinum"):
        examples.says(f"{key}: 100.4 USD/gram", "get", f"metal.{key}")
    assert "read-only" in examples.network.mk(OURS, "set", "metal.gold=1").stderr


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (True, "The population is crazy."),
        (False, "The population is sane."),
        (None, "The population craziness is unknown."),
    ],
)
def test_the_programs_on_the_page_about_get_work(examples, value, printed):
    """They read the same in several ways."""
    initial = {} if value is None else {"initial": value}
    items = {"CRAZY": {"type": "boolean", **initial}, "ready": {"initial": 1}}
    examples.items("population", "people", items, ready="ready")
    programs = blocks(examples.text("doc/example/get.rst"))
    assert len(programs) >= 3
    for program in programs:
        done = examples.run(program)
        expected = printed + "\n" if "print" in program else ""
        assert (done.stdout, done.stderr) == (expected, "")


def test_the_programs_on_the_page_about_set_work(examples):
    """This includes lines with `wait=False`, which follow others."""
    items = {"SCORE": {"type": "numeric", "initial": 1}}
    examples.items("team", "players", items, ready="score")
    begin, change, whole = blocks(examples.text("doc/example/set.rst"))
    pending = examples.text("doc/example/set.rst")
    lines = re.findall(
        r"^    (pending.*|score\.(?:value|set).*4\b.*)$", pending, re.MULTILINE
    )
    assert len(lines) >= 6
    done = examples.run(begin + "\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert examples.mk("--terse", "get", "team.score") == "44\n"
    done = examples.run(change)
    assert done.returncode == 0, done.stderr
    assert examples.mk("--terse", "get", "team.score") == "48\n"
    done = examples.run(whole)
    assert done.returncode == 0, done.stderr
    assert examples.mk("--terse", "get", "team.score") == "44\n"


def test_the_programs_on_the_page_about_callbacks_work(examples):
    """Both of its callbacks are called for each value."""
    items = {"TEMP": {"type": "numeric", "initial": 20}}
    examples.items("oven", "heater", items, ready="temp")
    (program,) = blocks(examples.text("doc/example/callback.rst"))[-1:]
    for wrong, right in PAGES:
        assert wrong in program, f"the page was corrected since: {wrong}"
        program = program.replace(wrong, right)
    with examples.printing(program) as printed:
        deadline = time.monotonic() + DEADLINE
        temperatures = iter(range(21, 1000))
        while not {"oven.TEMP: ", "oven.temp average: "} <= set(
            re.findall(r"oven\.\w+(?: average)?: ", printed())
        ):
            assert time.monotonic() < deadline, printed()
            examples.mk("set", f"oven.temp={next(temperatures)}")
    assert "Traceback" not in printed()
